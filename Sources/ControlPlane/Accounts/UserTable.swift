import Domain
import FoundationEssentials
import Mail
package import Postgres

/// `users`: identity as the identity provider gave it, and the only place with personal data in clear. Not rendered from
/// events, which hold none of it.
package enum UserTable {
  static func find(issuer: String, subject: String) -> Query {
    """
    SELECT \(fragment: identityColumns) FROM users \
    WHERE issuer = \(issuer) AND subject = \(subject)
    """
  }

  /// When whoever signed in so was erased the last time; no row when nobody was.
  static func erasure(ofIdentity hash: [UInt8]) -> Query {
    """
    SELECT erased_at FROM users WHERE identity_hash = \(hash) AND erased_at IS NOT NULL \
    ORDER BY erased_at DESC LIMIT 1
    """
  }

  /// Adds a user, or brings what is known of them up to date.
  static func register(
    _ id: UserID, issuer: String, subject: String, identityHash: [UInt8], email: String?,
    name: String?
  ) -> Query {
    let normalized = email.flatMap { EmailAddress($0)?.normalized }
    return """
      INSERT INTO users (user_id, issuer, subject, identity_hash, email, normalized_email, name) \
      VALUES (\(id.uuid), \(issuer), \(subject), \(identityHash), \(email), \(normalized), \(name)) \
      ON CONFLICT (issuer, subject) DO UPDATE \
      SET identity_hash = excluded.identity_hash, email = excluded.email, \
      normalized_email = excluded.normalized_email, name = excluded.name, \
      updated_at = now() RETURNING \(fragment: identityColumns)
      """
  }

  private static let identityColumns = Query(
    unchecked: "user_id, is_platform_admin, email, name, identity_hash IS NOT NULL")

  static func profile(of id: UserID) -> Query {
    """
    SELECT email, name, is_platform_admin, created_at, updated_at FROM users \
    WHERE user_id = \(id.uuid) AND erased_at IS NULL
    """
  }

  static func names(of ids: [UUID]) -> Query {
    "SELECT user_id, email, name, erased_at IS NOT NULL FROM users WHERE user_id = ANY(\(ids))"
  }

  /// Nothing of a person stays in clear: what was sealed under their keys is gone with the keys, and how they signed in
  /// is replaced by something that nobody can sign in as.
  static func erase(_ ids: [UUID]) -> [Query] {
    [
      """
      UPDATE users SET issuer = 'erased', subject = user_id::text, email = NULL, normalized_email = NULL, \
      name = NULL, is_platform_admin = false, updated_at = now(), erased_at = now() WHERE user_id = ANY(\(ids))
      """,
      """
      UPDATE data_subjects SET email_hash = NULL, sealed_key = NULL WHERE user_id = ANY(\(ids))
      """,
      // The audit's evidence of where they were.
      """
      UPDATE workspace_audit_events SET ip = NULL, user_agent = NULL \
      WHERE actor_kind = 'user' AND actor_id = ANY(\(ids)) AND (ip IS NOT NULL OR user_agent IS NOT NULL)
      """,
      "DELETE FROM idempotency_records WHERE principal_id = ANY(\(ids))",
    ]
  }

  /// Makes the first user, a platform admin. The last statement's row is the admin, unless they or others have a token.
  static func bootstrap(_ id: UserID) -> [Query] {
    [
      // The owner of the schema asks, for whom row security makes no exception.
      "SELECT set_config('signalbox.principal', 'system', true)",
      """
      INSERT INTO users (user_id, issuer, subject, email, normalized_email, name, is_platform_admin) \
      SELECT \(id.uuid), 'signalbox', 'admin', 'admin@localhost', 'admin@localhost', \
      'Administrator', true \
      WHERE NOT EXISTS (SELECT FROM users) \
      ON CONFLICT (issuer, subject) DO NOTHING
      """,
      """
      SELECT user_id FROM users WHERE issuer = 'signalbox' AND subject = 'admin' \
      AND NOT EXISTS (SELECT FROM personal_access_tokens)
      """,
    ]
  }
}

/// What an erased account has besides its events: done in the transaction that says so.
enum UserErasure {
  static func statements(_ touched: [TouchedEntity]) -> [Query] {
    let erased = touched.compactMap { touched -> UUID? in
      guard case .account(let id) = touched.entity, touched.workspace.account?.erasedAt != nil
      else { return nil }
      return id.uuid
    }
    return erased.isEmpty ? [] : UserTable.erase(erased)
  }
}
