import FoundationEssentials
import Support
import Testing

@testable import Domain

extension WorkspaceEvent {
  /// The workspace is on that plan, as a catalog has it.
  static func onPlan(_ tier: PlanTier, of catalog: PlanCatalog = .standard) -> Self {
    .plan(.changed(.init(tier, of: catalog)))
  }
  static let otherCreated = Self.project(
    .created(.init(projectID: other, name: "Other", environment: .test)))
}

extension Workspace {
  /// The same, after all of these.
  func after(_ events: [WorkspaceEvent]) throws(FoldError) -> Workspace {
    var workspace = self
    for event in events { try workspace.fold(event) }
    return workspace
  }

  /// What an owner's command yields when the next event is due.
  func answer(
    _ command: WorkspaceCommand, plans: PlanCatalog = .standard
  ) throws(Rejection) -> [WorkspaceEvent] {
    let time = Scenario.time(version + 1)
    return try decide(
      command,
      in: CommandContext(actor: .user(owner), time: time, plans: plans, upgrades: .selfService))
  }
}

@Suite struct PlanTests {
  static let createOther = WorkspaceCommand.project(
    .create(other, name: "Other", environment: .test))

  static func change(to tier: PlanTier) -> WorkspaceCommand { .plan(.change(to: tier)) }

  /// The standard plans in another edition, in which the smallest one allows so many projects.
  static func edition(_ version: Int64, projects: Int64) -> PlanCatalog? {
    PlanCatalog(
      version: version,
      plans: PlanCatalog.standard.plans.map { plan in
        var entitlements = plan.entitlements
        if plan.tier == .free { entitlements.projects = projects }
        return Plan(
          tier: plan.tier, name: plan.name, pricePerMonth: plan.pricePerMonth,
          entitlements: entitlements)
      })
  }

  // MARK: At the edge

