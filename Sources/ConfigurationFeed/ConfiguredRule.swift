package import Domain
package import JSON

/// A rule as gateways see it: exactly one of `network`, `country`, `region`, or `provider` with `model`.
package struct ConfiguredRule: Hashable, Sendable {
  package let match: Rule.Match
  package let effect: Rule.Effect
  /// Nil when it does not expire.
  package let expiresAt: Timestamp?

  package init(match: Rule.Match, effect: Rule.Effect, expiresAt: Timestamp? = nil) {
    self.match = match
    self.effect = effect
    self.expiresAt = expiresAt
  }

  package init(_ rule: Rule) {
    self.init(match: rule.match, effect: rule.effect, expiresAt: rule.expiresAt)
  }

  package var json: JSONObject {
    var object = JSONObject()
    if let provider = match.provider { object.set("provider", provider) }
    object.set(key: match.kind.rawValue, match.subject)
    object.set("effect", effect.rawValue)
    if let expiresAt { object.set("expires_at", expiresAt.rfc3339) }
    return object
  }

  /// - Throws: `ConfigurationError` also for members that are not known: they could narrow what the rule is about.
  package init(_ json: JSONValue) throws(ConfigurationError) {
    let reader = try MemberReader(json)
    let kinds = Rule.Match.Kind.allCases.filter { reader.members[$0.rawValue] != nil }
    guard let kind = kinds.first, kinds.count == 1,
      (kind == .model) == (reader.members["provider"] != nil)
    else {
      throw .invalid(
        pointer: "", reason: "must be about one of network, country, region, or provider with model"
      )
    }
    let known: Set = ["provider", kind.rawValue, "effect", "expires_at"]
    if let unknown = reader.members.keys.first(where: { !known.contains($0) }) {
      throw .invalid(pointer: "/\(unknown.asPointerToken)", reason: "is not known")
    }
    let subject = try reader.required(kind.rawValue, try reader.string(kind.rawValue))
    let provider = try reader.string("provider")
    if let provider, ProviderPattern(provider) == nil {
      throw .invalid(pointer: "/provider", reason: "is no provider's name")
    }
    guard let match = Rule.Match(kind, subject, provider: provider) else {
      throw .invalid(pointer: "/\(kind.rawValue)", reason: "names none that there is")
    }
    self.match = match
    effect = try reader.required("effect", try reader.choice("effect", of: Rule.Effect.self))
    expiresAt = try reader.time("expires_at")
  }
}

extension RuleSet {
  /// The rules of a project and of the workspace around it, as decisions need them.
  package init(_ workspace: [RuleID: ConfiguredRule], _ project: [RuleID: ConfiguredRule]) {
    var rules = [RuleID: Rule](minimumCapacity: workspace.count + project.count)
    for (id, rule) in [workspace, project].joined() {
      let unknown = Timestamp.epoch  // decisions do not look at it
      rules[id] = Rule(
        match: rule.match, effect: rule.effect, expiresAt: rule.expiresAt, createdBy: .system,
        createdAt: unknown, updatedAt: unknown)
    }
    self.init(rules)
  }
}

extension [RuleID: ConfiguredRule] {
  var json: JSONObject { object(\.json) }
}

extension Dictionary where Key: CustomStringConvertible {
  /// As an object whose members' names are the keys, in their order.
  func object(_ json: (Value) -> JSONObject) -> JSONObject {
    var object = JSONObject()
    let members = map { (name: $0.key.description, value: $0.value) }
    for member in members.sorted(by: { $0.name < $1.name }) {
      object.set(key: member.name, json(member.value))
    }
    return object
  }
}
