import Support
import Testing

@testable import Domain

@Suite struct ProjectTests {
  static let create = ProjectCommand.create(assistant, name: "Assistant", environment: .live)
  static let changes: [ProjectCommand] = [
    .change(assistant, name: "Helper", thresholds: ThresholdChanges()),
    .setPanicMode(assistant, enabled: true, reason: nil),
    .setPanicMode(assistant, enabled: false, reason: nil),
  ]

  // MARK: Refused

  @Test(arguments: changes + [.archive(assistant)])
  func `a project of another workspace is not found`(command: ProjectCommand) {
    given(.created, .ownerAdded).when(.project(command)).thenRejected(.notFound(.project))
  }

  @Test func `a project needs an organization`() {
    given().when(.project(Self.create)).thenRejected(.notFound(.organization))
  }

  @Test(arguments: changes)
  func `an archived project takes no change`(command: ProjectCommand) {
    given(.created, .ownerAdded, .projectCreated, .projectArchived)
      .when(.project(command)).thenRejected(.archived(.project))
  }

  @Test(arguments: changes + [.archive(assistant)])
  func `nothing changes in an archived organization`(command: ProjectCommand) {
    given(.created, .ownerAdded, .projectCreated, .archived)
      .when(.project(command)).thenRejected(.archived(.organization))
  }

  @Test func `an archived organization gets no new project`() {
    given(.created, .ownerAdded, .archived)
      .when(.project(Self.create)).thenRejected(.archived(.organization))
  }

  // MARK: Repeated

  @Test func `creating again yields nothing`() {
    given(.created, .ownerAdded, .projectCreated).when(.project(Self.create)).thenNothing()
  }

  @Test func `archiving again yields nothing`() {
    given(.created, .ownerAdded, .projectCreated, .projectArchived)
      .when(.project(.archive(assistant))).thenNothing()
  }

  @Test(arguments: [nil, "a leak"])
  func `switching on what is on for the same reason yields nothing`(reason: String?) {
    given(.created, .ownerAdded, .projectCreated, .panicModeEnabled("a leak"))
      .when(.project(.setPanicMode(assistant, enabled: true, reason: reason.map { ExactText($0) })))
      .thenNothing()
  }

  @Test func `switching off what is off yields nothing`() {
    given(.created, .ownerAdded, .projectCreated)
      .when(.project(.setPanicMode(assistant, enabled: false, reason: "all clear"))).thenNothing()
  }

  @Test func `changing to what it is already yields nothing`() {
    var thresholds = ThresholdChanges()
    thresholds.rateLimit = .some(nil)
    thresholds.loopSensitivity = .off
    given(.created, .ownerAdded, .projectCreated)
      .when(.project(.change(assistant, name: "Assistant", thresholds: thresholds))).thenNothing()
  }

  // MARK: Accepted

  @Test func `a project starts without limits and with panic mode off`() {
    let workspace = given(.created, .ownerAdded).when(.project(Self.create))
      .then(.projectCreated, .projectStep)
    let project = workspace.projects[assistant]
    #expect(project?.thresholds == Thresholds())
    #expect(project?.panicMode == nil)
    #expect(project?.version == 1)
    #expect(workspace.version(of: .project(assistant)) == 1)
    #expect(workspace.version(of: .project(other)) == nil)
  }

  @Test func `one change of name and limits is two events`() {
    var thresholds = ThresholdChanges()
    thresholds.rateLimit = 600
    let workspace = given(.created, .ownerAdded, .projectCreated)
      .when(.project(.change(assistant, name: "Helper", thresholds: thresholds)))
      .then(
        .project(.renamed(.init(projectID: assistant, name: "Helper"))),
        .project(
          .thresholdsChanged(
            .init(projectID: assistant, thresholds: Thresholds(rateLimit: 600)))))
    #expect(workspace.projects[assistant]?.version == 3)
    #expect(workspace.projects[assistant]?.name == "Helper")
  }

  @Test func `null lifts one limit and leaves the others`() {
    let limits = Thresholds(rateLimit: 600, maxTokens: 100, loopSensitivity: .high)
    var thresholds = ThresholdChanges()
    thresholds.rateLimit = .some(nil)
    given(
      .created, .ownerAdded, .projectCreated,
      .project(.thresholdsChanged(.init(projectID: assistant, thresholds: limits)))
    )
    .when(.project(.change(assistant, name: nil, thresholds: thresholds)))
    .then(
      .project(
        .thresholdsChanged(
          .init(
            projectID: assistant,
            thresholds: Thresholds(maxTokens: 100, loopSensitivity: .high)))))
  }