  @Test(arguments: [
    LimitExceeded(limit: .projects, allowed: 1, usage: 1, plan: .free, upgrade: .plus),
    LimitExceeded(limit: .projects, allowed: 5, usage: 5, plan: .plus, upgrade: .business),
    LimitExceeded(limit: .projects, allowed: 100, usage: 100, plan: .business, upgrade: nil),
  ])
  func `the last project of a plan fits, and one more does not`(exceeded: LimitExceeded) throws {
    func id(_ number: Int64) -> ProjectID { ProjectID(UUID(UInt128(1000 + number))) }
    func create(_ number: Int64) -> WorkspaceCommand {
      .project(.create(id(number), name: "Assistant", environment: .live))
    }
    func created(_ number: Int64) -> WorkspaceEvent {
      .project(.created(.init(projectID: id(number), name: "Assistant", environment: .live)))
    }
    let almostFull = try given(.created, .ownerAdded, .onPlan(exceeded.plan)).workspace
      .after((1..<exceeded.allowed).map(created))
    let last = try almostFull.answer(create(exceeded.allowed))
    #expect(last.first == created(exceeded.allowed))
    let full = try almostFull.after(last)
    #expect(full.usage(of: .projects, at: Scenario.time(0)) == exceeded.allowed)
    #expect(throws: Rejection.limitExceeded(exceeded)) {
      try full.answer(create(exceeded.allowed + 1))
    }
    #expect(try full.answer(create(1)) == [], "repeating needs no room")
  }

  /// Half of them invited.
  @Test(arguments: [
    LimitExceeded(limit: .members, allowed: 3, usage: 3, plan: .free, upgrade: .plus),
    LimitExceeded(limit: .members, allowed: 15, usage: 15, plan: .plus, upgrade: .business),
    LimitExceeded(limit: .members, allowed: 250, usage: 250, plan: .business, upgrade: nil),
  ])
  func `the last member of a plan fits, and one more does not`(exceeded: LimitExceeded) throws {
    func invited(_ number: Int64) -> WorkspaceEvent {
      let uuid = UUID(UInt128(1000 + number))
      return .invited(InvitationID(uuid), DataSubjectID(uuid), at: Scenario.time(600))
    }
    // The owner is one.
    let others = (2..<exceeded.allowed).map { number -> WorkspaceEvent in
      number.isMultiple(of: 2)
        ? .joined(UserID(UUID(UInt128(1000 + number))), as: .viewer) : invited(number)
    }
    let almostFull = try given(.created, .ownerAdded, .onPlan(exceeded.plan)).workspace
      .after(others)
    #expect(try almostFull.answer(InvitationTests.create()).count == 1)
    let full = try almostFull.after([.invited()])
    #expect(full.usage(of: .members, at: Scenario.time(600)) == exceeded.allowed)
    #expect(throws: Rejection.limitExceeded(exceeded)) {
      try full.answer(InvitationTests.create(secondInvitation, secondSubject))
    }
  }

  @Test func `an archived project makes room`() {
    given(.created, .ownerAdded, .onPlan(.free), .projectCreated, .projectArchived)
      .when(Self.createOther, by: .user(owner)).then(.otherCreated)
  }

  /// Workspaces that are older than the plans.
  @Test func `who was given no plan has the free one of today`() throws {
    let roomy = try #require(Self.edition(7, projects: 2))
    let scenario = given(.created, .ownerAdded, .projectCreated)
    scenario.when(Self.createOther, by: .user(owner), plans: roomy).then(.otherCreated)
    scenario.when(Self.createOther, by: .user(owner)).thenRejected(
      .limitExceeded(
        LimitExceeded(limit: .projects, allowed: 1, usage: 1, plan: .free, upgrade: .plus)))
  }

  // MARK: Changed

  @Test(arguments: PlanTier.allCases)
  func `a plan needs an organization that is in use`(tier: PlanTier) {
    given().when(Self.change(to: tier), by: .user(owner))
      .thenRejected(.notFound(.organization))
    given(.created, .ownerAdded, .onPlan(.free), .archived)
      .when(Self.change(to: tier), by: .user(owner)).thenRejected(.archived(.organization))
  }

  @Test(arguments: PlanTier.allCases)
  func `changing to the plan that it is on yields nothing`(tier: PlanTier) {
    given(.created, .ownerAdded, .onPlan(tier))
      .when(Self.change(to: tier), by: .user(owner)).thenNothing()
  }

  @Test(arguments: PlanTier.allCases, PlanTier.allCases)
  func `every plan can be changed to every other one`(old: PlanTier, new: PlanTier) {
    guard old != new else { return }
    let workspace = given(.created, .ownerAdded, .onPlan(old))
      .when(Self.change(to: new), by: .user(owner)).then(.onPlan(new))
    #expect(workspace.plan?.tier == new)
    #expect(workspace.plan?.catalogVersion == 1)
    #expect(workspace.plan?.entitlements == PlanCatalog.standard[new].entitlements)
    #expect(workspace.plan?.since == Scenario.time(4))
    #expect(workspace.version(of: .organization(acme)) == 3)
    #expect(workspace.organization?.updatedAt == Scenario.time(4))
  }

  @Test func `who was given no plan can be given the free one`() {
    given(.created, .ownerAdded)
      .when(Self.change(to: .free), by: .user(owner)).then(.startsFree)
  }

  @Test func `a downgrade keeps what is there and refuses more`() throws {
    let downgraded = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .otherCreated,
      .joined(admin, as: .admin), .joined(developer, as: .developer), .joined(guest, as: .viewer)
    )
    .when(Self.change(to: .free), by: .user(owner)).then(.onPlan(.free))
    #expect(Set(downgraded.projects.keys) == [assistant, other])
    #expect(downgraded.members.count == 4)
    #expect(downgraded.usage(of: .projects, at: Scenario.time(10)) == 2)
    let third = ProjectID(UUID(UInt128(15)))
    #expect(
      throws: Rejection.limitExceeded(
        LimitExceeded(limit: .projects, allowed: 1, usage: 2, plan: .free, upgrade: .plus))
    ) {
      try downgraded.answer(.project(.create(third, name: "Third", environment: .live)))
    }
    #expect(
      throws: Rejection.limitExceeded(
        LimitExceeded(limit: .members, allowed: 3, usage: 4, plan: .free, upgrade: .plus))
    ) {
      try downgraded.answer(InvitationTests.create())
    }
    let change = ProjectCommand.change(other, name: "Helper", thresholds: ThresholdChanges())
    #expect(try downgraded.answer(.project(change)).count == 1, "what is there goes on")
  }

  @Test func `what is over must go before there is room`() {
    let create = WorkspaceCommand.project(
      .create(ProjectID(UUID(UInt128(15))), name: "Third", environment: .live))
    given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .otherCreated, .onPlan(.free),
      .projectArchived
    )
    .when(create, by: .user(owner))
    .thenRejected(
      .limitExceeded(
        LimitExceeded(limit: .projects, allowed: 1, usage: 1, plan: .free, upgrade: .plus)))
  }

  @Test func `who was invited before a downgrade may still accept`() {
    given(
      .created, .ownerAdded, .invited(), .onPlan(.plus), .joined(admin, as: .admin),
      .joined(developer, as: .developer), .onPlan(.free)
    )
    .when(InvitationTests.accept(), by: .user(guest))
    .then(.invitationAccepted, .joined(guest, as: .developer))
  }

  @Test func `the upgrade is the smallest plan that really has room`() throws {
    let five = (1...5).map { number in
      WorkspaceEvent.project(
        .created(
          .init(
            projectID: ProjectID(UUID(UInt128(1000 + number))), name: "Assistant",
            environment: .live)))
    }
    let workspace = try given(.created, .ownerAdded, .onPlan(.plus)).workspace
      .after(five + [.onPlan(.free)])
    #expect(
      throws: Rejection.limitExceeded(
        LimitExceeded(limit: .projects, allowed: 1, usage: 5, plan: .free, upgrade: .business))
    ) {
      try workspace.answer(Self.createOther)
    }
  }

  // MARK: Editions

  @Test func `a later edition of the catalog takes nothing away`() throws {
    let narrow = try #require(Self.edition(2, projects: 0))
    let workspace = given(.created, .ownerAdded, .onPlan(.free))
      .when(Self.createOther, by: .user(owner), plans: narrow)
      .then(.otherCreated, .projectStep)
    #expect(workspace.plan?.catalogVersion == 1)
    #expect(workspace.plan?.entitlements.projects == 1)
  }

  /// Taking the same plan again, as it is sold today, would allow it.
  @Test func `a later edition of the catalog gives nothing by itself`() throws {
    let roomy = try #require(Self.edition(2, projects: 3))
    given(.created, .ownerAdded, .onPlan(.free), .projectCreated)
      .when(Self.createOther, by: .user(owner), plans: roomy)
      .thenRejected(
        .limitExceeded(
          LimitExceeded(limit: .projects, allowed: 1, usage: 1, plan: .free, upgrade: .free)))
  }

  @Test func `the same plan of a later edition is another one`() throws {
    let scenario = given(.created, .ownerAdded, .onPlan(.free))
    let roomy = try #require(Self.edition(2, projects: 3))
    let workspace = scenario.when(Self.change(to: .free), by: .user(owner), plans: roomy)
      .then(.onPlan(.free, of: roomy))
    #expect(workspace.plan?.catalogVersion == 2)
    #expect(workspace.plan?.entitlements.projects == 3)
    let unnumbered = try #require(Self.edition(1, projects: 3))
    scenario.when(Self.change(to: .free), by: .user(owner), plans: unnumbered)
      .then(.onPlan(.free, of: unnumbered))
  }

  // MARK: Folded

  @Test func `the fold stops at a plan of nothing`() {
    given().thenCannotFold(.onPlan(.free))
  }

  // MARK: The catalog

  @Suite struct Catalog {
    let standard = PlanCatalog.standard

    /// Once more and by hand: whoever changes what is sold changes it here too.
    @Test func `the standard plans are what is sold`() {
      #expect(standard.version == 1)
      #expect(standard.plans.map(\.name) == ["Free", "Pro", "Business"])
      #expect(standard.plans.map(\.pricePerMonth) == [0, 20_000_000, 325_000_000])
      let plans = standard.plans.map(\.entitlements)
      #expect(plans.map(\.includedRequests) == [150, 50_000, 500_000])
      #expect(plans.map(\.projects) == [1, 5, 100])
      #expect(plans.map(\.members) == [3, 15, 250])
      #expect(plans.map(\.apiKeysPerProject) == [2, 10, 100])
      #expect(plans.map(\.rulesPerProject) == [10, 200, 5000])
      #expect(plans.map(\.creditBackedRequests) == [false, true, true])
      #expect(plans.map(\.networkControls) == [false, true, true])
      #expect(plans.map(\.regionRules) == [false, true, true])
      #expect(plans.map(\.retentionDays) == [7, 30, 90])
      #expect(plans[0].providers == ["openrouter"])
      #expect(plans[1].providers?.contains("anthropic") == true)
      #expect(plans[2].providers == nil)
    }

    @Test func `a catalog has every tier once and in order, and a version`() {
      let plans = standard.plans
      #expect(PlanCatalog(version: 1, plans: plans) == standard)
      #expect(PlanCatalog(version: 0, plans: plans) == nil)
      #expect(PlanCatalog(version: 1, plans: []) == nil)
      #expect(PlanCatalog(version: 1, plans: Array(plans.prefix(2))) == nil)
      #expect(PlanCatalog(version: 1, plans: Array(plans.reversed())) == nil)
      #expect(PlanCatalog(version: 1, plans: plans + [plans[2]]) == nil)
      #expect(PlanCatalog(version: 1, plans: [plans[0], plans[1], plans[1]]) == nil)
    }

    @Test func `the smallest plan allows more than there is, not as much`() {
      #expect(standard.smallest(allowing: 0, of: .projects) == .free)
      #expect(standard.smallest(allowing: 1, of: .projects) == .plus)
      #expect(standard.smallest(allowing: 4, of: .projects) == .plus)
      #expect(standard.smallest(allowing: 5, of: .projects) == .business)
      #expect(standard.smallest(allowing: 100, of: .projects) == nil)
      #expect(standard.smallest(allowing: 9, of: .apiKeysPerProject) == .plus)
      #expect(standard.smallest(allowing: 5000, of: .rulesPerProject) == nil)
    }

    @Test func `stored names do not change`() {
      #expect(PlanTier.allCases.map(\.rawValue) == ["free", "plus", "business"])
      #expect(
        Limit.allCases.map(\.rawValue)
          == ["projects", "members", "api_keys_per_project", "rules_per_project"])
    }
  }
}
