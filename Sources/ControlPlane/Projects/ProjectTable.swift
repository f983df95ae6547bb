import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `projects`.
struct ProjectRow {
  let organizationID: OrganizationID
  let id: ProjectID
  let project: Project
}

enum ProjectTable: EntityTable {
  static let table = Table<ProjectRow>(
    "projects",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("project_id") { $0.id.uuid },
      .value("name") { $0.project.name },
      .value("environment") { $0.project.environment.rawValue },
      .value("rate_limit") { $0.project.thresholds.rateLimit },
      .value("abuse_threshold") { $0.project.thresholds.abuseThreshold },
      .value("max_tokens") { $0.project.thresholds.maxTokens },
      .value("loop_sensitivity") { $0.project.thresholds.loopSensitivity.rawValue },
      .value("requests_per_month") { $0.project.budgets.requestsPerMonth },
      .value("cost_per_month") { $0.project.budgets.costPerMonth },
      .value("panic_mode") { $0.project.panicMode != nil },
      .value("panic_mode_reason") { $0.project.panicMode?.reason },
      .value("panic_mode_since") { ($0.project.panicMode?.since).map(TimestampTZ.init) },
      .value("panic_mode_by_kind") { $0.project.panicMode?.by.kind.rawValue },
      .value("panic_mode_by_id") { $0.project.panicMode?.by.id },
      .value("panic_mode_until") { ($0.project.panicMode?.until).map(TimestampTZ.init) },
      .value("version") { $0.project.version },
      .value("created_at") { TimestampTZ($0.project.createdAt) },
      .value("updated_at") { TimestampTZ($0.project.updatedAt) },
      .value("archived_at") { $0.project.archivedAt.map(TimestampTZ.init) },
    ])

  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    if case .project(let id) = entity { [organization.uuid, id.uuid] } else { nil }
  }

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> ProjectRow? {
    guard case .project(let id) = entity, let project = workspace.projects[id] else { return nil }
    return ProjectRow(organizationID: organization, id: id, project: project)
  }

  static func find(_ id: ProjectID, in organization: OrganizationID) -> Query {
    """
    SELECT \(fragment: columns) FROM projects \
    WHERE organization_id = \(organization.uuid) AND project_id = \(id.uuid)
    """
  }

  /// An organization's projects, newest first, behind the one with the id `after`.
  static func list(
    in organization: OrganizationID, environment: Project.Environment?, archived: Bool?,
    among ids: Set<ProjectID>?, after: ProjectID?, limit: Int64
  ) -> Query {
    let ids = ids?.map(\.uuid)
    return """
      SELECT \(fragment: columns) FROM projects WHERE organization_id = \(organization.uuid) \
      AND (\(after?.uuid)::uuid IS NULL OR project_id < \(after?.uuid)) \
      AND (\(environment?.rawValue)::text IS NULL OR environment = \(environment?.rawValue)) \
      AND (\(archived)::bool IS NULL OR (archived_at IS NOT NULL) = \(archived)) \
      AND (\(ids)::uuid[] IS NULL OR project_id = ANY(\(ids))) \
      ORDER BY project_id DESC LIMIT \(limit)
      """
  }

  /// All projects of some organizations that are not archived.
  static func open(in organizations: [UUID]) -> Query {
    """
    SELECT \(fragment: columns) FROM projects \
    WHERE organization_id = ANY(\(organizations)) AND archived_at IS NULL
    """
  }

  /// Those whose panic mode was to end by now, of all workspaces.
  ///
  /// - Parameter project: nil for all that are not set aside.
  static func duePanicModes(at time: Timestamp, only project: ProjectID?, limit: Int64) -> Query {
    """
    SELECT organization_id, project_id, panic_mode_until FROM projects AS p \
    WHERE panic_mode_until <= \(TimestampTZ(time)) AND archived_at IS NULL \
    AND (project_id = \(project?.uuid) OR \(project?.uuid)::uuid IS NULL \
    AND NOT \(fragment: JobAttemptTable.isSetAside(.panicMode, id: "p.project_id"))) \
    ORDER BY panic_mode_until LIMIT \(limit)
    """
  }

  private static let columns = Query(unchecked: table.columnList)
}

extension ProjectRow {
  init(_ row: Row) throws(PostgresError) {
    let (
      organizationID, id, name, environment, rateLimit, abuseThreshold, maxTokens, loopSensitivity,
      requestsPerMonth, costPerMonth, isPanicking, reason, since, byKind, byID, until, version,
      createdAt, updatedAt, archivedAt
    ) = try row.decode(
      (
        UUID, UUID, ExactText, Project.Environment, Int64?, Int64?,
        Int64?, Thresholds.LoopSensitivity, Int64?, Int64?, Bool, ExactText?, TimestampTZ?,
        Actor.Kind?, UUID?, TimestampTZ?, Int64, TimestampTZ, TimestampTZ,
        TimestampTZ?
      ).self)
    var panicMode: Project.PanicMode?
    if isPanicking, let since, let byKind {
      panicMode = Project.PanicMode(
        reason: reason, since: Timestamp(since), by: Actor(kind: byKind, id: byID),
        until: until.map(Timestamp.init))
    }
    self.init(
      organizationID: OrganizationID(organizationID), id: ProjectID(id),
      project: Project(
        name: name, environment: environment,
        thresholds: Thresholds(
          rateLimit: rateLimit, abuseThreshold: abuseThreshold, maxTokens: maxTokens,
          loopSensitivity: loopSensitivity),
        budgets: Budgets(requestsPerMonth: requestsPerMonth, costPerMonth: costPerMonth),
        panicMode: panicMode, version: version, createdAt: Timestamp(createdAt),
        updatedAt: Timestamp(updatedAt), archivedAt: archivedAt.map(Timestamp.init)))
  }
}