  @Test func `panic mode says since when, by whom and why`() {
    let workspace = given(.created, .ownerAdded, .projectCreated)
      .when(.project(.setPanicMode(assistant, enabled: true, reason: "a leak")))
      .then(.panicModeEnabled("a leak"))
    #expect(
      workspace.projects[assistant]?.panicMode
        == Project.PanicMode(reason: "a leak", since: Scenario.time(4), by: Scenario.actor))
  }

  @Test func `another reason is recorded, and since stays`() {
    let workspace = given(.created, .ownerAdded, .projectCreated, .panicModeEnabled("a leak"))
      .when(.project(.setPanicMode(assistant, enabled: true, reason: "a second leak")))
      .then(.panicModeEnabled("a second leak"))
    #expect(workspace.projects[assistant]?.panicMode?.since == Scenario.time(4))
    #expect(workspace.projects[assistant]?.panicMode?.reason == "a second leak")
  }

  @Test func `switching off forgets the reason`() {
    let workspace = given(.created, .ownerAdded, .projectCreated, .panicModeEnabled("a leak"))
      .when(.project(.setPanicMode(assistant, enabled: false, reason: "all clear")))
      .then(.project(.panicModeDisabled(.init(projectID: assistant, reason: "all clear"))))
    #expect(workspace.projects[assistant]?.panicMode == nil)
  }

  // MARK: Folded

  @Test func `the fold stops at a second creation`() {
    given(.created, .projectCreated).thenCannotFold(.projectCreated)
  }

  @Test(arguments: [
    ProjectEvent.renamed(.init(projectID: other, name: "A")),
    .thresholdsChanged(.init(projectID: other, thresholds: Thresholds())),
    .panicModeEnabled(.init(projectID: other, reason: nil)),
    .panicModeDisabled(.init(projectID: other, reason: nil)),
    .archived(.init(projectID: other)),
  ])
  func `the fold stops at what happened to another workspace's project`(event: ProjectEvent) {
    given(.created, .projectCreated).thenCannotFold(.project(event))
  }

  // MARK: Panic mode that ends by itself

  private static func enabled(until end: Timestamp?) -> WorkspaceEvent {
    .project(.panicModeEnabled(.init(projectID: assistant, reason: nil, until: end)))
  }

  @Test func `when its time is over, panic mode is ended`() {
    let end = Scenario.time(5)
    given(.created, .ownerAdded, .projectCreated, Self.enabled(until: end))
      .when(.project(.endPanicMode(assistant, dueAt: end)))
      .then(
        .project(.panicModeDisabled(.init(projectID: assistant, reason: "its time is over"))))
  }

  @Test func `before its time, or with another end, it goes on`() {
    let end = Scenario.time(6)
    let scenario = given(.created, .ownerAdded, .projectCreated, Self.enabled(until: end))
    scenario.when(.project(.endPanicMode(assistant, dueAt: end))).thenNothing()
    scenario.when(.project(.endPanicMode(assistant, dueAt: Scenario.time(3)))).thenNothing()
  }

  @Test func `switching it on without an end takes the end away`() {
    given(.created, .ownerAdded, .projectCreated, Self.enabled(until: Scenario.time(9)))
      .when(.project(.setPanicMode(assistant, enabled: true, reason: nil)))
      .then(Self.enabled(until: nil))
  }

  // MARK: Budgets

  @Test func `a budget is set, left alone, and lifted`() {
    var set = BudgetChanges()
    set.requestsPerMonth = 1000
    let changed = { (requests: Int64?, cost: Int64?) -> WorkspaceEvent in
      .project(
        .budgetsChanged(
          .init(
            projectID: assistant,
            budgets: Budgets(requestsPerMonth: requests, costPerMonth: cost))))
    }
    let command = { (changes: BudgetChanges) -> WorkspaceCommand in
      .project(.change(assistant, name: nil, thresholds: .init(), budgets: changes))
    }
    given(.created, .ownerAdded, .projectCreated, changed(nil, 5)).when(command(set))
      .then(changed(1000, 5))
    given(.created, .ownerAdded, .projectCreated, changed(1000, 5)).when(command(set)).thenNothing()
    var lift = BudgetChanges()
    lift.costPerMonth = .some(nil)
    given(.created, .ownerAdded, .projectCreated, changed(1000, 5)).when(command(lift))
      .then(changed(1000, nil))
  }
}
