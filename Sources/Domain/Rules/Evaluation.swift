/// A request to a model, as far as deciding about it needs.
package struct RequestDescription: Equatable, Sendable {
  package enum Key: String, Sendable, Codable, CaseIterable {
    case valid, unknown, revoked, expired
  }

  package var key: Key
  package var address: IPAddress?
  /// Nil when it is not known, or none: the request then belongs to the region ``Region/unknown``.
  package var country: Country?
  /// In small letters.
  package let provider: String
  package var model: String
  /// How many tokens it asks for; nil when it does not say.
  package var tokens: Int64?
  package var time: Timestamp

  /// - Parameter provider: by its name, in capital or small letters.
  package init(
    key: Key = .valid, address: IPAddress? = nil, country: Country? = nil, provider: String,
    model: String, tokens: Int64? = nil, time: Timestamp
  ) {
    self.key = key
    self.address = address
    self.country = country
    self.provider = provider.asciiLowercased
    self.model = model
    self.tokens = tokens
    self.time = time
  }
}

/// What decides about a project's requests.
package struct Controls: Sendable {
  /// Upstream providers by name that the plan has; nil means all.
  package var providers: [String]?
  /// Whether the month's requests and the credits are used up.
  package var isExhausted: Bool
  /// Nil when it is off.
  package var panicMode: Project.PanicMode?
  package var rules: RuleSet
  package var thresholds: Thresholds

  package init(
    providers: [String]? = nil, isExhausted: Bool = false,
    panicMode: Project.PanicMode? = nil, rules: RuleSet = RuleSet([:]),
    thresholds: Thresholds = Thresholds()
  ) {
    self.providers = providers
    self.isExhausted = isExhausted
    self.panicMode = panicMode
    self.rules = rules
    self.thresholds = thresholds
  }
}

/// What is looked at, in this order; the first one with something to say decides. The raw values are stored as evidence.
package enum DecisionStep: String, Sendable, Codable, CaseIterable {
  case key, plan, quota
  case panicMode = "panic_mode"
  case network, geography, model
  case maxTokens = "max_tokens"
}

/// Whether a request may pass, and why.
package struct Decision: Hashable, Sendable {
  package let isAllowed: Bool
  /// What decided; nil when nothing had anything to say, and the request passes.
  package let step: DecisionStep?
  /// The rule that decided, when a rule did.
  package let rule: RuleID?

  package init(isAllowed: Bool, step: DecisionStep? = nil, rule: RuleID? = nil) {
    self.isAllowed = isAllowed
    self.step = step
    self.rule = rule
  }
}

/// Is told what a decision looks at, and what matching costs.
protocol DecisionTrace {
  mutating func began(_ step: DecisionStep)
  /// A rule that is about the request, whether it is in force or not.
  mutating func looked(at rule: RuleID)
  /// One byte of the model's name was held against patterns.
  mutating func compared()
}

extension DecisionTrace {
  mutating func compared() {}
}

/// A decision with everything that was looked at on the way to it.
package struct Explanation: Equatable, Sendable {
  package struct Step: Equatable, Sendable {
    package let step: DecisionStep
    /// The rules about the request that were looked at, in that order: at most ``Explanation/maxRules`` of them, among which
    /// is the one that decides.
    package fileprivate(set) var rules: [RuleID] = []
    /// How many there were.
    package fileprivate(set) var ruleCount = 0
  }

  /// How many rules a step lists: an explanation must not grow with what a workspace has.
  package static let maxRules = 100

  package fileprivate(set) var steps: [Step] = []
  package fileprivate(set) var decision = Decision(isAllowed: true)
}

extension Controls {
  /// Decides about a request: the same code here and in every data plane. Takes no lock and asks nobody; counters (rate,
  /// loops, abuse) are the data plane's own.
  ///
  /// An allow rule ends the steps that are about rules of its own kind only: an address that is allowed may still ask for
  /// a model that is not.
  package func decide(_ request: RequestDescription) -> Decision {
    var trace = NoTrace()
    return decide(request, &trace)
  }

  /// The decision with its reasons.
  package func explain(_ request: RequestDescription) -> Explanation {
    var explanation = Explanation()
    explanation.decision = decide(request, &explanation)
    explanation.listDecidingRule()
    return explanation
  }

  private func decide(
    _ request: RequestDescription, _ trace: inout some DecisionTrace
  ) -> Decision {
    trace.began(.key)
    guard request.key == .valid else { return Decision(isAllowed: false, step: .key) }
    trace.began(.plan)
    if let providers, !providers.contains(request.provider) {
      return Decision(isAllowed: false, step: .plan)
    }
    trace.began(.quota)
    if isExhausted { return Decision(isAllowed: false, step: .quota) }
    trace.began(.panicMode)
    if let panicMode, panicMode.isOn(at: request.time) {
      return Decision(isAllowed: false, step: .panicMode)
    }
    var allowed: Decision?
    trace.began(.network)
    if let address = request.address,
      let rule = rules.rule(for: address, at: request.time, &trace)
    {
      if rule.effect == .deny { return .denied(.network, rule) }
      allowed = .allowed(.network, rule)
    }
    trace.began(.geography)
    if let rule = rules.rule(for: request.country, at: request.time, &trace) {
      if rule.effect == .deny { return .denied(.geography, rule) }
      allowed = .allowed(.geography, rule)
    }
    trace.began(.model)
    if let rule = rules.rule(
      forModel: request.model, of: request.provider, at: request.time, &trace)
    {
      if rule.effect == .deny { return .denied(.model, rule) }
      allowed = .allowed(.model, rule)
    }
    trace.began(.maxTokens)
    if let most = thresholds.maxTokens, let tokens = request.tokens, tokens > most {
      return Decision(isAllowed: false, step: .maxTokens)
    }
    return allowed ?? Decision(isAllowed: true)
  }
}

extension Decision {
  fileprivate static func denied(_ step: DecisionStep, _ rule: RuleSet.Entry) -> Decision {
    Decision(isAllowed: false, step: step, rule: rule.id)
  }

  fileprivate static func allowed(_ step: DecisionStep, _ rule: RuleSet.Entry) -> Decision {
    Decision(isAllowed: true, step: step, rule: rule.id)
  }
}

private struct NoTrace: DecisionTrace {
  mutating func began(_ step: DecisionStep) {}
  mutating func looked(at rule: RuleID) {}
}

extension Explanation: DecisionTrace {
  mutating func began(_ step: DecisionStep) { steps.append(Step(step: step)) }

  mutating func looked(at rule: RuleID) {
    guard let last = steps.indices.last else { return }
    steps[last].ruleCount += 1
    if steps[last].rules.count < Self.maxRules { steps[last].rules.append(rule) }
  }

  fileprivate mutating func listDecidingRule() {
    guard let rule = decision.rule,
      let place = steps.firstIndex(where: { $0.step == decision.step }),
      !steps[place].rules.contains(rule)
    else { return }
    steps[place].rules[steps[place].rules.count - 1] = rule
  }
}
