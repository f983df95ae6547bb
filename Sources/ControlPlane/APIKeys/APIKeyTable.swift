import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `api_keys`.
struct APIKeyRow {
  let organizationID: OrganizationID
  let id: APIKeyID
  let key: APIKey
}

enum APIKeyTable: EntityTable {
  static let table = Table<APIKeyRow>(
    "api_keys",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("key_id") { $0.id.uuid },
      .value("project_id") { $0.key.projectID.uuid },
      .value("name") { $0.key.name },
      .value("prefix") { $0.key.environment.apiKeyPrefix },
      .value("hash") { $0.key.secret.hashBytes },
      .value("last_four") { $0.key.secret.lastFour },
      .value("rotated_from") { $0.key.rotatedFrom?.uuid },
      .value("rotated_to") { $0.key.rotatedTo?.uuid },
      .value("expires_at") { $0.key.expiresAt.map(TimestampTZ.init) },
      .value("revoked_at") { $0.key.revokedAt.map(TimestampTZ.init) },
      .value("revoked_reason") { $0.key.revokedReason },
      .value("created_by_kind") { $0.key.createdBy.kind.rawValue },
      .value("created_by_id") { $0.key.createdBy.id },
      .value("version") { $0.key.version },
      .value("created_at") { TimestampTZ($0.key.createdAt) },
      .value("updated_at") { TimestampTZ($0.key.updatedAt) },
    ])

  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    if case .apiKey(let id) = entity { [organization.uuid, id.uuid] } else { nil }
  }

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> APIKeyRow? {
    guard case .apiKey(let id) = entity, let key = workspace.apiKeys[id] else { return nil }
    return APIKeyRow(organizationID: organization, id: id, key: key)
  }

  static func find(
    _ id: APIKeyID, of project: ProjectID, in organization: OrganizationID
  ) -> Query {
    """
    SELECT \(fragment: columns) FROM api_keys WHERE organization_id = \(organization.uuid) \
    AND project_id = \(project.uuid) AND key_id = \(id.uuid)
    """
  }

  /// A project's keys, newest first, behind the one with the id `after`.
  static func list(
    of project: ProjectID, in organization: OrganizationID, after: UUID?, limit: Int64
  ) -> Query {
    """
    SELECT \(fragment: columns) FROM api_keys WHERE organization_id = \(organization.uuid) \
    AND project_id = \(project.uuid) AND (\(after)::uuid IS NULL OR key_id < \(after)) \
    ORDER BY key_id DESC LIMIT \(limit)
    """
  }

  /// All keys of some organizations that are not revoked, those that have expired included.
  static func notRevoked(in organizations: [UUID]) -> Query {
    """
    SELECT \(fragment: columns) FROM api_keys \
    WHERE organization_id = ANY(\(organizations)) AND revoked_at IS NULL
    """
  }

  private static let columns = Query(unchecked: table.columnList)
}

extension APIKeyRow {
  init(_ row: Row) throws(PostgresError) {
    let (
      organizationID, id, projectID, name, prefix, hash, lastFour, rotatedFrom, rotatedTo,
      expiresAt, revokedAt, revokedReason, byKind, byID, version, createdAt, updatedAt
    ) = try row.decode(
      (
        UUID, UUID, UUID, ExactText, String, [UInt8], String, UUID?, UUID?, TimestampTZ?,
        TimestampTZ?, ExactText?, Actor.Kind, UUID?, Int64, TimestampTZ, TimestampTZ
      ).self)
    guard let environment = Project.Environment.allCases.first(where: { $0.apiKeyPrefix == prefix })
    else { throw PostgresError(.misuse, reason: "key \(id) has a prefix of no environment") }
    self.init(
      organizationID: OrganizationID(organizationID), id: APIKeyID(id),
      key: APIKey(
        projectID: ProjectID(projectID), environment: environment, name: name,
        secret: TokenSecret(hashBytes: hash, lastFour: lastFour),
        rotatedFrom: rotatedFrom.map { APIKeyID($0) }, rotatedTo: rotatedTo.map { APIKeyID($0) },
        expiresAt: expiresAt.map(Timestamp.init), revokedAt: revokedAt.map(Timestamp.init),
        revokedReason: revokedReason, createdBy: Actor(kind: byKind, id: byID), version: version,
        createdAt: Timestamp(createdAt), updatedAt: Timestamp(updatedAt)))
  }
}

/// A row of `api_key_lookups`: whose key one is.
struct APIKeyLookupRow {
  let organizationID: OrganizationID
  let id: APIKeyID
  let lookupID: UUID
}

/// Also of those that are revoked: when one is found somewhere, it is known what it was.
enum APIKeyLookupTable: EntityTable {
  static let table = Table<APIKeyLookupRow>(
    "api_key_lookups",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("key_id") { $0.id.uuid },
      .value("lookup_id") { $0.lookupID },
    ])

  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    APIKeyTable.key(of: entity, of: organization)
  }

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> APIKeyLookupRow? {
    guard case .apiKey(let id) = entity, let key = workspace.apiKeys[id] else { return nil }
    return APIKeyLookupRow(
      organizationID: organization, id: id, lookupID: UUID(leading: key.secret.hashBytes))
  }

  /// The keys, of whatever workspace, that are named by the first halves of their hashes.
  static func keys(lookupIDs: [UUID]) -> Query {
    """
    SELECT organization_id, project_id, key_id, hash \
    FROM api_key_lookups JOIN api_keys USING (organization_id, key_id) \
    WHERE lookup_id = ANY(\(lookupIDs))
    """
  }
}
