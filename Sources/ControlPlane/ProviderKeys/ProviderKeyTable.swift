import Cryptography
import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `provider_keys`.
struct ProviderKeyRow {
  let organizationID: OrganizationID
  let id: ProviderKeyID
  let key: ProviderKey
}

enum ProviderKeyTable: EntityTable {
  static let table = Table<ProviderKeyRow>(
    "provider_keys",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("provider_key_id") { $0.id.uuid },
      .value("project_id") { $0.key.projectID.uuid },
      .value("provider") { $0.key.provider.description },
      // What is no envelope opens nowhere, and is kept as it is nevertheless: the log says so.
      .value("encrypted_key") { Base64URL.decode($0.key.secret.sealed.envelope) ?? [] },
      .value("key_version") { $0.key.secret.sealed.keyVersion },
      .value("fingerprint") { $0.key.secret.fingerprint },
      .value("last_four") { $0.key.secret.lastFour },
      .value("version") { $0.key.version },
      .value("created_at") { TimestampTZ($0.key.createdAt) },
      .value("updated_at") { TimestampTZ($0.key.updatedAt) },
    ])

  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    if case .providerKey(let id) = entity { [organization.uuid, id.uuid] } else { nil }
  }

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> ProviderKeyRow? {
    guard case .providerKey(let id) = entity, let key = workspace.providerKeys[id] else {
      return nil
    }
    return ProviderKeyRow(organizationID: organization, id: id, key: key)
  }

  static func find(_ id: ProviderKeyID, in organization: OrganizationID) -> Query {
    """
    SELECT \(fragment: columns) FROM provider_keys \
    WHERE organization_id = \(organization.uuid) AND provider_key_id = \(id.uuid)
    """
  }

  /// A project's keys in the order of the providers' names, behind the name `after`.
  static func list(
    of project: ProjectID, in organization: OrganizationID, after: String?, limit: Int64
  ) -> Query {
    """
    SELECT \(fragment: columns) FROM provider_keys \
    WHERE organization_id = \(organization.uuid) AND project_id = \(project.uuid) \
    AND (\(after)::text IS NULL OR provider COLLATE "C" > \(after)) \
    ORDER BY provider COLLATE "C" LIMIT \(limit)
    """
  }

  /// Keys of all workspaces that an older key-encryption key wraps, behind one of them.
  static func older(
    than keyVersion: Int32, after: (OrganizationID, ProviderKeyID)?, limit: Int64
  ) -> Query {
    """
    SELECT \(fragment: columns) FROM provider_keys WHERE key_version < \(Int64(keyVersion)) \
    AND (\(after?.0.uuid)::uuid IS NULL \
    OR (organization_id, provider_key_id) > (\(after?.0.uuid), \(after?.1.uuid))) \
    ORDER BY organization_id, provider_key_id LIMIT \(limit)
    """
  }

  /// All keys of some organizations.
  static func all(in organizations: [UUID]) -> Query {
    "SELECT \(fragment: columns) FROM provider_keys WHERE organization_id = ANY(\(organizations))"
  }

  /// How many keys each key-encryption key wraps, the oldest version first.
  static let countByVersion: Query =
    "SELECT key_version, count(*) FROM provider_keys GROUP BY key_version ORDER BY key_version"

  private static let columns = Query(unchecked: table.columnList)
}

extension ProviderKeyRow {
  init(_ row: Row) throws(PostgresError) {
    let (
      organizationID, id, projectID, provider, encrypted, keyVersion, fingerprint, lastFour,
      version, createdAt, updatedAt
    ) = try row.decode(
      (
        UUID, UUID, UUID, String, [UInt8], Int64, String, String, Int64, TimestampTZ, TimestampTZ
      ).self)
    guard let provider = Provider(provider) else {
      throw PostgresError(
        .misuse, reason: "provider key \(id) is for no provider that there can be")
    }
    self.init(
      organizationID: OrganizationID(organizationID), id: ProviderKeyID(id),
      key: ProviderKey(
        projectID: ProjectID(projectID), provider: provider,
        secret: ProviderKey.Secret(
          sealed: SealedKey(envelope: Base64URL.encode(encrypted), keyVersion: keyVersion),
          fingerprint: fingerprint, lastFour: lastFour),
        version: version, createdAt: Timestamp(createdAt), updatedAt: Timestamp(updatedAt)))
  }
}
