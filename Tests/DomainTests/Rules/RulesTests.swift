import FoundationEssentials
import Support
import Testing

@testable import Domain

/// How a workspace's rules are arranged, and what the event of a replaced set does to them.
@Suite struct RulesTests {
  private static let deny = Rule(
    projectID: assistant, match: RuleTests.europe, effect: .deny, createdBy: .system,
    createdAt: .epoch, updatedAt: .epoch)

  @Test func `the arrangement follows every change, and leaves nothing behind`() {
    var random = SeededGenerator(seed: 21)
    var rules = Rules()
    var plain: [RuleID: Rule] = [:]
    let projects: [ProjectID?] = [nil, assistant, other]
    let ids = (0..<12).map { RuleID(UUID(UInt128(7000 + $0))) }
    for _ in 0..<2000 {
      let id = ids[Int.random(in: 0..<12, using: &random)]
      let project = projects[Int.random(in: 0..<3, using: &random)]
      let rule: Rule? =
        Bool.random(using: &random)
        ? Rule(
          projectID: project, match: RuleTests.europe, effect: .deny, createdBy: .system,
          createdAt: .epoch, updatedAt: .epoch) : nil
      rules[id] = rule
      plain[id] = rule
      #expect(rules.count == plain.count)
      #expect(Dictionary(uniqueKeysWithValues: rules.all.map { ($0.key, $0.value) }) == plain)
      for project in projects {
        let own = plain.filter { $0.value.projectID == project }
        #expect(rules.of(project) == own)
        #expect(rules.count(of: project) == own.count)
      }
      var anew = Rules()
      for (id, rule) in plain { anew[id] = rule }
      #expect(anew == rules, "the same rules are equal, however they came about")
    }
  }

  @Test func `a set's version knows nothing of order, and tells every difference`() {
    let rules = (0..<50).map { (key: RuleID(UUID(UInt128(100 + $0))), value: Self.deny) }
    let version = Rule.setVersion(rules)
    #expect(Rule.setVersion(rules.reversed()) == version)
    #expect(Rule.setVersion(rules.dropLast()) != version)
    var changed = rules
    changed[7].value.version += 1
    #expect(Rule.setVersion(changed) != version)
    let swapped = [
      (key: rules[0].key, value: changed[7].value), (key: rules[7].key, value: rules[0].value),
    ]
    #expect(Rule.setVersion(swapped) != Rule.setVersion([rules[0], changed[7]]))
  }

  // MARK: The event

  private static let rule = RuleSetEvent.Created(
    ruleID: secondRule, match: RuleTests.model, effect: .allow, note: "why", expiresAt: nil)
  private static let history: [WorkspaceEvent] = [
    .created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(RuleTests.europe),
    .ruled(RuleTests.network, id: RuleID(UUID(UInt128(2003))), in: nil),
  ]

  @Test func `it is the same as what its parts would be one by one`() {
    var together = given(Self.history).workspace
    var apart = together
    #expect(throws: Never.self) {
      try together.fold(RuleTests.replaced(deleted: [firstRule], created: [Self.rule]))
      try apart.fold(.rule(.deleted(.init(ruleID: firstRule))))
      try apart.fold(
        .ruled(RuleTests.model, .allow, id: secondRule), version: apart.version + 1)
    }
    #expect(together.rules[firstRule] == nil)
    #expect(together.rules[secondRule]?.match == apart.rules[secondRule]?.match)
    #expect(together.rules[secondRule]?.note == "why")
    #expect(together.rules[secondRule]?.projectID == assistant)
    #expect(together.rules.count(of: nil) == 1)
    #expect(together.version == Int64(Self.history.count) + 1, "one act, one event")
  }

  @Test func `what contradicts the state cannot be folded, and changes nothing`() {
    let around = RuleID(UUID(UInt128(2003)))
    let scenario = given(Self.history)
    // Of the workspace, not of the project; unknown; there already, in whatever place.
    scenario.thenCannotFold(RuleTests.replaced(deleted: [firstRule, around]))
    scenario.thenCannotFold(RuleTests.replaced(deleted: [firstRule, firstRule]))
    scenario.thenCannotFold(
      RuleTests.replaced(
        changed: [.init(ruleID: secondRule, effect: .deny, note: nil, expiresAt: nil)]))
    for id in [firstRule, around] {
      scenario.thenCannotFold(
        RuleTests.replaced(
          created: [
            .init(ruleID: id, match: RuleTests.model, effect: .deny, note: nil, expiresAt: nil)
          ]))
    }
  }

  @Test func `a set of the largest plan is replaced in linear time`() throws {
    func drafts(_ range: Range<Int>) -> [RuleCommand.Draft] {
      range.map {
        RuleCommand.Draft(
          id: RuleID(UUID(UInt128(10_000 + $0))),
          match: .model(provider: "openai", ModelPattern("model-\($0)")!), effect: .deny)
      }
    }
    func time(_ count: Int) throws -> Duration {
      var workspace = given(.created, .ownerAdded, .onPlan(.business), .projectCreated).workspace
      let start = ContinuousClock.now
      for range in [0..<count, count..<2 * count] {
        let events = try workspace.answer(.rule(.replaceAll(of: assistant, drafts(range))))
        for event in events { try workspace.fold(event) }
      }
      #expect(workspace.rules.count == count)
      return .now - start
    }
    _ = try time(50)
    // Ten times as much. What is quadratic takes a hundred times as long, however busy the machine is.
    let ratios = try (0..<3).map { _ in try time(5000) / time(500) }
    #expect(ratios.contains { $0 < 40 }, "\(ratios)")
  }
}
