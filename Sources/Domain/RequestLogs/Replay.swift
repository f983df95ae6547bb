/// What would have become of recorded requests under other rules.
package struct Replay: Sendable {
  /// A request that would have been decided differently.
  package struct Difference: Equatable, Sendable {
    package let log: RequestLogID
    package let before: Verdict
    package let after: Verdict
    /// The rule that decides now, when a rule does.
    package let rule: RuleID?
  }

  /// Whether a request passes, and what decides that.
  package struct Verdict: Hashable, Sendable {
    package let decision: RequestLog.Decision
    package let reason: RequestLog.Reason?

    package init(_ decision: RequestLog.Decision, _ reason: RequestLog.Reason?) {
      self.decision = decision
      self.reason = reason
    }
  }

  /// How often something changed, by what decides.
  package struct Changes: Equatable, Sendable {
    package var wouldBeBlocked = 0
    package var wouldBeAllowed = 0
  }

  package private(set) var total = 0
  /// Decided alike, for whatever reason.
  package private(set) var same = 0
  /// Of these, for another reason than before.
  package private(set) var otherReason = 0
  package private(set) var changes = Changes()
  /// What would block now, and what blocked and would not any more.
  package private(set) var byReason: [RequestLog.Reason: Changes] = [:]
  package private(set) var samples: [Difference] = []

  private let controls: Controls
  private let mostSamples: Int

  /// - Parameter controls: with the rules in question. What stands before the rules is taken as it was recorded, so plan,
  ///   quota and panic mode of the controls should have nothing to say.
  package init(_ controls: Controls, mostSamples: Int) {
    self.controls = controls
    self.mostSamples = mostSamples
  }

  /// Decides about one more recorded request.
  package mutating func add(_ log: RequestLog) {
    total += 1
    let before = Verdict(log.decision, log.reason)
    let (after, rule) = verdict(of: log)
    guard before.decision != after.decision else {
      same += 1
      if before.reason != after.reason { otherReason += 1 }
      return
    }
    if after.decision == .block {
      changes.wouldBeBlocked += 1
      if let reason = after.reason { byReason[reason, default: Changes()].wouldBeBlocked += 1 }
    } else {
      changes.wouldBeAllowed += 1
      if let reason = before.reason { byReason[reason, default: Changes()].wouldBeAllowed += 1 }
    }
    if samples.count < mostSamples {
      samples.append(Difference(log: log.id, before: before, after: after, rule: rule))
    }
  }

  private func verdict(of log: RequestLog) -> (Verdict, RuleID?) {
    switch log.reason {
    // Decided before any rule was looked at.
    case .key, .plan, .quota, .panicMode: return (Verdict(log.decision, log.reason), nil)
    case nil, .network, .geography, .model, .maxTokens, .rateLimit, .abuse, .loop, .budget: break
    }
    let decision = controls.decide(
      RequestDescription(
        address: log.address, country: log.country, provider: log.provider, model: log.model,
        tokens: log.tokensRequested, time: log.time))
    // A data plane's counters come after the evaluator, and would have said the same.
    if decision.isAllowed, log.decision == .block, let reason = log.reason, reason.step == nil {
      return (Verdict(.block, reason), nil)
    }
    let reason = decision.step.flatMap { RequestLog.Reason(rawValue: $0.rawValue) }
    return (Verdict(decision.isAllowed ? .allow : .block, reason), decision.rule)
  }
}
