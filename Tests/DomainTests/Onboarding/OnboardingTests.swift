import Support
import Testing

@testable import Domain

extension WorkspaceEvent {
  static func recorded(_ step: Onboarding.Step) -> Self {
    .onboarding(.factRecorded(.init(step: step)))
  }
  static func advanced(from: Onboarding.Step, to: Onboarding.Step) -> Self {
    .onboarding(.advanced(.init(from: from, to: to)))
  }
  static let completed = Self.onboarding(.completed(.init()))
  static let dismissed = Self.onboarding(.dismissed(.init()))
  static let resumed = Self.onboarding(.resumed(.init()))
}

@Suite struct OnboardingTests {
  static let steps: [Onboarding.Step] = [
    .projectCreated, .providerConnected, .keyIssued, .firstRequestSeen,
  ]
  /// All twenty-four.
  static let orders = permutations(of: steps)

  static func permutations(of steps: [Onboarding.Step]) -> [[Onboarding.Step]] {
    guard let first = steps.first else { return [[]] }
    return permutations(of: Array(steps.dropFirst())).flatMap { rest in
      (0...rest.count).map { Array(rest[..<$0]) + [first] + Array(rest[$0...]) }
    }
  }

  /// What somebody does, or reports, so that the fact is there.
  static func command(for step: Onboarding.Step) -> WorkspaceCommand {
    step == .projectCreated ? .project(ProjectTests.create) : .onboarding(.record(step))
  }
  static func fact(of step: Onboarding.Step) -> WorkspaceEvent {
    step == .projectCreated ? .projectCreated : .recorded(step)
  }

  /// The machine, once more and by hand: the last step before the first one whose fact is missing.
  static func step(with facts: [Onboarding.Step]) -> Onboarding.Step {
    if !facts.contains(.projectCreated) { return .workspaceCreated }
    if !facts.contains(.providerConnected) { return .projectCreated }
    if !facts.contains(.keyIssued) { return .providerConnected }
    return facts.contains(.firstRequestSeen) ? .firstRequestSeen : .keyIssued
  }

  static func request(_ transition: Onboarding.Transition) -> WorkspaceCommand {
    .onboarding(.request(transition))
  }

  /// A workspace in which every fact is there, by six events, and more may have happened.
  static func ready(_ more: [WorkspaceEvent] = []) throws -> Workspace {
    try given(.created, .ownerAdded).workspace.after(steps.map(fact) + more)
  }

  // MARK: Facts

  @Test func `there are as many orders as there can be`() {
    #expect(Set(Self.orders).count == 24)
  }

  @Test(arguments: orders)
  func `every order of the facts leads to the same state`(order: [Onboarding.Step]) throws {
    var workspace = given(.created, .ownerAdded).workspace
    #expect(workspace.onboarding?.state == .step(.workspaceCreated))
    for count in 1...order.count {
      let known = Array(order.prefix(count))
      workspace = try workspace.after(workspace.answer(Self.command(for: order[count - 1])))
      let onboarding = try #require(workspace.onboarding)
      #expect(onboarding.state == .step(Self.step(with: known)))
      #expect(onboarding.missing == Self.steps.filter { !known.contains($0) })
      let transitions: [Onboarding.Transition] = count == 4 ? [.complete, .dismiss] : [.dismiss]
      #expect(onboarding.transitions == transitions)
    }
    #expect(workspace.onboarding?.state == .step(.firstRequestSeen))
  }

  @Test(arguments: orders)
  func `a fact and the transition that it causes are one decision`(
    order: [Onboarding.Step]
  ) throws {
    var workspace = given(.created, .ownerAdded).workspace
    for count in 1...order.count {
      let (before, after) = (
        Self.step(with: Array(order.prefix(count - 1))), Self.step(with: Array(order.prefix(count)))
      )
      let events = try workspace.answer(Self.command(for: order[count - 1]))
      let transition = before == after ? [] : [WorkspaceEvent.advanced(from: before, to: after)]
      #expect(events == [Self.fact(of: order[count - 1])] + transition)
      workspace = try workspace.after(events)
    }
  }

