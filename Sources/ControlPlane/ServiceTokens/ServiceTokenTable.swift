import Cryptography
import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `service_tokens`.
struct ServiceTokenRow {
  let organizationID: OrganizationID
  let id: ServiceTokenID
  let token: ServiceToken
  /// Of the uses that were written down; up to a minute late.
  var lastUsedAt: Timestamp?
}

enum ServiceTokenTable: EntityTable {
  static let table = Table<ServiceTokenRow>(
    "service_tokens",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("token_id") { $0.id.uuid },
      .value("name") { $0.token.name },
      .value("role") { $0.token.role.rawValue },
      .value("project_ids", as: "uuid[]") { $0.token.projectIDs.map(literal) },
      .value("hash") { $0.token.secret.hashBytes },
      .value("last_four") { $0.token.secret.lastFour },
      .value("former_hash") { $0.token.former?.secret.hashBytes },
      .value("former_until") { ($0.token.former?.until).map(TimestampTZ.init) },
      .value("expires_at") { TimestampTZ($0.token.expiresAt) },
      .value("revoked_at") { $0.token.revokedAt.map(TimestampTZ.init) },
      .value("created_by_kind") { $0.token.createdBy.kind.rawValue },
      .value("created_by_id") { $0.token.createdBy.id },
      .value("rotated_by_kind") { ($0.token.rotatedBy?.kind).map(\.rawValue) },
      .value("rotated_by_id") { $0.token.rotatedBy?.id },
      .value("version") { $0.token.version },
      .value("created_at") { TimestampTZ($0.token.createdAt) },
      .value("updated_at") { TimestampTZ($0.token.updatedAt) },
    ])

  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    if case .serviceToken(let id) = entity { [organization.uuid, id.uuid] } else { nil }
  }

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> ServiceTokenRow? {
    guard case .serviceToken(let id) = entity, let token = workspace.serviceTokens[id] else {
      return nil
    }
    return ServiceTokenRow(organizationID: organization, id: id, token: token)
  }

  /// As PostgreSQL writes an array: there are no arrays of arrays of unequal lengths.
  private static func literal(_ ids: [ProjectID]) -> String {
    "{\(ids.map(\.uuid.lowercased).joined(separator: ","))}"
  }

  static func find(_ id: ServiceTokenID, in organization: OrganizationID) -> Query {
    """
    \(fragment: selection) WHERE t.organization_id = \(organization.uuid) \
    AND t.token_id = \(id.uuid)
    """
  }

  /// An organization's tokens, newest first, behind the one with the id `after`.
  static func list(in organization: OrganizationID, after: UUID?, limit: Int64) -> Query {
    """
    \(fragment: selection) WHERE t.organization_id = \(organization.uuid) \
    AND (\(after)::uuid IS NULL OR t.token_id < \(after)) ORDER BY t.token_id DESC LIMIT \(limit)
    """
  }

  private static let selection = Query(
    unchecked: """
      SELECT \(table.columns.map { "t." + $0.name }.joined(separator: ", ")), u.last_used_at \
      FROM service_tokens AS t LEFT JOIN service_token_uses AS u USING (organization_id, token_id)
      """)

  /// The token whose present or former secret is named by the first half of its hash.
  static func access(lookupID: UUID) -> Query {
    """
    SELECT organization_id, token_id, role, project_ids, hash, former_hash, former_until, expires_at \
    FROM service_token_lookups JOIN service_tokens USING (organization_id, token_id) \
    WHERE (lookup_id = \(lookupID) OR former_lookup_id = \(lookupID)) AND revoked_at IS NULL
    """
  }

  /// The tokens, of whatever workspace, whose present or former secret has one of these hashes, also when they are revoked.
  /// Looks at all of them: only for what happens rarely.
  static func tokens(hashes: [[UInt8]]) -> Query {
    """
    SELECT organization_id, token_id, hash, former_hash FROM service_tokens \
    WHERE hash = ANY(\(hashes)) OR former_hash = ANY(\(hashes))
    """
  }

  /// The tokens that a person made, or whose present secret they were shown, in workspaces that they are a member of.
  static func unrevoked(madeBy maker: UserID) -> Query {
    """
    SELECT organization_id, token_id FROM service_tokens JOIN memberships USING (organization_id) \
    WHERE user_id = \(maker.uuid) AND (\
    created_by_kind = 'user' AND created_by_id = \(maker.uuid) \
    OR rotated_by_kind = 'user' AND rotated_by_id = \(maker.uuid)) AND revoked_at IS NULL ORDER BY organization_id, token_id
    """
  }

  /// What a token is good for, and its hashes.
  struct Access {
    let token: ServiceTokenAccess
    private let secrets: [(hash: [UInt8], until: Timestamp)]

    init(_ row: Postgres.Row) throws(PostgresError) {
      let (
        organizationID, id, role, projectIDs, hash, formerHash, formerUntil, expiresAt
      ) = try row.decode(
        (
          UUID, UUID, Role, [UUID]?, [UInt8], [UInt8]?, TimestampTZ?, TimestampTZ
        ).self)
      token = ServiceTokenAccess(
        id: ServiceTokenID(id), organizationID: OrganizationID(organizationID), role: role,
        projectIDs: projectIDs.map { Set($0.map { ProjectID($0) }) })
      var secrets = [(hash, Timestamp(expiresAt))]
      if let formerHash, let formerUntil {
        secrets.append((formerHash, min(Timestamp(formerUntil), Timestamp(expiresAt))))
      }
      self.secrets = secrets
    }

    /// Until when the token with this hash is good; nil when it is another's.
    func validUntil(for hash: [UInt8]) -> Timestamp? {
      secrets.first { constantTimeEquals($0.hash, hash) }?.until
    }
  }
}

