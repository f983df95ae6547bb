package import Cryptography
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
    return TokenHasher(pepper: try sharedSecret("pepper", session, deadline: deadline))
  }

  /// 32 random bytes that all replicas of this database share, made at first.
  ///
  /// - Throws: ``PostgresError``.
  package static func sharedSecret(
    _ name: String, _ session: Session, deadline: ContinuousClock.Instant
  ) throws -> [UInt8] {
    let results = try session.pipeline(
      [
        """
        INSERT INTO server_secrets (name, value) VALUES (\(name), \(SecureRandom.bytes(32))) \
        ON CONFLICT (name) DO NOTHING
        """,
        "SELECT value FROM server_secrets WHERE name = \(name)",
      ], deadline: deadline)
    return try results[1][0].decode([UInt8].self)
  }

  /// The keys that seal provider keys.
  ///
  /// Where none are configured, the database keeps one, of version 1. It still opens what it sealed when a list is
  /// configured later that begins with version 2: that is how an installation moves away from it.
  ///
  /// - Throws: ``PostgresError``.
  package static func providerKeyEncryption(
    configured: KeyEncryptionKeys?, _ session: Session, deadline: ContinuousClock.Instant
  ) throws -> KeyEncryptionKeys {
    let name = "provider-key-encryption"
    guard let configured else {
      return KeyEncryptionKeys(key: try sharedSecret(name, session, deadline: deadline))
    }
    let kept = try session.execute(
      "SELECT value FROM server_secrets WHERE name = \(name)", deadline: deadline)
    guard let key = try kept.first?.decode([UInt8].self) else { return configured }
    return configured.opening(alsoWith: KeyEncryptionKeys(key: key))
  }

  /// Makes the user `admin@localhost` in an empty database.
  ///
  /// - Returns: the admin, as long as they never had a token; nil when there is somebody who can sign in.
  /// - Throws: ``PostgresError``.
  package static func admin(
    _ session: Session, deadline: ContinuousClock.Instant
  ) throws -> UserID? {
    let results = try session.pipeline(
      UserTable.bootstrap(UserID(Identifiers.next())), deadline: deadline)
    return try results.last?.first.map { UserID(try $0.decode(UUID.self)) }
  }

  /// Gives the admin their first token.
  ///
  /// - Parameter token: the token to give them; one is generated when it is nil.
  /// - Returns: the token; nil when another replica was first.
  /// - Throws: ``CommandError``.
  package static func makeToken(
    _ token: String?, for admin: UserID, _ hasher: TokenHasher, _ commands: CommandHandler
  ) async throws(CommandError) -> String? {
    let token = token ?? TokenFormat.personalAccess.generate()
    let now = Timestamp.now
    // The admin's own id: asking a second time changes nothing.
    let id = PersonalAccessTokenID(admin.uuid)
    let outcome = try await commands.handle(
      CommandRequest(
        commandID: Identifiers.next(at: now), organizationID: .account(of: admin),
        command: .account(
          .createToken(id, name: "bootstrap", secret: hasher.secret(token), expiresAt: nil)),
        actor: .system, occurredAt: now))
    return outcome.position == nil ? nil : token
  }
}
