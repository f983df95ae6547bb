import FoundationEssentials
import Support
import Testing

@testable import Domain

let firstRule = RuleID(UUID(UInt128(2001)))
let secondRule = RuleID(UUID(UInt128(2002)))

extension WorkspaceEvent {
  static func ruled(
    _ match: Rule.Match, _ effect: Rule.Effect = .deny, id: RuleID = firstRule,
    in project: ProjectID? = assistant, until expiresAt: Timestamp? = nil
  ) -> Self {
    .rule(
      .created(
        .init(
          ruleID: id, projectID: project, match: match, effect: effect, note: nil,
          expiresAt: expiresAt)))
  }
}

@Suite struct RuleTests {
  static let europe = Rule.Match.region(.europe)
  static let model = Rule.Match.model(provider: "openai", ModelPattern("gpt-*")!)
  static let network = Rule.Match.network(Network("10.0.0.0/8")!)

  static func create(
    _ match: Rule.Match = europe, _ effect: Rule.Effect = .deny, id: RuleID = firstRule,
    in project: ProjectID? = assistant, until expiresAt: Timestamp? = nil
  ) -> WorkspaceCommand {
    .rule(
      .create(
        id, project: project, match: match, effect: effect, note: nil, expiresAt: expiresAt))
  }
  static func change(
    effect: Rule.Effect? = nil, note: ExactText?? = nil, expiresAt: Timestamp?? = nil
  ) -> WorkspaceCommand {
    .rule(.change(firstRule, effect: effect, note: note, expiresAt: expiresAt))
  }
  static let delete = WorkspaceCommand.rule(.delete(firstRule))

  // MARK: Made, changed, gone

  @Test func `a rule is for a project or for the whole workspace`() {
    let scenario = given(.created, .ownerAdded, .onPlan(.plus), .projectCreated)
    let workspace = scenario.when(Self.create()).then(.ruled(Self.europe))
    #expect(workspace.rules[firstRule]?.projectID == assistant)
    #expect(workspace.rules[firstRule]?.version == 1)
    scenario.when(Self.create(in: nil)).then(.ruled(Self.europe, in: nil))
  }

