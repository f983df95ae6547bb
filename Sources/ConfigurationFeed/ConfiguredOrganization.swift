package import Domain
package import JSON

/// What gateways know of an organization beside its projects.
package struct ConfiguredOrganization: Hashable, Sendable {
  package var plan: PlanTier
  /// Upstream providers by name; nil means all.
  package var providers: [String]?
  /// Requests that are left this month, the included ones and those for credits, rounded down; nil when there is no
  /// limit.
  package var remaining: Int64?
  /// When the plan's included requests are counted from the beginning, so that there are some again; nil when they are
  /// not.
  package var resetsAt: Timestamp?
  /// Of the whole workspace.
  package var rules: [RuleID: ConfiguredRule]

  package init(
    plan: PlanTier, providers: [String]? = nil, remaining: Int64? = nil,
    resetsAt: Timestamp? = nil,
    rules: [RuleID: ConfiguredRule] = [:]
  ) {
    self.plan = plan
    self.providers = providers
    self.remaining = remaining
    self.resetsAt = resetsAt
    self.rules = rules
  }

  /// Whether the month's requests and the credits are used up.
  package func isExhausted(at time: Timestamp) -> Bool {
    guard let remaining, remaining <= 0 else { return false }
    return resetsAt.map { time < $0 } ?? true
  }

  /// The organization's member of the document, but for `projects`.
  package var json: JSONObject {
    var object = JSONObject()
    object.set("plan", plan.rawValue)
    if let providers { object.set("providers", providers) }
    if let remaining {
      var capacity = JSONObject()
      capacity.set("remaining", remaining)
      if let resetsAt { capacity.set("resets_at", resetsAt.rfc3339) }
      object.set("capacity", capacity)
    }
    if !rules.isEmpty { object.set("rules", rules.json) }
    return object
  }

  /// The organization's member of the document, `projects` included.
  package func json(with projects: [ProjectID: ConfiguredProject]) -> JSONObject {
    var object = json
    object.set("projects", projects.object(\.json))
    return object
  }

  package init(_ json: JSONValue) throws(ConfigurationError) {
    let reader = try MemberReader(json)
    plan = try reader.required("plan", try reader.choice("plan", of: PlanTier.self))
    providers = try reader.strings("providers")
    let capacity = try reader.object("capacity") { (value) throws(ConfigurationError) in
      try MemberReader(value)
    }
    remaining = try capacity?.integer("remaining")
    resetsAt = try capacity?.time("resets_at")
    rules = try reader.rules()
  }
}

extension MemberReader {
  func rules() throws(ConfigurationError) -> [RuleID: ConfiguredRule] {
    try dictionary(
      "rules", { (name) throws(ConfigurationError) in try RuleID(named: name, in: "") },
      { (value) throws(ConfigurationError) in try ConfiguredRule(value) })
  }
}
