package import Domain
package import JSON

/// What gateways know of an organization beside its projects.
package struct ConfiguredOrganization: Hashable, Sendable {
  package var plan: PlanTier
  /// Upstream providers by name; nil means all.
  package var providers: [String]?
  /// Requests that are left this month, the included ones and those for credits; nil when there is no limit.
  package var remaining: Int64?
  /// Of the whole workspace.
  package var rules: [RuleID: ConfiguredRule]

  package init(
    plan: PlanTier, providers: [String]? = nil, remaining: Int64? = nil,
    rules: [RuleID: ConfiguredRule] = [:]
  ) {
    self.plan = plan
    self.providers = providers
    self.remaining = remaining
    self.rules = rules
  }

  /// The organization's member of the document, but for `projects`.
  package var json: JSONObject {
    var object = JSONObject()
    object.set("plan", plan.rawValue)
    if let providers { object.set("providers", providers) }
    if let remaining {
      var capacity = JSONObject()
      capacity.set("remaining", remaining)
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
    remaining =
      try reader.object("capacity") { (value) throws(ConfigurationError) in
        // Below zero when more was used than there was.
        try MemberReader(value).integer("remaining")
      } ?? nil
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
