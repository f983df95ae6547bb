import ControlPlane
import Cryptography
import Domain
import EventStore
import Identity
import Logging
import Postgres

/// What is done on a database before requests are taken: the schema is brought up to date, secrets that it keeps are
/// read, and somebody can sign in.
struct Preparation: Sendable {
  /// So long a database is waited for where nobody can be answered meanwhile.
  static let patience: Duration = .seconds(3600)

  let owner: ConnectionOptions
  let secrets: Secrets
  let bootstrapToken: String?
  let isDevelopment: Bool
  let makesDemo: Bool
  let logger: Logger

  private struct Prepared: Sendable {
    let secrets: ControlPlane.Secrets
    let issuerKey: [UInt8]?
    let admin: UserID?
  }

  func warnOfSecretsInDatabase() {
    if secrets.keyRing == nil {
      logger.warning(
        "SIGNALBOX_ENCRYPTION_KEYS is not set: the key that protects personal data is in the database beside it"
      )
    }
    if secrets.providerKeys == nil {
      logger.warning(
        "SIGNALBOX_PROVIDER_KEYS_KEK is not set: the key that seals provider keys is in the database beside them"
      )
    }
  }

  /// Makes a control plane, on what stands already or on something new, whose routes are served from then on.
  ///
  /// - Parameter patience: how long the database may take to answer at all.
  func controlPlane(
    _ configuration: ControlPlane.Configuration, on groundwork: Groundwork? = nil,
    connectingWithin patience: Duration
  ) async throws -> ControlPlane {
    let prepared = try await withSession(owner, connectingWithin: patience) { session in
      try prepare(session)
    }
    var configuration = configuration
    if let key = prepared.issuerKey {
      configuration.development = Development(
        issuer: try await LocalIssuer(privateKey: key),
        acceptsAnyHost: Environment["SIGNALBOX_ALLOW_DEV_IDENTITY"] == "1")
      logger.warning("development: anybody is signed in who asks for it")
    }
    let controlPlane = ControlPlane(configuration, prepared.secrets, on: groundwork, logger: logger)
    let commands = controlPlane.services.commands
    if let admin = prepared.admin,
      let made = try await Bootstrap.makeToken(
        bootstrapToken, for: admin, prepared.secrets.hasher, commands)
    {
      if bootstrapToken == nil {
        print("Bootstrap token of admin@localhost, shown only this once: \(made)")
      }
      if makesDemo { try await Demo.make(owner: admin, commands) }
    }
    return controlPlane
  }

  /// Tries again and again until there is a database. What would have ended a start is only logged now: gateways are
  /// served meanwhile.
  ///
  /// - Throws: `CancellationError`.
  func controlPlane(
    _ configuration: ControlPlane.Configuration, on groundwork: Groundwork
  ) async throws -> ControlPlane {
    var told = ""
    while true {
      do {
        return try await controlPlane(
          configuration, on: groundwork, connectingWithin: .seconds(5))
      } catch {
        try Task.checkCancellation()
        let text = "\(error)"
        if text != told {
          logger.error("the database cannot be used yet", metadata: ["error": "\(text)"])
        }
        told = text
      }
      try await Task.sleep(for: .milliseconds(500))
    }
  }

  private func prepare(_ session: Session) throws -> Prepared {
    let deadline = ContinuousClock.now + Self.patience
    _ = try Migrator.signalbox.migrate(session, deadline: deadline) {
      logger.info("migrating", metadata: ["step": "\($0.name)"])
    }
    return Prepared(
      secrets: ControlPlane.Secrets(
        hasher: try Bootstrap.hasher(pepper: secrets.pepper, session, deadline: deadline),
        keys: try secrets.keyRing
          ?? KeyRing(key: Bootstrap.sharedSecret("key-encryption", session, deadline: deadline)),
        providerKeys: try Bootstrap.providerKeyEncryption(
          configured: secrets.providerKeys, session, deadline: deadline)),
      issuerKey: try isDevelopment
        ? Bootstrap.sharedSecret("development-issuer", session, deadline: deadline) : nil,
      admin: try Bootstrap.admin(session, deadline: deadline))
  }
}
