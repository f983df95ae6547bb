import Cryptography
package import Domain
import FoundationEssentials
package import Postgres

/// What a database needs before anybody can sign in.
package enum Bootstrap {
  /// A token hasher with the pepper that all replicas of this database share, made at first.
  ///
  /// - Parameter pepper: given from outside, it is used instead, and the database never sees it.
  /// - Throws: ``PostgresError``.
  package static func hasher(
    pepper: [UInt8]?, _ session: Session, deadline: ContinuousClock.Instant
  ) throws -> TokenHasher {
    if let pepper { return TokenHasher(pepper: pepper) }
    let results = try session.pipeline(
      [
        """
        INSERT INTO server_secrets (name, value) VALUES ('pepper', \(SecureRandom.bytes(32))) \
        ON CONFLICT (name) DO NOTHING
        """,
        "SELECT value FROM server_secrets WHERE name = 'pepper'",
      ], deadline: deadline)
    return TokenHasher(pepper: try results[1][0].decode([UInt8].self))
  }

  /// Makes the user `admin@localhost` in an empty database, with one personal access token.
  ///
  /// - Parameter token: the token to give them; one is generated when it is nil.
  /// - Returns: the admin's id and token; nil when anybody exists already, then nothing is made.
  /// - Throws: ``PostgresError``.
  package static func makeAdmin(
    token: String?, _ hasher: TokenHasher, _ session: Session, deadline: ContinuousClock.Instant
  ) throws -> (id: UserID, token: String)? {
    let token = token ?? TokenGenerator.personalAccessToken()
    let id = UserID(Identifiers.next())
    let results = try session.pipeline(
      PersonalAccessTokenTable.bootstrap(
        userID: id.uuid, tokenID: Identifiers.next(), hash: hasher.hash(token)),
      deadline: deadline)
    return results[2].affected == 1 ? (id, token) : nil
  }
}
