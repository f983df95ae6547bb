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

  // MARK: Updates of one second

  static func update(
    _ source: String, _ before: String?, _ after: String, _ tier: PlanTier?,
    ifUnclear: Billing.IfUnclear = .refuse
  ) -> WorkspaceCommand {
    .billing(
      .subscription(
        "a", customerID: "cus_a", planTier: tier, .init(time: 5, rank: 1, source: source),
        .init(source: source, before: before, after: after, planTier: tier),
        ifUnclear: ifUnclear))
  }

  /// A path through conditions, of which each has its own plan, or none.
  @Test func `updates of one second leave what the last one says, in any order`() throws {
    var random = SeededGenerator(seed: 18)
    let tiers: [String: PlanTier?] = ["x": .plus, "y": .business, "z": nil]
    func tier(of condition: String) -> PlanTier? { tiers[condition] ?? nil }
    for _ in 0..<500 {
      var condition = "x"
      var path: [WorkspaceCommand] = []
      for number in 0..<Int.random(in: 1...6, using: &random) {
        let next = ["x", "y", "z"].randomElement(using: &random) ?? "x"
        path.append(Self.update("evt_\(number)", condition, next, tier(of: next)))
        condition = next
      }
      // Each twice.
      let told = (path + path).shuffled(using: &random)
      var workspace = try Self.workspace()
      var isUnclear = false
      for command in told {
        do throws(Rejection) {
          for event in try workspace.decide(command, in: Self.context) {
            #expect(throws: Never.self) { try workspace.fold(event) }
          }
          isUnclear = false
        } catch {
          #expect(error == .subscriptionUnclear)
          isUnclear = true
        }
      }
      // A path that ends where it began says nothing, and then it is asked; otherwise the end is right.
      if !isUnclear, workspace.billing.subscriptions["a"]?.updates.count == path.count {
        #expect(workspace.billing.planTier == tier(of: condition) ?? .free)
      }
    }
  }

  @Test(arguments: [
    [update("evt_2", "x", "y", .plus), update("evt_1", "y", "z", .business)],
    [update("evt_1", "y", "z", .business), update("evt_2", "x", "y", .plus)],
  ])
  func `of two updates the one counts that began where the other ended`(
    updates: [WorkspaceCommand]
  ) throws {
    let workspace = try Self.folding(updates, into: Self.workspace())
    #expect(workspace.plan?.tier == .business)
    for update in updates { #expect(try workspace.decide(update, in: Self.context) == []) }
  }

  /// Two that undo each other, two that do not meet, and one that does not say where it began.
  @Test(arguments: [("y", "x"), ("v", "w"), (nil, "z")] as [(String?, String)])
  func `updates that say nothing about their order are not decided by chance`(
    before: String?, after: String
  ) throws {
    let first = Self.update("evt_1", "x", "y", .plus)
    let second = Self.update("evt_2", before, after, .business)
    for (one, other) in [(first, second), (second, first)] {
      let workspace = try Self.folding([one], into: Self.workspace())
      #expect(throws: Rejection.subscriptionUnclear) {
        try workspace.decide(other, in: Self.context)
      }
    }
  }

  @Test func `where nobody can be asked the greatest name counts, in any order`() throws {
    let updates = [
      Self.update("evt_1", "x", "y", .plus, ifUnclear: .decideByName),
      Self.update("evt_2", "y", "x", .business, ifUnclear: .decideByName),
    ]
    for order in [updates, updates.reversed()] {
      #expect(try Self.folding(order, into: Self.workspace()).plan?.tier == .business)
    }
  }

  @Test func `what was read counts for more than every update of that second`() throws {
    let read = WorkspaceCommand.billing(Self.fact("a", .business, 5, rank: 2, source: "evt_1"))
    let late = Self.update("evt_3", "y", "z", nil)
    let workspace = try Self.folding(
      [Self.update("evt_1", "x", "y", .plus), read, late], into: Self.workspace())
    #expect(workspace.plan?.tier == .business)
    // The end of a subscription is final.
    let ended = try Self.folding([.billing(Self.fact("a", nil, 5, rank: 3))], into: workspace)
    #expect(ended.plan?.tier == .free)
  }
}
