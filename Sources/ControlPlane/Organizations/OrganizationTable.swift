import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `organizations`.
struct OrganizationRow {
  let id: OrganizationID
  let organization: Organization
}

enum OrganizationTable: EntityTable {
  static let table = Table<OrganizationRow>(
    "organizations",
    [
      .key("organization_id") { $0.id.uuid },
      .value("name") { $0.organization.name },
      .value("slug") { $0.organization.slug },
      .value("version") { $0.organization.version },
      .value("created_at") { TimestampTZ($0.organization.createdAt) },
      .value("updated_at") { TimestampTZ($0.organization.updatedAt) },
      .value("archived_at") { $0.organization.archivedAt.map(TimestampTZ.init) },
    ])

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> OrganizationRow? {
    guard case .organization = entity, let state = workspace.organization else { return nil }
    return OrganizationRow(id: organization, organization: state)
  }

  static func find(_ id: OrganizationID) -> Query {
    "SELECT \(fragment: columns) FROM organizations WHERE organization_id = \(id.uuid)"
  }

  /// The organizations that a user is a member of, newest first, behind the one with the id `after`.
  static func list(
    memberID: UserID, archived: Bool?, after: OrganizationID?, limit: Int64
  ) -> Query {
    """
    SELECT \(fragment: columns) FROM memberships JOIN organizations USING (organization_id) \
    WHERE user_id = \(memberID.uuid) \
    AND (\(after?.uuid)::uuid IS NULL OR organization_id < \(after?.uuid)) \
    AND (\(archived)::bool IS NULL OR (archived_at IS NOT NULL) = \(archived)) \
    ORDER BY organization_id DESC LIMIT \(limit)
    """
  }

  private static let columns = Query(
    unchecked: table.columns.map { "organizations." + $0.name }.joined(separator: ", "))
}

extension OrganizationRow {
  init(_ row: Row) throws(PostgresError) {
    let (id, name, slug, version, createdAt, updatedAt, archivedAt) = try row.decode(
      (
        UUID, String, String, Int64, TimestampTZ, TimestampTZ,
        TimestampTZ?
      ).self)
    self.init(
      id: OrganizationID(id),
      organization: Organization(
        name: name, slug: slug, version: version, createdAt: Timestamp(createdAt),
        updatedAt: Timestamp(updatedAt), archivedAt: archivedAt.map(Timestamp.init)))
  }
}

/// A row of `organization_slugs`, where the database keeps slugs unique.
struct OrganizationSlugRow {
  let organizationID: OrganizationID
  let slug: String
}

enum OrganizationSlugTable: EntityTable {
  static let table = Table<OrganizationSlugRow>(
    "organization_slugs",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .value("slug") { $0.slug },
    ])

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> OrganizationSlugRow? {
    guard case .organization = entity, let state = workspace.organization else { return nil }
    return OrganizationSlugRow(organizationID: organization, slug: state.slug)
  }

  /// Who has each of the slugs, of those that somebody has.
  static func holders(of slugs: [String]) -> Query {
    "SELECT slug, organization_id FROM organization_slugs WHERE slug = ANY(\(slugs))"
  }
}
