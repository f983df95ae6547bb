import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `personal_access_tokens`.
struct PersonalAccessTokenRow {
  let id: PersonalAccessTokenID
  let userID: UserID
  let token: PersonalAccessToken
}

enum PersonalAccessTokenTable: EntityTable {
  static let table = Table<PersonalAccessTokenRow>(
    "personal_access_tokens",
    [
      .key("token_id") { $0.id.uuid },
      .value("user_id") { $0.userID.uuid },
      .value("name") { $0.token.name },
      .value("hash") { $0.token.secret.hashBytes },
      .value("last_four") { $0.token.secret.lastFour },
      .value("expires_at") { $0.token.expiresAt.map(TimestampTZ.init) },
      .value("revoked_at") { $0.token.revokedAt.map(TimestampTZ.init) },
      .value("version") { $0.token.version },
      .value("created_at") { TimestampTZ($0.token.createdAt) },
    ])

  static func key(of entity: Entity, of stream: OrganizationID) -> [UUID]? {
    if case .personalAccessToken(let id) = entity { [id.uuid] } else { nil }
  }

  static func row(
    for entity: Entity, of stream: OrganizationID, in workspace: Workspace
  ) -> PersonalAccessTokenRow? {
    guard case .personalAccessToken(let id) = entity, let token = workspace.account?.tokens[id]
    else { return nil }
    return PersonalAccessTokenRow(id: id, userID: UserID(stream.uuid), token: token)
  }

  /// The user who has the token with this hash.
  static func owner(ofTokenHash hash: [UInt8]) -> Query {
    """
    SELECT hash, user_id, is_platform_admin, expires_at \
    FROM personal_access_tokens JOIN users USING (user_id) \
    WHERE hash = \(hash) AND revoked_at IS NULL AND erased_at IS NULL
    """
  }

  /// The tokens, whoever's, with these hashes, also when they are revoked.
  static func tokens(hashes: [[UInt8]]) -> Query {
    "SELECT user_id, token_id, hash FROM personal_access_tokens WHERE hash = ANY(\(hashes))"
  }

  /// A person's tokens, newest first, behind the one with the id `after`.
  static func list(of userID: UserID, after: UUID?, limit: Int64) -> Query {
    """
    SELECT \(fragment: columns) FROM personal_access_tokens WHERE user_id = \(userID.uuid) \
    AND (\(after)::uuid IS NULL OR token_id < \(after)) ORDER BY token_id DESC LIMIT \(limit)
    """
  }

  static func find(_ id: PersonalAccessTokenID, of userID: UserID) -> Query {
    """
    SELECT \(fragment: columns) FROM personal_access_tokens \
    WHERE user_id = \(userID.uuid) AND token_id = \(id.uuid)
    """
  }

  private static let columns = Query(unchecked: table.columnList)
}

extension PersonalAccessTokenRow {
  init(_ row: Row) throws(PostgresError) {
    let (id, userID, name, hash, lastFour, expiresAt, revokedAt, version, createdAt) =
      try row.decode(
        (
          UUID, UUID, ExactText, [UInt8], String, TimestampTZ?, TimestampTZ?, Int64, TimestampTZ
        ).self)
    self.init(
      id: PersonalAccessTokenID(id), userID: UserID(userID),
      token: PersonalAccessToken(
        name: name, secret: TokenSecret(hashBytes: hash, lastFour: lastFour),
        expiresAt: expiresAt.map(Timestamp.init), revokedAt: revokedAt.map(Timestamp.init),
        version: version, createdAt: Timestamp(createdAt)))
  }
}
