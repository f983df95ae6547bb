package typealias ProjectID = TypeID<Project>

// MARK: Events

package enum ProjectEvent: Equatable, Sendable {
  case created(Created)
  case renamed(Renamed)
  case thresholdsChanged(ThresholdsChanged)
  case budgetsChanged(BudgetsChanged)
  case panicModeEnabled(PanicModeEnabled)
  case panicModeDisabled(PanicModeDisabled)
  case archived(Archived)

  package struct Created: EventPayload {
    package static let type = "project.created"
    package let projectID: ProjectID
    package let name: ExactText
    package let environment: Project.Environment
    package var event: WorkspaceEvent { .project(.created(self)) }

    private enum CodingKeys: String, CodingKey {
      case projectID = "project_id"
      case name, environment
    }
  }

  package struct Renamed: EventPayload {
    package static let type = "project.renamed"
    package let projectID: ProjectID
    package let name: ExactText
    package var event: WorkspaceEvent { .project(.renamed(self)) }

    private enum CodingKeys: String, CodingKey {
      case projectID = "project_id"
      case name
    }
  }

  /// All thresholds as they are from now on, the unchanged ones included.
  package struct ThresholdsChanged: EventPayload {
    package static let type = "project.thresholds_changed"
    package let projectID: ProjectID
    package let thresholds: Thresholds
    package var event: WorkspaceEvent { .project(.thresholdsChanged(self)) }

    private enum CodingKeys: String, CodingKey {
      case projectID = "project_id"
      case thresholds
    }
  }

  /// All budgets as they are from now on, the unchanged ones included.
  package struct BudgetsChanged: EventPayload {
    package static let type = "project.budgets_changed"
    package let projectID: ProjectID
    package let budgets: Budgets
    package var event: WorkspaceEvent { .project(.budgetsChanged(self)) }

    private enum CodingKeys: String, CodingKey {
      case projectID = "project_id"
      case budgets
    }
  }

  /// Also recorded when panic mode is on already and only the reason or the end changes.
  package struct PanicModeEnabled: EventPayload {
    package static let type = "project.panic_mode_enabled"
    package let projectID: ProjectID
    package let reason: ExactText?
    /// When it ends by itself; absent when somebody has to end it.
    package let until: Timestamp?
    package var event: WorkspaceEvent { .project(.panicModeEnabled(self)) }

    init(projectID: ProjectID, reason: ExactText?, until: Timestamp? = nil) {
      self.projectID = projectID
      self.reason = reason
      self.until = until
    }

    private enum CodingKeys: String, CodingKey {
      case projectID = "project_id"
      case reason, until
    }
  }

  package struct PanicModeDisabled: EventPayload {
    package static let type = "project.panic_mode_disabled"
    package let projectID: ProjectID
    package let reason: ExactText?
    package var event: WorkspaceEvent { .project(.panicModeDisabled(self)) }

    private enum CodingKeys: String, CodingKey {
      case projectID = "project_id"
      case reason
    }
  }

  package struct Archived: EventPayload {
    package static let type = "project.archived"
    package let projectID: ProjectID
    package var event: WorkspaceEvent { .project(.archived(self)) }

    private enum CodingKeys: String, CodingKey {
      case projectID = "project_id"
    }
  }

  package var projectID: ProjectID {
    switch self {
    case .created(let payload): payload.projectID
    case .renamed(let payload): payload.projectID
    case .thresholdsChanged(let payload): payload.projectID
    case .budgetsChanged(let payload): payload.projectID
    case .panicModeEnabled(let payload): payload.projectID
    case .panicModeDisabled(let payload): payload.projectID
    case .archived(let payload): payload.projectID
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [
    Created.self, Renamed.self, ThresholdsChanged.self, BudgetsChanged.self,
    PanicModeEnabled.self, PanicModeDisabled.self, Archived.self,
  ]

  var payload: any EventPayload {
    switch self {
    case .created(let payload): payload
    case .renamed(let payload): payload
    case .thresholdsChanged(let payload): payload
    case .budgetsChanged(let payload): payload
    case .panicModeEnabled(let payload): payload
    case .panicModeDisabled(let payload): payload
    case .archived(let payload): payload
    }
  }
}

// MARK: State and evolve

/// Traffic of one application in one environment: the unit that thresholds, rules and keys belong to.
package struct Project: Equatable, Sendable, Codable, Identified {
  package static let idPrefix = "prj"

  /// Whether its traffic is real. Fixed at creation. The raw values are stored.
  package enum Environment: String, Sendable, Codable, CaseIterable {
    case live, test
  }

  /// The switch that stops all of a project's traffic (sold as "Sentry Mode"); nil in the project when it is off.
  package struct PanicMode: Equatable, Sendable, Codable {
    package let reason: ExactText?
    package let since: Timestamp
    package let by: Actor
    /// When it ends by itself; nil when somebody has to end it.
    package let until: Timestamp?

    package init(reason: ExactText?, since: Timestamp, by: Actor, until: Timestamp? = nil) {
      self.reason = reason
      self.since = since
      self.by = by
      self.until = until
    }

    /// Until its end, should it have one.
    package func isOn(at time: Timestamp) -> Bool { until.map { time < $0 } ?? true }
  }

  package var name: ExactText
  package let environment: Environment
  package var thresholds: Thresholds
  package var budgets: Budgets
  package var panicMode: PanicMode?
  /// How many events happened to the project.
  package var version: Int64
  package let createdAt: Timestamp
  package var updatedAt: Timestamp
  package var archivedAt: Timestamp?

  /// A project as it was read from a row.
  package init(
    name: ExactText, environment: Environment, thresholds: Thresholds = Thresholds(),
    budgets: Budgets = Budgets(), panicMode: PanicMode? = nil, version: Int64, createdAt: Timestamp,
    updatedAt: Timestamp,
    archivedAt: Timestamp? = nil
  ) {
    self.name = name
    self.environment = environment
    self.thresholds = thresholds
    self.budgets = budgets
    self.panicMode = panicMode
    self.version = version
    self.createdAt = createdAt
    self.updatedAt = updatedAt
    self.archivedAt = archivedAt
  }

  private enum CodingKeys: String, CodingKey {
    case name, environment, thresholds, budgets, version
    case panicMode = "panic_mode"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
    case archivedAt = "archived_at"
  }

  static func evolve(
    _ state: inout Project?, _ event: ProjectEvent, _ metadata: EventMetadata
  ) throws(FoldError) {
    if case .created(let created) = event {
      guard state == nil else {
        throw FoldError(version: metadata.version, reason: "the project exists already")
      }
      state = Project(
        name: created.name, environment: created.environment, version: 1,
        createdAt: metadata.occurredAt, updatedAt: metadata.occurredAt)
      return
    }
    guard state?.evolve(event, metadata) != nil else {
      throw FoldError(version: metadata.version, reason: "the project does not exist")
    }
  }

  private mutating func evolve(_ event: ProjectEvent, _ metadata: EventMetadata) {
    switch event {
    case .created:
      break
    case .renamed(let renamed):
      name = renamed.name
    case .thresholdsChanged(let changed):
      thresholds = changed.thresholds
    case .budgetsChanged(let changed):
      budgets = changed.budgets
    case .panicModeEnabled(let enabled):
      panicMode = PanicMode(
        reason: enabled.reason, since: panicMode?.since ?? metadata.occurredAt, by: metadata.actor,
        until: enabled.until)
    case .panicModeDisabled:
      panicMode = nil
    case .archived:
      archivedAt = metadata.occurredAt
    }
    version += 1
    updatedAt = metadata.occurredAt
  }
}

// MARK: Commands and decide

package enum ProjectCommand: Equatable, Sendable {
  case create(ProjectID, name: ExactText, environment: Project.Environment)
  /// A nil name leaves it as it is.
  case change(
    ProjectID, name: ExactText?, thresholds: ThresholdChanges, budgets: BudgetChanges = .init())
  /// Without an end, panic mode stays until somebody ends it, also where it had an end before.
  case setPanicMode(ProjectID, enabled: Bool, reason: ExactText?, until: Timestamp? = nil)
  /// The time up to which panic mode was to last has come.
  case endPanicMode(ProjectID, dueAt: Timestamp)
  case archive(ProjectID)

  package var projectID: ProjectID {
    switch self {
    case .create(let id, _, _), .change(let id, _, _, _), .setPanicMode(let id, _, _, _),
      .endPanicMode(let id, _), .archive(let id):
      id
    }
  }
}

extension Workspace {
  func decide(
    _ command: ProjectCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    if case .create(let id, let name, let environment) = command {
      _ = try Organization.open(organization)
      guard projects[id] == nil else { return [] }
      try requireRoom(for: .projects, in: context)
      let created = ProjectEvent.Created(projectID: id, name: name, environment: environment)
      return [.project(.created(created))]
    }
    guard let project = projects[command.projectID] else { throw .notFound(.project) }
    _ = try Organization.open(organization)
    return try project.decide(command, in: context).map { .project($0) }
  }
}

extension Project {
  fileprivate func decide(
    _ command: ProjectCommand, in context: CommandContext
  ) throws(Rejection) -> [ProjectEvent] {
    if case .archive(let id) = command {
      return archivedAt == nil ? [.archived(.init(projectID: id))] : []
    }
    guard archivedAt == nil else { throw .archived(.project) }
    switch command {
    case .create, .archive:
      return []
    case .change(let id, let newName, let changes, let budgetChanges):
      var events: [ProjectEvent] = []
      if let newName, newName != name {
        events.append(.renamed(.init(projectID: id, name: newName)))
      }
      let newThresholds = changes.applied(to: thresholds)
      if newThresholds != thresholds {
        events.append(.thresholdsChanged(.init(projectID: id, thresholds: newThresholds)))
      }
      let newBudgets = budgetChanges.applied(to: budgets)
      if newBudgets != budgets {
        events.append(.budgetsChanged(.init(projectID: id, budgets: newBudgets)))
      }
      return events
    case .setPanicMode(let id, true, let reason, let until):
      if let panicMode, reason == nil || reason == panicMode.reason, until == panicMode.until {
        return []
      }
      let enabled = ProjectEvent.PanicModeEnabled(
        projectID: id, reason: reason ?? panicMode?.reason, until: until)
      return [.panicModeEnabled(enabled)]
    case .setPanicMode(let id, false, let reason, _):
      guard panicMode != nil else { return [] }
      return [.panicModeDisabled(.init(projectID: id, reason: reason))]
    case .endPanicMode(let id, let dueAt):
      // Somebody may have given it another end meanwhile, or ended it.
      guard panicMode?.until == dueAt, context.time >= dueAt else { return [] }
      return [.panicModeDisabled(.init(projectID: id, reason: "its time is over"))]
    }
  }
}