extension ServiceTokenRow {
  init(_ row: Row) throws(PostgresError) {
    let (
      organizationID, id, name, role, projectIDs, hash, lastFour, formerHash, formerUntil,
      expiresAt, revokedAt, byKind, byID, rotatedByKind, rotatedByID, version, createdAt, updatedAt,
      lastUsedAt
    ) = try row.decode(
      (
        UUID, UUID, ExactText, Role, [UUID]?, [UInt8], String, [UInt8]?, TimestampTZ?, TimestampTZ,
        TimestampTZ?, Actor.Kind, UUID?, Actor.Kind?, UUID?, Int64, TimestampTZ, TimestampTZ,
        TimestampTZ?
      ).self)
    var former: ServiceToken.Former?
    if let formerHash, let formerUntil {
      // Whose last four characters nobody asks for any more.
      former = ServiceToken.Former(
        secret: TokenSecret(hashBytes: formerHash, lastFour: ""),
        until: Timestamp(formerUntil))
    }
    self.init(
      organizationID: OrganizationID(organizationID), id: ServiceTokenID(id),
      token: ServiceToken(
        name: name, role: role, projectIDs: projectIDs?.map { ProjectID($0) },
        secret: TokenSecret(hashBytes: hash, lastFour: lastFour), former: former,
        expiresAt: Timestamp(expiresAt), revokedAt: revokedAt.map(Timestamp.init),
        createdBy: Actor(kind: byKind, id: byID),
        rotatedBy: rotatedByKind.map { Actor(kind: $0, id: rotatedByID) }, version: version,
        createdAt: Timestamp(createdAt), updatedAt: Timestamp(updatedAt)),
      lastUsedAt: lastUsedAt.map(Timestamp.init))
  }
}

/// A row of `service_token_lookups`: whose token one is.
struct ServiceTokenLookupRow {
  let organizationID: OrganizationID
  let id: ServiceTokenID
  let lookupID: UUID
  let formerLookupID: UUID?
}

enum ServiceTokenLookupTable: EntityTable {
  static let table = Table<ServiceTokenLookupRow>(
    "service_token_lookups",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("token_id") { $0.id.uuid },
      .value("lookup_id") { $0.lookupID },
      .value("former_lookup_id") { $0.formerLookupID },
    ])

  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    ServiceTokenTable.key(of: entity, of: organization)
  }

  /// Only of those that are not revoked.
  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> ServiceTokenLookupRow? {
    guard case .serviceToken(let id) = entity, let token = workspace.serviceTokens[id],
      token.revokedAt == nil
    else { return nil }
    return ServiceTokenLookupRow(
      organizationID: organization, id: id,
      lookupID: UUID(leading: token.secret.hashBytes),
      formerLookupID: (token.former?.secret.hashBytes).map { UUID(leading: $0) })
  }
}
