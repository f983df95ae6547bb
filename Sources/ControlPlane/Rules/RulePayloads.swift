import Domain
import JSON
import NIOCore

extension Rule {
  /// The rule as callers see it.
  func json(id: RuleID, organizationID: OrganizationID) -> JSONObject {
    var object = JSONObject()
    object.set("id", id.description)
    object.set("organization_id", organizationID.description)
    object.set("project_id", projectID?.description)
    object.set("kind", match.kind.rawValue)
    object.set("network", match.kind == .network ? match.subject : nil)
    object.set("country", match.kind == .country ? match.subject : nil)
    object.set("region", match.kind == .region ? match.subject : nil)
    object.set("provider", match.provider)
    object.set("model", match.kind == .model ? match.subject : nil)
    object.set("effect", effect.rawValue)
    object.set("note", note)
    object.set("expires_at", expiresAt?.rfc3339)
    object.set("created_by", createdBy.json())
    object.set("version", version)
    object.set("created_at", createdAt.rfc3339)
    object.set("updated_at", updatedAt.rfc3339)
    return object
  }
}

/// Sets of rules, as callers see them.
enum RulePayloads {
  /// A project's own rules, newest first.
  static func set(
    _ rules: [RuleID: Rule], in organization: OrganizationID
  ) -> JSONObject {
    var data = JSONArray()
    for (id, rule) in rules.sorted(by: { $0.key.uuid > $1.key.uuid }) {
      data.append(rule.json(id: id, organizationID: organization))
    }
    var body = JSONObject()
    body.set("data", data)
    return body
  }

  /// The most rules that the audit shows of a replaced set.
  static let maxAudited = 100

  /// A project's set as the audit shows it before and after it was replaced: how many rules it has, how many of them the
  /// event touches, and the first of those as callers see them. The event itself names every one.
  static func audited(
    _ event: RuleSetEvent.Replaced, _ rules: Rules, in organization: OrganizationID
  ) -> JSONObject {
    var data = JSONArray()
    var touched = 0
    for id in event.ruleIDs {
      guard let rule = rules[id] else { continue }
      touched += 1
      if touched <= maxAudited {
        data.append(rule.json(id: id, organizationID: organization))
      }
    }
    var set = JSONObject()
    set.set("count", rules.count(of: event.projectID))
    set.set("touched", touched)
    set.set("data", data)
    // One member, so that the whole of it counts as different.
    var body = JSONObject()
    body.set("rules", set)
    return body
  }
}

/// What a rule says and about what: exactly one of `network`, `country`, `region`, or `provider` with `model`.
struct RuleDraft {
  let match: Rule.Match
  let effect: Rule.Effect
  let note: ExactText?
  let expiresAt: Timestamp?

  /// Reads all of an object's members that a rule has; nil when something is wrong, which the reader then knows.
  ///
  /// - Parameter now: the moment behind which a rule has to expire; nil when it may have expired already.
  init?(_ reader: PayloadReader, now: Timestamp?) {
    let network = reader.optionalString(
      "network", TextRules(2...49), where: { Network($0) != nil },
      otherwise: "must be an IPv4 or IPv6 network such as 10.0.0.0/8 or 2001:db8::/32"
    ).flatMap { Network($0) }
    let country = reader.optionalString(
      "country", TextRules(2...2), where: { Country($0) != nil },
      otherwise:
        "must be an ISO 3166-1 alpha-2 code such as DE, or XK; the region unknown is all else"
    ).flatMap { Country($0) }
    let region = reader.optionalChoice("region", of: Region.self)
    let provider = reader.optionalString(
      "provider", .provider, where: { ProviderPattern($0) != nil },
      otherwise: """
        must be a provider's name, of letters, digits, _ and - only, such as openai, or * for any: no spaces, and no URL
        """
    ).flatMap { ProviderPattern($0) }
    let model = reader.optionalString(
      "model", TextRules(1...ModelPattern.longest), where: { ModelPattern($0) != nil },
      otherwise: "must be a model's name in visible ASCII, in which * stands for anything"
    ).flatMap { ModelPattern($0) }
    let effect = reader.choice("effect", of: Rule.Effect.self)
    note = reader.optionalExactText("note", .reason)
    expiresAt =
      if let now {
        reader.optionalFuture("expires_at", after: now)
      } else {
        reader.optionalTime("expires_at")
      }
    let isAboutModel = reader.isThere("provider") || reader.isThere("model")
    let named = ["network", "country", "region"].filter(reader.isThere)
    let count = named.count + (isAboutModel ? 1 : 0)
    if count == 0 {
      reader.refuse("network", "required", "one of network, country, region and model is required")
    } else if count > 1 {
      let last =
        isAboutModel ? reader.isThere("model") ? "model" : "provider" : named[named.count - 1]
      reader.refuse(
        last, "choice", "a rule is about one thing: network, country, region or model")
    } else if isAboutModel, !(reader.isThere("provider") && reader.isThere("model")) {
      reader.refuse(
        reader.isThere("provider") ? "model" : "provider", "required", "is required")
    }
    let matches: [Rule.Match?] = [
      network.map { .network($0) }, country.map { .country($0) }, region.map { .region($0) },
      model.flatMap { pattern in provider.map { .model(provider: $0, pattern) } },
    ]
    guard count == 1, let match = matches.compactMap({ $0 }).first, let effect else { return nil }
    self.match = match
    self.effect = effect
  }
}

