package import Domain
package import JSON

/// A project as gateways see it: the member of `projects`.
package struct ConfiguredProject: Hashable, Sendable {
  package struct PanicMode: Hashable, Sendable {
    package var since: Timestamp
    /// When it ends by itself; nil when somebody must end it.
    package var until: Timestamp?

    package init(since: Timestamp, until: Timestamp? = nil) {
      self.since = since
      self.until = until
    }

    package func isOn(at time: Timestamp) -> Bool { until.map { time < $0 } ?? true }
  }

  package var environment: Project.Environment
  package var rateLimit: Int64?
  package var abuseThreshold: Int64?
  package var maxTokens: Int64?
  package var loopSensitivity: Thresholds.LoopSensitivity
  /// The budget in requests a calendar month; nil when there is none.
  package var requestsPerMonth: Int64?
  /// The budget in micro-USD a calendar month; nil when there is none.
  package var costPerMonth: Int64?
  /// Nil when it is off.
  package var panicMode: PanicMode?
  package var rules: [RuleID: ConfiguredRule]
  /// By the ids of the keys.
  package var apiKeys: [String: ConfiguredAPIKey]
  /// By the names of the providers.
  package var providerKeys: [String: ConfiguredProviderKey]

  package init(
    environment: Project.Environment, thresholds: Thresholds = Thresholds(),
    requestsPerMonth: Int64? = nil, costPerMonth: Int64? = nil, panicMode: PanicMode? = nil,
    rules: [RuleID: ConfiguredRule] = [:], apiKeys: [String: ConfiguredAPIKey] = [:],
    providerKeys: [String: ConfiguredProviderKey] = [:]
  ) {
    self.environment = environment
    rateLimit = thresholds.rateLimit
    abuseThreshold = thresholds.abuseThreshold
    maxTokens = thresholds.maxTokens
    loopSensitivity = thresholds.loopSensitivity
    self.requestsPerMonth = requestsPerMonth
    self.costPerMonth = costPerMonth
    self.panicMode = panicMode
    self.rules = rules
    self.apiKeys = apiKeys
    self.providerKeys = providerKeys
  }

  package var thresholds: Thresholds {
    Thresholds(
      rateLimit: rateLimit, abuseThreshold: abuseThreshold, maxTokens: maxTokens,
      loopSensitivity: loopSensitivity)
  }
}

extension ConfiguredProject {
  package var json: JSONObject {
    var object = JSONObject()
    object.set("environment", environment.rawValue)
    var thresholds = JSONObject()
    if let rateLimit { thresholds.set("rate_limit", rateLimit) }
    if let abuseThreshold { thresholds.set("abuse_threshold", abuseThreshold) }
    if let maxTokens { thresholds.set("max_tokens", maxTokens) }
    if loopSensitivity != .off { thresholds.set("loop_sensitivity", loopSensitivity.rawValue) }
    if !thresholds.isEmpty { object.set("thresholds", thresholds) }
    var budgets = JSONObject()
    if let requestsPerMonth { budgets.set("requests_per_month", requestsPerMonth) }
    if let costPerMonth { budgets.set("cost_per_month", costPerMonth) }
    if !budgets.isEmpty { object.set("budgets", budgets) }
    if let panicMode {
      var mode = JSONObject()
      mode.set("since", panicMode.since.rfc3339)
      if let until = panicMode.until { mode.set("until", until.rfc3339) }
      object.set("panic_mode", mode)
    }
    if !rules.isEmpty { object.set("rules", rules.json) }
    if !apiKeys.isEmpty { object.set("api_keys", apiKeys.object(\.json)) }
    if !providerKeys.isEmpty { object.set("provider_keys", providerKeys.object(\.json)) }
    return object
  }

  package init(_ json: JSONValue) throws(ConfigurationError) {
    let reader = try MemberReader(json)
    let environment = try reader.required(
      "environment", try reader.choice("environment", of: Project.Environment.self))
    let thresholds = try reader.object("thresholds") { (value) throws(ConfigurationError) in
      let reader = try MemberReader(value)
      return Thresholds(
        rateLimit: try reader.count("rate_limit"),
        abuseThreshold: try reader.count("abuse_threshold"),
        maxTokens: try reader.count("max_tokens"),
        loopSensitivity: try reader.choice(
          "loop_sensitivity", of: Thresholds.LoopSensitivity.self) ?? .off)
    }
    let budgets = try reader.object("budgets") { (value) throws(ConfigurationError) in
      let reader = try MemberReader(value)
      return (
        requests: try reader.count("requests_per_month"), cost: try reader.count("cost_per_month")
      )
    }
    let panicMode = try reader.object("panic_mode") { (value) throws(ConfigurationError) in
      let reader = try MemberReader(value)
      return PanicMode(
        since: try reader.required("since", try reader.time("since")),
        until: try reader.time("until"))
    }
    self.init(
      environment: environment, thresholds: thresholds ?? Thresholds(),
      requestsPerMonth: budgets?.requests, costPerMonth: budgets?.cost, panicMode: panicMode,
      rules: try reader.rules(),
      apiKeys: try reader.dictionary("api_keys", { $0 }) { (value) throws(ConfigurationError) in
        try ConfiguredAPIKey(value)
      },
      providerKeys: try reader.dictionary("provider_keys", { $0 }) {
        (value) throws(ConfigurationError) in try ConfiguredProviderKey(value)
      })
  }
}