  @Test func `effect, note and expiry change together, and what stays is nothing`() {
    let scenario = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(Self.europe))
    let time = Scenario.time(1000)
    let changed = scenario.when(
      Self.change(effect: .allow, note: .some("partners"), expiresAt: .some(time))
    ).then(
      .rule(
        .changed(.init(ruleID: firstRule, effect: .allow, note: "partners", expiresAt: time))))
    #expect(changed.rules[firstRule]?.effect == .allow)
    #expect(changed.rules[firstRule]?.version == 2)
    scenario.when(Self.change()).thenNothing()
    scenario.when(Self.change(effect: .deny, note: .some(nil))).thenNothing()
  }

  @Test func `a deleted rule is gone, and its place is free`() {
    let scenario = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(Self.europe))
    let workspace = scenario.when(Self.delete).then(.rule(.deleted(.init(ruleID: firstRule))))
    #expect(workspace.rules.isEmpty)
    given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(Self.europe),
      .rule(.deleted(.init(ruleID: firstRule)))
    ).when(Self.create(id: secondRule)).then(.ruled(Self.europe, id: secondRule))
  }

  @Test func `making it again yields nothing`() {
    given(.created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(Self.europe))
      .when(Self.create()).thenNothing()
  }

  // MARK: Refused

  @Test func `another workspace's rule and project are not found`() {
    let scenario = given(.created, .ownerAdded, .onPlan(.plus), .projectCreated)
    scenario.when(Self.delete).thenRejected(.notFound(.rule))
    scenario.when(Self.change(effect: .allow)).thenRejected(.notFound(.rule))
    scenario.when(Self.create(in: other)).thenRejected(.notFound(.project))
  }

  @Test(arguments: [(Rule.Effect.deny, false), (.allow, true)])
  func `in one place there is one rule about one thing`(
    effect: Rule.Effect, isContradiction: Bool
  ) {
    let scenario = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(Self.europe))
    scenario.when(Self.create(Self.europe, effect, id: secondRule))
      .thenRejected(.ruleExists(firstRule, isContradiction: isContradiction))
    scenario.when(Self.create(Self.europe, effect, id: secondRule, in: nil))
      .then(.ruled(Self.europe, effect, id: secondRule, in: nil))
  }

  @Test func `one that has expired stands in nobody's way, until it is extended`() {
    let soon = Scenario.time(6)
    let scenario = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(Self.europe, until: soon))
    scenario.when(Self.create(id: secondRule), at: soon.advanced(by: -1))
      .thenRejected(.ruleExists(firstRule, isContradiction: false))
    scenario.when(Self.create(id: secondRule), at: soon).then(.ruled(Self.europe, id: secondRule))
    given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(Self.europe, until: soon),
      .ruled(Self.europe, .allow, id: secondRule)
    ).when(Self.change(expiresAt: .some(nil)))
      .thenRejected(.ruleExists(secondRule, isContradiction: true))
  }

  @Test func `one that would never match, because it has expired, is not made`() {
    let scenario = given(.created, .ownerAdded, .onPlan(.plus), .projectCreated)
    let now = Scenario.time(500)
    for end in [now, now.advanced(by: -1), Scenario.time(1)] {
      scenario.when(Self.create(until: end), at: now).thenRejected(.ruleExpired(index: nil))
      scenario.when(
        Self.replaceAll(
          .init(id: firstRule, match: Self.network, effect: .deny),
          .init(id: secondRule, match: Self.europe, effect: .deny, expiresAt: end)), at: now
      ).thenRejected(.ruleExpired(index: 1))
    }
    let soon = now.advanced(by: 1)
    scenario.when(Self.create(until: soon), at: now).then(.ruled(Self.europe, until: soon))
  }

  @Test func `one that has expired stays in a set, but none is changed to have expired`() {
    let (end, now) = (Scenario.time(6), Scenario.time(500))
    let expired = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(Self.europe, until: end))
    expired.when(
      Self.replaceAll(.init(id: secondRule, match: Self.europe, effect: .deny, expiresAt: end)),
      at: now
    ).thenNothing()
    expired.when(
      Self.replaceAll(
        .init(id: secondRule, match: Self.europe, effect: .deny, expiresAt: Scenario.time(7))),
      at: now
    ).thenRejected(.ruleExpired(index: 0))
    let scenario = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(Self.europe))
    scenario.when(Self.change(expiresAt: .some(now)), at: now)
      .thenRejected(.ruleExpired(index: nil))
  }

  // MARK: Limited

  @Test(arguments: [
    (europe, PlanFeature.regionRules), (network, .networkControls),
    (.country(Country("DE")!), .regionRules),
  ])
  func `some rules need a larger plan`(match: Rule.Match, feature: PlanFeature) {
    let missing = FeatureMissing(feature: feature, plan: .free, upgrade: .plus)
    given(.created, .ownerAdded, .projectCreated).when(Self.create(match))
      .thenRejected(.featureMissing(missing))
    given(.created, .ownerAdded, .onPlan(.plus), .projectCreated).when(Self.create(match))
      .then(.ruled(match))
  }

  @Test func `a project has as many rules as the plan allows`() throws {
    let rules = (0..<10).map { number in
      WorkspaceEvent.ruled(
        .model(provider: "openai", ModelPattern("model-\(number)")!),
        id: RuleID(UUID(UInt128(3000 + number))))
    }
    let workspace = try given(.created, .ownerAdded, .projectCreated).workspace.after(rules)
    let exceeded = LimitExceeded(
      limit: .rulesPerProject, allowed: 10, usage: 10, plan: .free, upgrade: .plus)
    #expect(throws: Rejection.limitExceeded(exceeded)) {
      try workspace.answer(Self.create(Self.model))
    }
    // The workspace around it has as many again.
    #expect(try workspace.answer(Self.create(Self.model, in: nil)) == [.ruled(Self.model, in: nil)])
  }

  // MARK: All at once

  static func replaceAll(_ drafts: RuleCommand.Draft...) -> WorkspaceCommand {
    .rule(.replaceAll(of: assistant, drafts))
  }
  static func replaced(
    deleted: [RuleID] = [], changed: [RuleEvent.Changed] = [],
    created: [RuleSetEvent.Created] = []
  ) -> WorkspaceEvent {
    .ruleSet(
      .replaced(
        .init(projectID: assistant, deleted: deleted, changed: changed, created: created)))
  }

  @Test
  func
    `replacing deletes what is not there, keeps what is, changes what differs, creates the rest`()
  {
    let third = RuleID(UUID(UInt128(2003)))
    let scenario = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(Self.europe),
      .ruled(Self.network, id: secondRule))
    let workspace = scenario.when(
      Self.replaceAll(
        .init(id: third, match: Self.model, effect: .allow),
        .init(id: firstRule, match: Self.network, effect: .allow))
    ).then(
      Self.replaced(
        deleted: [firstRule],
        changed: [.init(ruleID: secondRule, effect: .allow, note: nil, expiresAt: nil)],
        created: [
          .init(ruleID: third, match: Self.model, effect: .allow, note: nil, expiresAt: nil)
        ]))
    #expect(Set(workspace.rules.keys) == [secondRule, third])
  }

  @Test
  func `replacing by the same yields nothing, and only a difference changes the set's version`() {
    let scenario = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(Self.europe),
      .ruled(Self.network, id: secondRule, in: nil))
    scenario.when(Self.replaceAll(.init(id: secondRule, match: Self.europe, effect: .deny)))
      .thenNothing()
    let before = scenario.workspace.version(of: .ruleSet(assistant))
    let after = scenario.when(
      Self.replaceAll(.init(id: secondRule, match: Self.europe, effect: .allow))
    ).then(
      Self.replaced(
        changed: [.init(ruleID: firstRule, effect: .allow, note: nil, expiresAt: nil)]))
    #expect(before != nil)
    #expect(after.version(of: .ruleSet(assistant)) != before)
  }

  @Test func `the workspace's own rules and those of other projects stay`() {
    given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(Self.europe, in: nil),
      .ruled(Self.network, id: secondRule)
    ).when(Self.replaceAll()).then(Self.replaced(deleted: [secondRule]))
  }

  @Test func `a set that contradicts itself is refused as a whole`() {
    given(.created, .ownerAdded, .onPlan(.plus), .projectCreated, .ruled(Self.network)).when(
      Self.replaceAll(
        .init(id: firstRule, match: Self.europe, effect: .deny),
        .init(id: secondRule, match: Self.europe, effect: .allow))
    ).thenRejected(.ruleExists(firstRule, isContradiction: true))
  }

  @Test func `what is above the plan may go on, but not grow`() throws {
    let drafts = (0..<12).map { number in
      RuleCommand.Draft(
        id: RuleID(UUID(UInt128(3000 + number))),
        match: .model(provider: "openai", ModelPattern("model-\(number)")!), effect: .deny)
    }
    let rules = drafts.map { WorkspaceEvent.ruled($0.match, id: $0.id) }
    let workspace = try given(.created, .ownerAdded, .projectCreated).workspace.after(rules)
    let fewer = Array(drafts.prefix(11))
    #expect(
      try workspace.answer(.rule(.replaceAll(of: assistant, fewer)))
        == [Self.replaced(deleted: [drafts[11].id])])
    let exceeded = LimitExceeded(
      limit: .rulesPerProject, allowed: 10, usage: 11, plan: .free, upgrade: .plus)
    #expect(throws: Rejection.limitExceeded(exceeded)) {
      try workspace.answer(
        .rule(
          .replaceAll(
            of: assistant, fewer + [.init(id: secondRule, match: Self.model, effect: .deny)])))
    }
    #expect(
      throws: Rejection.featureMissing(
        FeatureMissing(feature: .regionRules, plan: .free, upgrade: .plus))
    ) {
      try workspace.answer(
        Self.replaceAll(.init(id: secondRule, match: Self.europe, effect: .deny)))
    }
  }
}
