import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `gateway_tokens`.
struct GatewayTokenRow {
  let id: GatewayTokenID
  let token: GatewayToken
}

enum GatewayTokenTable: EntityTable {
  static let table = Table<GatewayTokenRow>(
    "gateway_tokens",
    [
      .key("token_id") { $0.id.uuid },
      .value("name") { $0.token.name },
      .value("hash") { $0.token.secret.hashBytes },
      .value("last_four") { $0.token.secret.lastFour },
      .value("expires_at") { $0.token.expiresAt.map(TimestampTZ.init) },
      .value("revoked_at") { $0.token.revokedAt.map(TimestampTZ.init) },
      .value("created_by_kind") { $0.token.createdBy.kind.rawValue },
      .value("created_by_id") { $0.token.createdBy.id },
      .value("version") { $0.token.version },
      .value("created_at") { TimestampTZ($0.token.createdAt) },
    ])

  static func key(of entity: Entity, of stream: OrganizationID) -> [UUID]? {
    if case .gatewayToken(let id) = entity { [id.uuid] } else { nil }
  }

  /// Only of the platform's stream: what another one said of gateways would open every workspace.
  static func row(
    for entity: Entity, of stream: OrganizationID, in workspace: Workspace
  ) -> GatewayTokenRow? {
    guard stream == .platform, case .gatewayToken(let id) = entity,
      let token = workspace.gatewayTokens[id]
    else { return nil }
    return GatewayTokenRow(id: id, token: token)
  }

  /// The token with this hash, unless it is revoked.
  static func access(ofTokenHash hash: [UInt8]) -> Query {
    """
    SELECT token_id, hash, expires_at FROM gateway_tokens \
    WHERE hash = \(hash) AND revoked_at IS NULL
    """
  }

  /// All tokens, newest first, behind the one with the id `after`.
  static func list(after: UUID?, limit: Int64) -> Query {
    """
    SELECT \(fragment: columns) FROM gateway_tokens \
    WHERE (\(after)::uuid IS NULL OR token_id < \(after)) ORDER BY token_id DESC LIMIT \(limit)
    """
  }

  static func find(_ id: GatewayTokenID) -> Query {
    "SELECT \(fragment: columns) FROM gateway_tokens WHERE token_id = \(id.uuid)"
  }

  /// Those that are good for something at a time.
  static func good(at time: Timestamp) -> Query {
    """
    SELECT token_id, hash, expires_at FROM gateway_tokens \
    WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > \(TimestampTZ(time)))
    """
  }

  private static let columns = Query(unchecked: table.columnList)
}

extension KnownGateways.Gateway {
  /// A row of ``GatewayTokenTable/good(at:)``.
  init(_ row: Row) throws(PostgresError) {
    let (id, hash, expiresAt) = try row.decode((UUID, [UInt8], TimestampTZ?).self)
    self.init(id: GatewayTokenID(id), hash: hash, until: expiresAt.map(Timestamp.init))
  }
}

extension GatewayTokenRow {
  init(_ row: Row) throws(PostgresError) {
    let (id, name, hash, lastFour, expiresAt, revokedAt, byKind, byID, version, createdAt) =
      try row.decode(
        (
          UUID, ExactText, [UInt8], String, TimestampTZ?, TimestampTZ?, Actor.Kind, UUID?, Int64,
          TimestampTZ
        ).self)
    self.init(
      id: GatewayTokenID(id),
      token: GatewayToken(
        name: name, secret: TokenSecret(hashBytes: hash, lastFour: lastFour),
        expiresAt: expiresAt.map(Timestamp.init), revokedAt: revokedAt.map(Timestamp.init),
        createdBy: Actor(kind: byKind, id: byID), version: version,
        createdAt: Timestamp(createdAt)))
  }
}
