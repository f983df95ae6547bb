import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `ip_rules`, `geo_rules` or `model_rules`, and of the view `rules` over all of them.
struct RuleRow {
  let organizationID: OrganizationID
  let id: RuleID
  let rule: Rule

  /// Nil for what is no rule, and for rules that another table holds.
  fileprivate init?(
    _ entity: Entity, of organization: OrganizationID, in workspace: Workspace,
    where isHeld: (Rule.Match) -> Bool
  ) {
    guard case .rule(let id) = entity, let rule = workspace.rules[id], isHeld(rule.match) else {
      return nil
    }
    self.init(organizationID: organization, id: id, rule: rule)
  }

  init(organizationID: OrganizationID, id: RuleID, rule: Rule) {
    self.organizationID = organizationID
    self.id = id
    self.rule = rule
  }
}

/// What the three tables have in common: all but what a rule is about.
protocol RuleKindTable: EntityTable where Row == RuleRow {
  static func isHeld(_ match: Rule.Match) -> Bool
}

extension RuleKindTable {
  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    if case .rule(let id) = entity { [organization.uuid, id.uuid] } else { nil }
  }

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> RuleRow? {
    RuleRow(entity, of: organization, in: workspace, where: isHeld)
  }

  /// What a rule is about never changes, and decides which table holds it.
  static func isElsewhere(_ entity: Entity, in workspace: Workspace) -> Bool {
    guard case .rule(let id) = entity, let rule = workspace.rules[id] else { return false }
    return !isHeld(rule.match)
  }

  fileprivate static func rules(
    _ name: String, about columns: [Table<RuleRow>.Column]
  ) -> Table<RuleRow> {
    Table(
      name,
      [
        .key("organization_id") { $0.organizationID.uuid }, .key("rule_id") { $0.id.uuid },
        .value("project_id") { $0.rule.projectID?.uuid },
      ] + columns + [
        .value("effect") { $0.rule.effect.rawValue },
        .value("note") { $0.rule.note },
        .value("expires_at") { $0.rule.expiresAt.map(TimestampTZ.init) },
        .value("created_by_kind") { $0.rule.createdBy.kind.rawValue },
        .value("created_by_id") { $0.rule.createdBy.id },
        .value("version") { $0.rule.version },
        .value("created_at") { TimestampTZ($0.rule.createdAt) },
        .value("updated_at") { TimestampTZ($0.rule.updatedAt) },
      ])
  }
}

enum IPRuleTable: RuleKindTable {
  static let table: Table<RuleRow> = rules(
    "ip_rules", about: [.value("network", as: "cidr") { $0.rule.match.subject }])

  static func isHeld(_ match: Rule.Match) -> Bool { match.kind == .network }
}

enum GeoRuleTable: RuleKindTable {
  static let table: Table<RuleRow> = rules(
    "geo_rules",
    about: [
      .value("scope") { $0.rule.match.kind.rawValue }, .value("place") { $0.rule.match.subject },
    ])

  static func isHeld(_ match: Rule.Match) -> Bool {
    match.kind == .country || match.kind == .region
  }
}

enum ModelRuleTable: RuleKindTable {
  static let table: Table<RuleRow> = rules(
    "model_rules",
    about: [
      .value("provider") { $0.rule.match.provider }, .value("model") { $0.rule.match.subject },
    ])

  static func isHeld(_ match: Rule.Match) -> Bool { match.kind == .model }
}

/// The view `rules`: reads of all kinds together.
enum RuleView {
  static func find(_ id: RuleID, in organization: OrganizationID) -> Query {
    """
    SELECT \(fragment: columns) FROM rules \
    WHERE organization_id = \(organization.uuid) AND rule_id = \(id.uuid)
    """
  }

  /// A workspace's rules, newest first, behind the one with the id `after`.
  static func list(
    in organization: OrganizationID, project: ProjectID?, kind: Rule.Match.Kind?, after: UUID?,
    limit: Int64
  ) -> Query {
    """
    SELECT \(fragment: columns) FROM rules WHERE organization_id = \(organization.uuid) \
    AND (\(project?.uuid)::uuid IS NULL OR project_id = \(project?.uuid)) \
    AND (\(kind?.rawValue)::text IS NULL OR kind = \(kind?.rawValue)) \
    AND (\(after)::uuid IS NULL OR rule_id < \(after)) ORDER BY rule_id DESC LIMIT \(limit)
    """
  }

  /// What decides in a project: its own rules, and those of the workspace around it.
  static func all(for project: ProjectID, in organization: OrganizationID) -> Query {
    """
    SELECT \(fragment: columns) FROM rules WHERE organization_id = \(organization.uuid) \
    AND (project_id IS NULL OR project_id = \(project.uuid))
    """
  }

  /// The rules of the whole workspace, without those of its projects.
  static func ofWorkspace(_ organization: OrganizationID) -> Query {
    """
    SELECT \(fragment: columns) FROM rules \
    WHERE organization_id = \(organization.uuid) AND project_id IS NULL
    """
  }

  /// A project's own rules.
  static func own(of project: ProjectID, in organization: OrganizationID) -> Query {
    """
    SELECT \(fragment: columns) FROM rules \
    WHERE organization_id = \(organization.uuid) AND project_id = \(project.uuid)
    """
  }

  /// All rules of some organizations.
  static func all(in organizations: [UUID]) -> Query {
    """
    SELECT \(fragment: columns) FROM rules WHERE organization_id = ANY(\(organizations))
    """
  }

  private static let columns: Query = """
    organization_id, rule_id, project_id, kind, subject, provider, effect, note, expires_at, \
    created_by_kind, created_by_id, version, created_at, updated_at
    """
}

extension RuleRow {
  init(_ row: Postgres.Row) throws(PostgresError) {
    let (
      organizationID, id, projectID, kind, subject, provider, effect, note, expiresAt, byKind, byID,
      version, createdAt, updatedAt
    ) = try row.decode(
      (
        UUID, UUID, UUID?, Rule.Match.Kind, String, String?, Rule.Effect, ExactText?, TimestampTZ?,
        Actor.Kind, UUID?, Int64, TimestampTZ, TimestampTZ
      ).self)
    guard let match = Rule.Match(kind, subject, provider: provider) else {
      throw PostgresError(.misuse, reason: "rule \(id) is about nothing that there is")
    }
    self.init(
      organizationID: OrganizationID(organizationID), id: RuleID(id),
      rule: Rule(
        projectID: projectID.map { ProjectID($0) }, match: match, effect: effect, note: note,
        expiresAt: expiresAt.map(Timestamp.init), createdBy: Actor(kind: byKind, id: byID),
        version: version, createdAt: Timestamp(createdAt), updatedAt: Timestamp(updatedAt)))
  }
}
