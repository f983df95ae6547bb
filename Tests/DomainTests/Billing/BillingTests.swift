import Domain
import Support
import Testing

@Suite struct BillingTests {
  static func fact(
    _ id: String, _ tier: PlanTier?, _ time: Int64, rank: Int64 = 1, source: String = "evt"
  ) -> BillingCommand {
    .subscription(
      id, customerID: "cus_\(id)", planTier: tier,
      Billing.Place(time: time, rank: rank, source: source))
  }

  static func workspace() throws -> Workspace {
    let owner = try #require(Scenario.actor.userID)
    return try folding(
      [.organization(.create(name: "Acme", slug: "acme", owner: owner))], into: Workspace())
  }

  static func folding(
    _ commands: [WorkspaceCommand], into start: Workspace
  ) throws -> Workspace {
    var workspace = start
    for command in commands {
      for event in try workspace.decide(command, in: context) { try workspace.fold(event) }
    }
    return workspace
  }

  static let context = CommandContext(
    actor: .system, time: Timestamp(clamping: 0), plans: .standard)

  @Test func `an organization that does not exist pays for nothing`() {
    #expect(throws: Rejection.notFound(.organization)) {
      try Workspace().decide(.billing(.link(customerID: "cus_1")), in: Self.context)
    }
    #expect(throws: Rejection.notFound(.organization)) {
      try Workspace().decide(.billing(Self.fact("a", .plus, 1)), in: Self.context)
    }
  }

  @Test func `the first customer stays, until another one pays for the plan`() throws {
    var workspace = try Self.folding(
      [.billing(.link(customerID: "cus_1")), .billing(.link(customerID: "cus_2"))],
      into: Self.workspace())
    #expect(workspace.billing.customerID == "cus_1")
    workspace = try Self.folding([.billing(Self.fact("a", nil, 1))], into: workspace)
    #expect(workspace.billing.customerID == "cus_1")
    workspace = try Self.folding([.billing(Self.fact("b", .plus, 1))], into: workspace)
    #expect(workspace.billing.customerID == "cus_b")
    #expect(workspace.billing.subscriptionID == "b")
    #expect(workspace.plan?.tier == .plus)
  }

  @Test func `telling it again yields no events`() throws {
    let fact = WorkspaceCommand.billing(Self.fact("a", .plus, 5))
    let workspace = try Self.folding([fact], into: Self.workspace())
    #expect(try workspace.decide(fact, in: Self.context) == [])
    for older in [Self.fact("a", .business, 4), Self.fact("a", nil, 5, rank: 0)] {
      #expect(try workspace.decide(.billing(older), in: Self.context) == [])
    }
  }

  @Test func `every order of the same facts leaves the same plan`() throws {
    var random = SeededGenerator(seed: 11)
    for _ in 0..<200 {
      var facts: [WorkspaceCommand] = []
      for index in 0..<8 {
        let tier = [nil, PlanTier.plus, .business].randomElement(using: &random) ?? nil
        facts.append(
          .billing(
            Self.fact(
              ["a", "b"].randomElement(using: &random) ?? "a", tier,
              Int64.random(in: 1...4, using: &random),
              rank: Int64.random(in: 0...2, using: &random), source: "evt_\(index)")))
      }
      let one = try Self.folding(facts, into: Self.workspace())
      let other = try Self.folding(facts.shuffled(using: &random), into: Self.workspace())
      #expect(one.billing.subscriptions == other.billing.subscriptions)
      #expect(one.billing.subscriptionID == other.billing.subscriptionID)
      #expect(one.plan?.tier == other.plan?.tier)
      #expect(one.plan?.tier == one.billing.planTier)
    }
  }

  @Test func `a plan that somebody gave stays while what is paid for is the same`() throws {
    let workspace = try Self.folding(
      [
        .billing(Self.fact("a", .plus, 1)), .plan(.change(to: .business)),
        .billing(Self.fact("a", .plus, 2)),
      ], into: Self.workspace())
    #expect(workspace.plan?.tier == .business)
    let after = try Self.folding([.billing(Self.fact("a", nil, 3))], into: workspace)
    #expect(after.plan?.tier == .free)
  }

  @Test func `an archived organization keeps its plan, and what was told`() throws {
    let workspace = try Self.folding(
      [
        .billing(Self.fact("a", .plus, 1)), .organization(.archive),
        .billing(Self.fact("a", nil, 2)),
      ], into: Self.workspace())
    #expect(workspace.plan?.tier == .plus)
    #expect(workspace.billing.subscriptionID == nil)
  }
}
