import FoundationEssentials
import Support
import Testing

@testable import Domain

@Suite struct ReplayTests {
  static let denyAll = RuleID(UUID(UInt128(51)))
  static let time = Timestamp(clamping: 1_700_000_000_000_000)

  static func log(
    _ decision: RequestLog.Decision, _ reason: RequestLog.Reason? = nil, model: String = "gpt-4o",
    tokens: Int64? = nil
  ) -> RequestLog {
    var random = SystemRandomNumberGenerator()
    return RequestLog(
      id: RequestLogID(UUID.version7(at: time, using: &random)), projectID: assistant, keyID: nil,
      decision: decision, reason: reason, ruleID: nil, route: nil, provider: "openai",
      model: model, country: Country("DE"), region: .europe, address: IPAddress("10.0.0.1"),
      tokensRequested: tokens, tokensIn: nil, tokensOut: nil, costMicroUSD: nil, status: nil,
      latencyMilliseconds: nil, configurationPosition: 1)
  }

  static func replay(
    _ logs: [RequestLog], denying pattern: String?, maxTokens: Int64? = nil
  ) -> Replay {
    var rules: [RuleID: Rule] = [:]
    if let match = pattern.flatMap({ Rule.Match(.model, $0, provider: "openai") }) {
      rules[denyAll] = Rule(
        projectID: assistant, match: match, effect: .deny, note: nil, expiresAt: nil,
        createdBy: .system, createdAt: time, updatedAt: time)
    }
    var thresholds = Thresholds()
    thresholds.maxTokens = maxTokens
    var replay = Replay(
      Controls(rules: RuleSet(rules), thresholds: thresholds), mostSamples: 2)
    for log in logs { replay.add(log) }
    return replay
  }

  @Test(arguments: [RequestLog.Reason.key, .plan, .quota, .panicMode])
  func `no rule changes what was decided before rules`(reason: RequestLog.Reason) {
    for pattern in [nil, "*"] {
      let replay = Self.replay([Self.log(.block, reason)], denying: pattern)
      #expect(replay.same == 1)
      #expect(replay.otherReason == 0)
    }
  }

  @Test(arguments: [RequestLog.Reason.rateLimit, .abuse, .loop, .budget])
  func `a counter blocks as before what the rules let pass`(reason: RequestLog.Reason) {
    let passing = Self.replay([Self.log(.block, reason)], denying: nil)
    #expect(passing.same == 1)
    #expect(passing.otherReason == 0)
    let blocked = Self.replay([Self.log(.block, reason)], denying: "*")
    #expect(blocked.same == 1)
    #expect(blocked.otherReason == 1)
  }

  @Test func `what changes is counted by what decides, and shown up to a number`() {
    let logs = [
      Self.log(.allow), Self.log(.allow, model: "o1"), Self.log(.block, .model, model: "o1"),
      Self.log(.block, .network), Self.log(.allow), Self.log(.allow),
    ]
    let replay = Self.replay(logs, denying: "gpt-*")
    #expect(replay.total == 6)
    #expect(replay.same == 2)
    #expect(replay.otherReason == 1)
    #expect(replay.changes.wouldBeBlocked == 3)
    #expect(replay.changes.wouldBeAllowed == 1)
    #expect(replay.byReason[.model]?.wouldBeBlocked == 3)
    #expect(replay.byReason[.model]?.wouldBeAllowed == 1)
    #expect(
      replay.samples == [
        Replay.Difference(
          log: logs[0].id, before: .init(.allow, nil), after: .init(.block, .model),
          rule: Self.denyAll),
        Replay.Difference(
          log: logs[2].id, before: .init(.block, .model), after: .init(.allow, nil), rule: nil),
      ])
  }

  @Test func `the tokens that a request asked for count`() {
    let log = Self.log(.block, .model, tokens: 100)
    #expect(Self.replay([log], denying: nil, maxTokens: 99).otherReason == 1)
    #expect(Self.replay([log], denying: nil, maxTokens: 100).changes.wouldBeAllowed == 1)
  }

  @Test func `an id says when`() {
    #expect(Self.log(.allow).time == Self.time)
    #expect(Self.log(.allow).id.hasTime)
    #expect(!RequestLogID(UUID(UInt128(0))).hasTime)
    #expect(!RequestLogID(UUID()).hasTime)
  }
}
