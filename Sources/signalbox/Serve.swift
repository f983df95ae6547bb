import ArgumentParser
import ControlPlane
import Cryptography
import Domain
import EventStore
import FoundationEssentials
import Identity
import JSON
import Logging
import Mail
import Postgres
import ServiceLifecycle
import Stripe

/// Runs the server until SIGTERM or SIGINT.
struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run the control plane.",
    discussion: """
      Starts the private PostgreSQL if there is no DATABASE_URL, brings the schema up to date, and \
      answers on the port; GET /readyz is 200 when it does. At the first start on an empty database \
      the user admin@localhost is made, whose token is SIGNALBOX_BOOTSTRAP_TOKEN, or else is \
      generated and printed once.
      """)

  @OptionGroup var databaseOptions: DatabaseOptions

  @Option(help: "The port to answer on; 0 takes a free one. (default: 8080)")
  var port: Int?

  @Option(help: "The address to answer on. (default: 127.0.0.1)")
  var host: String?

  @Option(help: "A JSON file that lists the OIDC issuers whose tokens are accepted.")
  var identityProviders: String?

  @Option(
    help: "The proxies in front, as addresses or CIDR blocks: X-Forwarded-For is taken from them.")
  var trustedProxies: String?

  @Option(help: "Where the dashboard answers invitations; the token is appended to it.")
  var invitationLink: String?

  @Option(help: "A JSON file with the plans that are sold, instead of the standard ones.")
  var plans: String?

  @Option(
    help: "Where Stripe's API is; for tests of one's own. (default: https://api.stripe.com)")
  var stripeBaseURL: String?

  @Option(help: "The id of the price at Stripe that the plan plus is subscribed to at.")
  var stripePricePlus: String?

  @Option(help: "The id of the price at Stripe that the plan business is subscribed to at.")
  var stripePriceBusiness: String?

  @Flag(
    help:
      "For development: POST /v1/dev/tokens signs in anybody, and mail stays in /v1/dev/mailbox.")
  var devIdentity = false

  @Flag(help: "Make an organization with projects to look at, in an empty database.")
  var demo = false

  func run() async throws {
    let logger = Logger(label: "signalbox") { _ in JSONLogHandler() }
    let database = try databaseOptions.database()
    let owner = try await database.start()
    do {
      try await serve(owner, database, logger)
    } catch {
      await database.stop()
      throw error
    }
    await database.stop()
  }

  private func serve(
    _ owner: ConnectionOptions, _ database: Database, _ logger: Logger
  ) async throws {
    let secrets = try Secrets()
    let token = try Environment["SIGNALBOX_BOOTSTRAP_TOKEN"].map(Self.bootstrapToken)
    let isDevelopment = try isDevelopment(database)
    let prepared = try await withSession(owner) { session in
      let deadline = ContinuousClock.now + .seconds(3600)
      _ = try Migrator.signalbox.migrate(session, deadline: deadline) {
        logger.info("migrating", metadata: ["step": "\($0.name)"])
      }
      return (
        hasher: try Bootstrap.hasher(pepper: secrets.pepper, session, deadline: deadline),
        keys: try secrets.keyRing
          ?? KeyRing(key: Bootstrap.sharedSecret("key-encryption", session, deadline: deadline)),
        providerKeys: try Bootstrap.providerKeyEncryption(
          configured: secrets.providerKeys, session, deadline: deadline),
        issuerKey: try isDevelopment
          ? Bootstrap.sharedSecret("development-issuer", session, deadline: deadline) : nil,
        admin: try Bootstrap.admin(session, deadline: deadline)
      )
    }
    if secrets.keyRing == nil, case .external = database {
      logger.warning(
        "SIGNALBOX_ENCRYPTION_KEYS is not set: the key that protects personal data is in the database beside it"
      )
    }

    if secrets.providerKeys == nil, case .external = database {
      logger.warning(
        "SIGNALBOX_PROVIDER_KEYS_KEK is not set: the key that seals provider keys is in the database beside them"
      )
    }

    var configuration = ControlPlane.Configuration(
      database: owner.asApplication, hasher: prepared.hasher, keys: prepared.keys,
      providerKeys: prepared.providerKeys)
    try configure(&configuration)
    configuration.stripe = try stripeSettings(secrets)
    if let key = prepared.issuerKey {
      configuration.development = Development(issuer: try await LocalIssuer(privateKey: key))
      logger.warning("development: anybody is signed in who asks for it")
    }
    let address = configuration.http.host
    let controlPlane = ControlPlane(configuration, logger: logger)
    let commands = controlPlane.services.commands
    if let admin = prepared.admin,
      let made = try await Bootstrap.makeToken(token, for: admin, prepared.hasher, commands)
    {
      if token == nil {
        print("Bootstrap token of admin@localhost, shown only this once: \(made)")
      }
      if demo { try await Demo.make(owner: admin, commands) }
    }

    var services: [any Service] = []
    if case .embedded(let server) = database { services.append(Supervision(server: server)) }
    try await controlPlane.run(services: services) { port in
      logger.info("ready", metadata: ["address": "http://\(address):\(port)"])
    }
  }

  /// What options and the environment say about the server.
  private func configure(_ configuration: inout ControlPlane.Configuration) throws {
    configuration.http.host = host ?? Environment["SIGNALBOX_HOST"] ?? "127.0.0.1"
    configuration.http.port = try port ?? Environment.option("PORT") ?? 8080
    configuration.invitationLink = invitationLink ?? Environment["SIGNALBOX_INVITATION_LINK"]
    do {
      configuration.http.trustedProxies = try TrustedProxies(
        trustedProxies ?? Environment["SIGNALBOX_TRUSTED_PROXIES"] ?? "")
      if let file = identityProviders ?? Environment["SIGNALBOX_IDENTITY_PROVIDERS"] {
        configuration.identityProviders = try IdentityProvider.list(parsing: TextFile.read(file))
      }
      if let file = plans ?? Environment["SIGNALBOX_PLANS"] {
        configuration.plans = try Self.planCatalog(file)
      }
      if let url = Environment["SIGNALBOX_SMTP_URL"] {
        configuration.mailer = try SMTPMailer(url: url)
      }
    } catch let error as any Error & CustomStringConvertible {
      throw ValidationError(error.description)
    }
    switch Environment["SIGNALBOX_SECRET_SCANNING"] {
    case nil, "off": break
    case "github": configuration.secretScanning = try Self.secretScanning()
    default: throw ValidationError("SIGNALBOX_SECRET_SCANNING is either github or off.")
    }
    switch Environment["SIGNALBOX_RATE_LIMITS"] {
    case nil, "on": break
    case "off": configuration.rateLimits = RateLimiter(isEnabled: false)
    default: throw ValidationError("SIGNALBOX_RATE_LIMITS is either on or off.")
    }
  }

  private func stripeSettings(_ secrets: Secrets) throws -> StripeSettings {
    var settings = StripeSettings()
    settings.webhookSecrets = secrets.stripeWebhook
    let prices: [PlanTier: String?] = [
      .plus: stripePricePlus ?? Environment["SIGNALBOX_STRIPE_PRICE_PLUS"],
      .business: stripePriceBusiness ?? Environment["SIGNALBOX_STRIPE_PRICE_BUSINESS"],
    ]
    settings.prices = prices.compactMapValues { $0 }
    guard let key = secrets.stripeKey else { return settings }
    do {
      settings.client = try StripeClient(
        secretKey: key,
        baseURL: stripeBaseURL ?? Environment["SIGNALBOX_STRIPE_BASE_URL"]
          ?? StripeClient.standardBaseURL)
    } catch {
      throw ValidationError(error.description)
    }
    return settings
  }

  private static func secretScanning() throws -> SecretScanning {
    do {
      return try SecretScanning(
        keysURL: Environment["SIGNALBOX_SECRET_SCANNING_KEYS_URL"] ?? SecretScanning.gitHubKeys)
    } catch {
      throw ValidationError(error.description)
    }
  }

  private static func planCatalog(_ file: String) throws -> PlanCatalog {
    do {
      let catalog = try StrictJSONDecoder().decode(PlanCatalog.self, from: TextFile.read(file))
      if let valid = PlanCatalog(version: catalog.version, plans: catalog.plans) { return valid }
    } catch let error as DecodingError {
      throw ValidationError("The plans in \(file) cannot be read: \(error)")
    }
    throw ValidationError(
      "\(file) must have a version from 1 on and each of free, plus and business once, in this order."
    )
  }

  /// Never by default, and not by accident beside a database that may be somebody's.
  private func isDevelopment(_ database: Database) throws -> Bool {
    guard devIdentity || Environment["SIGNALBOX_DEV_IDENTITY"] == "1" else { return false }
    if case .external = database, Environment["SIGNALBOX_ALLOW_DEV_IDENTITY"] != "1" {
      throw ValidationError(
        """
        --dev-identity signs in anybody who asks: it is refused beside DATABASE_URL unless \
        SIGNALBOX_ALLOW_DEV_IDENTITY=1.
        """)
    }
    return true
  }

  private static func bootstrapToken(_ text: String) throws -> String {
    guard BearerToken.isWellFormed(text) else {
      throw ValidationError(
        "SIGNALBOX_BOOTSTRAP_TOKEN may only have letters, digits and -._~+/= (RFC 6750).")
    }
    return text
  }
}

/// Watches over the private PostgreSQL, and restarts it when it dies.
private struct Supervision: Service {
  let server: EmbeddedServer

  func run() async throws {
    try await cancelWhenGracefulShutdown { await server.superviseUntilCancelled() }
  }
}