extension RuleDraft {
  static let most = 5000

  /// The member `rules`, of which no two are about the same; those that are wrong the reader knows.
  static func set(_ reader: PayloadReader) -> [RuleDraft] {
    let elements = reader.objects("rules", 0...most) ?? []
    var rules: [RuleDraft] = []
    var places: [Rule.Match: Int] = [:]
    for (place, element) in elements.enumerated() {
      guard let rule = RuleDraft(element, now: nil) else { continue }
      if let other = places.updateValue(place, forKey: rule.match) {
        element.refuse(
          rule.match.kind == .model ? "model" : rule.match.kind.rawValue, "duplicate",
          "/rules/\(other) is about the same")
      }
      rules.append(rule)
    }
    return rules
  }
}

/// The body of `POST …/rules`: a rule, and the project that it is for, if it is for one.
struct CreateRulePayload {
  let projectID: ProjectID?
  let rule: RuleDraft

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer, now: Timestamp) throws {
    let reader = try PayloadReader(body)
    projectID = reader.optionalString(
      "project_id", TextRules(1...64), where: { ProjectID($0) != nil },
      otherwise: "must be an id that starts with prj_"
    ).flatMap { ProjectID($0) }
    let rule = RuleDraft(reader, now: now)
    try reader.finish()
    guard let rule else { throw Problem(.invalidRequest) }
    self.rule = rule
  }
}

/// The body of `PUT …/projects/{project}/rules`: every rule that the project is to have.
struct ReplaceRulesPayload {
  /// Room for as many rules as a set may have, each with a note of average length.
  static let maxBytes = 8 << 20

  let rules: [RuleDraft]

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    rules = RuleDraft.set(reader)
    try reader.finish()
  }
}

/// The body of `PATCH …/rules/{rule}`: a merge patch (RFC 7396). What a rule is about does not change.
struct ChangeRulePayload {
  let effect: Rule.Effect?
  let note: ExactText??
  let expiresAt: Timestamp??

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    effect = reader.replacement("effect", reader.choiceChange("effect"))
    note = reader.exactTextChange("note", .reason).removable
    expiresAt = reader.timeChange("expires_at").removable
    try reader.finish()
  }
}

/// The body of `POST …/rules:evaluate`.
struct EvaluatePayload {
  let request: RequestDescription

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer, now: Timestamp) throws {
    let reader = try PayloadReader(body)
    let address = reader.optionalString(
      "address", TextRules(2...45), where: { IPAddress($0) != nil },
      otherwise: "must be an IPv4 or IPv6 address"
    ).flatMap { IPAddress($0) }
    // As proxies report it, which have codes of their own for what is no country.
    let country = reader.optionalString("country", TextRules(0...50))
    let provider = reader.string(
      "provider", .provider, where: { Provider(anyCase: $0) != nil },
      otherwise: "must be a provider's name, of letters, digits, _ and - only, such as openai")
    let model = reader.string("model", TextRules(1...ModelPattern.longest))
    let tokens = reader.optionalInteger("tokens", 0...1_000_000_000)
    let key = reader.optionalChoice("key", of: RequestDescription.Key.self)
    let time = reader.optionalTime("time")
    try reader.finish()
    guard let provider, let model else { throw Problem(.invalidRequest) }
    request = RequestDescription(
      key: key ?? .valid, address: address, country: country.flatMap { Country(observed: $0) },
      provider: provider, model: model, tokens: tokens, time: time ?? now)
  }
}

extension Explanation {
  /// The decision, and what was looked at on the way to it.
  var json: JSONObject {
    var steps = JSONArray()
    for step in self.steps {
      var rules = JSONArray()
      for rule in step.rules { rules.append(rule.description) }
      var object = JSONObject()
      object.set("step", step.step.rawValue)
      object.set("rules", rules)
      object.set("rule_count", Int64(step.ruleCount))
      steps.append(object)
    }
    var object = JSONObject()
    object.set("decision", decision.isAllowed ? "allow" : "block")
    object.set("reason", decision.step?.rawValue)
    object.set("rule_id", decision.rule?.description)
    object.set("steps", steps)
    return object
  }
}

extension TextRules {
  /// An upstream provider's name, whatever it is.
  static let provider = TextRules(1...Provider.maxLength)
}

extension QueryReader {
  /// `provider`: a name in capital or small letters, of evidence that is kept under small ones.
  func provider() -> String? { string("provider", .provider)?.asciiLowercased }
}

/// `GET /v1/regions`: the parts of the world that rules can name, and their countries.
enum RegionPayloads {
  static let regions: Reply = {
    var data = JSONArray()
    for region in Region.allCases {
      var countries = JSONArray()
      for country in region.countries { countries.append(country.description) }
      var object = JSONObject()
      object.set("region", region.rawValue)
      object.set("countries", countries)
      data.append(object)
    }
    var body = JSONObject()
    body.set("data", data)
    return .json(body.bytes())
  }()
}
