import Domain
package import FoundationEssentials
package import Postgres

/// `users` and `personal_access_tokens`: who a bearer of a token is.
package enum PersonalAccessTokenTable {
  /// The user who has the token with this hash.
  static func user(withTokenHash hash: [UInt8]) -> Query {
    """
    SELECT hash, user_id, is_platform_admin FROM personal_access_tokens JOIN users USING (user_id) \
    WHERE hash = \(hash)
    """
  }

  /// One row: whether nobody is known yet.
  package static let isUnused: Query = "SELECT NOT EXISTS (SELECT FROM users)"

  /// Makes the first user, a platform admin with one token, unless anybody exists already.
  package static func bootstrap(userID: UUID, tokenID: UUID, hash: [UInt8]) -> [Query] {
    [
      "BEGIN",
      "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE",
      """
      WITH admin AS (INSERT INTO users (user_id, issuer, subject, email, name, is_platform_admin) \
      SELECT \(userID), 'signalbox', 'admin', 'admin@localhost', 'Administrator', true \
      WHERE NOT EXISTS (SELECT FROM users) RETURNING user_id) \
      INSERT INTO personal_access_tokens (token_id, user_id, name, hash) \
      SELECT \(tokenID), user_id, 'bootstrap', \(hash) FROM admin
      """,
      "COMMIT",
    ]
  }
}