  @Test func `one fact can carry it over several steps`() {
    given(.created, .ownerAdded, .recorded(.keyIssued), .recorded(.providerConnected))
      .when(.project(ProjectTests.create), by: .user(owner))
      .then(.projectCreated, .advanced(from: .workspaceCreated, to: .keyIssued))
  }

  @Test func `a fact behind a missing one carries it nowhere`() {
    given(.created, .ownerAdded, .projectCreated, .projectStep)
      .when(.onboarding(.record(.firstRequestSeen)), by: .system)
      .then(.recorded(.firstRequestSeen))
  }

  @Test(arguments: [Onboarding.Step.workspaceCreated, .projectCreated, .keyIssued])
  func `a fact that is known yields nothing`(step: Onboarding.Step) {
    given(.created, .ownerAdded, .projectCreated, .projectStep, .recorded(.keyIssued))
      .when(.onboarding(.record(step)), by: .system).thenNothing()
  }

  @Test func `a fact has the time at which it came first, and stays one`() {
    let workspace = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .projectStep, .projectArchived
    )
    .when(PlanTests.createOther, by: .user(owner)).then(.otherCreated)
    #expect(
      workspace.onboarding?.facts == [
        .workspaceCreated: Scenario.time(1), .projectCreated: Scenario.time(4),
      ])
    #expect(workspace.onboarding?.state == .step(.projectCreated))
  }

  @Test func `facts and transitions are changes of the organization`() {
    let workspace = given(.created, .ownerAdded, .projectCreated)
      .when(.onboarding(.record(.providerConnected)), by: .system)
      .then(
        .recorded(.providerConnected), .advanced(from: .projectCreated, to: .providerConnected))
    #expect(workspace.version(of: .organization(acme)) == 3)
    #expect(workspace.organization?.updatedAt == Scenario.time(5))
  }

  // MARK: Refused

  @Test(arguments: [
    request(.complete), request(.dismiss), request(.resume), command(for: .keyIssued),
  ])
  func `onboarding needs an organization that is in use`(command: WorkspaceCommand) {
    given().when(command, by: .user(owner)).thenRejected(.notFound(.organization))
    given(.created, .ownerAdded, .archived)
      .when(command, by: .user(owner)).thenRejected(.archived(.organization))
  }

  @Test func `completing early says what is missing`() {
    given(.created, .ownerAdded)
      .when(Self.request(.complete), by: .user(owner))
      .thenRejected(.illegalTransition(.complete, allowed: [.dismiss], missing: Self.steps))
    given(.created, .ownerAdded, .recorded(.firstRequestSeen), .recorded(.providerConnected))
      .when(Self.request(.complete), by: .user(owner))
      .thenRejected(
        .illegalTransition(
          .complete, allowed: [.dismiss], missing: [.projectCreated, .keyIssued]))
  }

  @Test(arguments: steps)
  func `a single missing fact keeps it from being completed`(missing: Onboarding.Step) throws {
    let facts = Self.steps.filter { $0 != missing }.map(Self.fact)
    let workspace = try given(.created, .ownerAdded).workspace.after(facts)
    #expect(
      throws: Rejection.illegalTransition(.complete, allowed: [.dismiss], missing: [missing])
    ) {
      try workspace.answer(Self.request(.complete))
    }
  }

  @Test func `what is dismissed is resumed before it is completed`() throws {
    let almost = given(.created, .ownerAdded, .recorded(.keyIssued), .dismissed)
    almost.when(Self.request(.complete), by: .user(owner))
      .thenRejected(
        .illegalTransition(
          .complete, allowed: [.resume],
          missing: [.projectCreated, .providerConnected, .firstRequestSeen]))
    let ready = try almost.workspace.after(
      [.projectCreated, .recorded(.providerConnected), .recorded(.firstRequestSeen)])
    #expect(
      throws: Rejection.illegalTransition(.complete, allowed: [.resume], missing: [])
    ) {
      try ready.answer(Self.request(.complete))
    }
  }

  @Test(arguments: [Onboarding.Transition.dismiss, .resume])
  func `what is completed is neither dismissed nor resumed`(
    transition: Onboarding.Transition
  ) throws {
    let completed = try Self.ready([.completed])
    #expect(throws: Rejection.illegalTransition(transition, allowed: [], missing: [])) {
      try completed.answer(Self.request(transition))
    }
  }

  // MARK: Repeated

  @Test func `asking again for what is so already yields nothing`() throws {
    #expect(try Self.ready([.completed]).answer(Self.request(.complete)) == [])
    #expect(try Self.ready([.dismissed]).answer(Self.request(.dismiss)) == [])
    #expect(try Self.ready([.dismissed, .resumed]).answer(Self.request(.resume)) == [])
    given(.created, .ownerAdded).when(Self.request(.resume), by: .user(owner)).thenNothing()
  }

  // MARK: Accepted

  @Test func `it is completed when every fact is there and somebody says so`() throws {
    let ready = try Self.ready()
    #expect(try ready.answer(Self.request(.complete)) == [.completed])
    let workspace = try ready.after([.completed])
    #expect(workspace.onboarding?.state == .completed)
    #expect(workspace.onboarding?.completedAt == Scenario.time(7))
    #expect(workspace.onboarding?.missing == [])
    #expect(workspace.onboarding?.transitions == [])
  }

  @Test func `nothing moves what is completed`() {
    let workspace = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .recorded(.providerConnected),
      .recorded(.keyIssued), .recorded(.firstRequestSeen), .completed, .projectArchived
    )
    .when(PlanTests.createOther, by: .user(owner)).then(.otherCreated)
    #expect(workspace.onboarding?.state == .completed)
  }

  @Test(arguments: 0...4)
  func `it is dismissed from every step and resumed where the facts are`(count: Int) throws {
    let facts = Array(Self.steps.prefix(count))
    let workspace = try given(.created, .ownerAdded).workspace.after(facts.map(Self.fact))
    #expect(try workspace.answer(Self.request(.dismiss)) == [.dismissed])
    let dismissed = try workspace.after([.dismissed])
    #expect(dismissed.onboarding?.state == .dismissed)
    #expect(dismissed.onboarding?.transitions == [.resume])
    #expect(try dismissed.answer(Self.request(.resume)) == [.resumed])
    let resumed = try dismissed.after([.resumed])
    #expect(resumed.onboarding?.state == .step(Self.step(with: facts)))
  }

  @Test func `facts go on being recorded while it is dismissed`() throws {
    let dismissed = given(.created, .ownerAdded, .dismissed)
      .when(.project(ProjectTests.create), by: .user(owner))
      .then(.projectCreated, .projectStep)
    #expect(dismissed.onboarding?.state == .dismissed)
    let resumed = try dismissed.after([.resumed])
    #expect(resumed.onboarding?.state == .step(.projectCreated))
  }

  @Test func `it can be dismissed more than once`() {
    let workspace = given(.created, .ownerAdded, .dismissed, .resumed)
      .when(Self.request(.dismiss), by: .user(owner)).then(.dismissed)
    #expect(workspace.onboarding?.dismissedAt == Scenario.time(5))
  }

  // MARK: Folded

  @Test(arguments: [
    WorkspaceEvent.recorded(.keyIssued), .advanced(from: .keyIssued, to: .firstRequestSeen),
    .completed, .dismissed, .resumed,
  ])
  func `the fold stops at the onboarding of nothing`(event: WorkspaceEvent) {
    given().thenCannotFold(event)
  }

  // MARK: Shown

  @Test func `names do not change`() {
    let names = [
      "workspace_created", "project_created", "provider_connected", "key_issued",
      "first_request_seen",
    ]
    #expect(Onboarding.Step.allCases.map(\.rawValue) == names)
    #expect(Onboarding.Step.allCases.map { Onboarding.State.step($0).name } == names)
    #expect(Onboarding.State.completed.name == "completed")
    #expect(Onboarding.State.dismissed.name == "dismissed")
    #expect(Onboarding.Transition.allCases.map(\.rawValue) == ["complete", "dismiss", "resume"])
  }

  @Test func `a step is seen to by whoever may do what it takes`() {
    let permissions = Onboarding.Step.allCases.map { Onboarding.permission(for: $0) }
    #expect(permissions == [nil, .projectWrite, .providerKeyWrite, .apiKeyWrite, nil])
  }
}
