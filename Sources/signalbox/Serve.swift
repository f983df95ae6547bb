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
      answers on the port; GET /readyz is 200 when it does. While the server that DATABASE_URL names \
      does not answer, gateways are served from what was saved in the data directory. At the first start on an empty database \
      the user admin@localhost is made, whose token is SIGNALBOX_BOOTSTRAP_TOKEN, or else is \
      generated and printed once.
      """)

  @OptionGroup var databaseOptions: DatabaseOptions

  @Option(
    help: """
      The user to become when root starts the server; root only with --user root. (default: the owner of the data \
      directory, else signalbox, else postgres, or nobody beside DATABASE_URL)
      """)
  var user: String?

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

  @Flag(
    help:
      "For development and tests: webhooks may be sent to private addresses, and by plain http.")
  var webhookAllowPrivate = false

  @Option(
    help: "Ports that webhooks may be sent to beside 443 and 8443, separated by commas.")
  var webhookPorts: String?

  @Flag(
    help:
      "Where Stripe is not configured: the owners of a workspace change its plan to any other, without paying."
  )
  var selfServicePlans = false

  @Flag(help: "Make an organization with projects to look at, in an empty database.")
  var demo = false

  func run() async throws { try await start().run() }

  /// What is done on the main thread, while it is the only one: settings are read, and root becomes another user.
  func start() throws -> Start {
    let logger = Logger(label: "signalbox") { _ in JSONLogHandler() }
    let database = try databaseOptions.database()
    // Files of secrets and settings may be for root only. Everything after them is done as another user.
    let settings = try settings(database)
    try ProcessUser.become(
      named: user ?? Environment["SIGNALBOX_USER"], database, in: databaseOptions.directory, logger)
    return Start(serve: self, database: database, settings: settings, logger: logger)
  }

  /// A server that has all that it needs to start.
  struct Start: Sendable {
    fileprivate let serve: Serve
    fileprivate let database: Database
    fileprivate let settings: Settings
    fileprivate let logger: Logger

    func run() async throws {
      let owner = try await database.start()
      do {
        try await serve.serve(owner, database, settings, logger)
      } catch {
        await database.stop()
        throw error
      }
      await database.stop()
    }
  }

  /// What options, the environment and the files that they name say, before there is a database.
  fileprivate struct Settings: Sendable {
    let secrets: Secrets
    let bootstrapToken: String?
    let isDevelopment: Bool
    var configuration: ControlPlane.Configuration
  }

  private func settings(_ database: Database) throws -> Settings {
    let secrets = try Secrets()
    let token = try Environment["SIGNALBOX_BOOTSTRAP_TOKEN"].map(Self.bootstrapToken)
    let isDevelopment = try self.isDevelopment(database)
    var configuration = ControlPlane.Configuration(database: ConnectionOptions())
    try configure(&configuration)
    configuration.stripe = try stripeSettings(secrets)
    configuration.allowsSelfServicePlans = try allowsSelfServicePlans(secrets)
    return Settings(
      secrets: secrets, bootstrapToken: token, isDevelopment: isDevelopment,
      configuration: configuration)
  }

  fileprivate func serve(
    _ owner: ConnectionOptions, _ database: Database, _ settings: Settings, _ logger: Logger
  ) async throws {
    let preparation = Preparation(
      owner: owner, secrets: settings.secrets, bootstrapToken: settings.bootstrapToken,
      isDevelopment: settings.isDevelopment, makesDemo: demo, logger: logger)
    var configuration = settings.configuration
    configuration.database = owner.asApplication
    try ThreadReserve.check(configuration)
    Self.warnOfProxies(configuration, logger)
    let host = configuration.http.host
    guard case .external = database else {
      let controlPlane = try await preparation.controlPlane(
        configuration, connectingWithin: Preparation.patience)
      return try await controlPlane.run(services: supervision(database)) {
        Self.logReady(host, port: $0, logger)
      }
    }
    preparation.warnOfSecretsInDatabase()
    configuration.fallback = databaseOptions.directory.map {
      Fallback(directory: $0, database: owner, pepper: preparation.secrets.pepper)
    }
    let controlPlane: ControlPlane
    do {
      controlPlane = try await preparation.controlPlane(
        configuration, connectingWithin: .seconds(3))
    } catch let error as PostgresError where error.isTransient {
      return try await serve(before: preparation, configuration, error, logger)
    }
    try await controlPlane.run { Self.logReady(host, port: $0, logger) }
  }

  /// Answers before the database does: gateways from what was saved, everybody else that it is unavailable.
  private func serve(
    before preparation: Preparation, _ configuration: ControlPlane.Configuration,
    _ error: PostgresError, _ logger: Logger
  ) async throws {
    logger.error(
      "the database does not answer: waiting for it",
      metadata: ["database": "\(preparation.owner)", "error": "\(error)"])
    let groundwork = Groundwork(configuration, logger: logger)
    try await groundwork.run {
      let controlPlane = try await preparation.controlPlane(configuration, on: groundwork)
      logger.info("ready: the database is back")
      return controlPlane
    } ready: { port in
      logger.info(
        "answering without a database",
        metadata: ["address": "http://\(configuration.http.host):\(port)"])
    }
  }

  /// Behind a proxy that is not named, all clients share one address.
  private static func warnOfProxies(
    _ configuration: ControlPlane.Configuration, _ logger: Logger
  ) {
    guard !configuration.http.trustedProxies.namesAny,
      !LocalHost.isLocal(host: configuration.http.host)
    else { return }
    logger.warning(
      """
      --trusted-proxies names none: X-Forwarded-For is ignored, and behind a proxy all clients count as one address
      """)
  }

  private static func logReady(_ host: String, port: Int, _ logger: Logger) {
    logger.info("ready", metadata: ["address": "http://\(host):\(port)"])
  }

  private func supervision(_ database: Database) -> [any Service] {
    if case .embedded(let server) = database { [Supervision(server: server)] } else { [] }
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
    if webhookAllowPrivate || Environment["SIGNALBOX_WEBHOOK_ALLOW_PRIVATE"] == "1" {
      configuration.webhooks.targets = TargetPolicy(allowsPrivate: true)
    } else if let ports = webhookPorts ?? Environment["SIGNALBOX_WEBHOOK_PORTS"] {
      configuration.webhooks.targets = TargetPolicy(
        ports: TargetPolicy.standardPorts.union(try Self.ports(ports)))
    }
    switch Environment["SIGNALBOX_RATE_LIMITS"] {
    case nil, "on": break
    case "off": configuration.rateLimits = RateLimiter(isEnabled: false)
    default: throw ValidationError("SIGNALBOX_RATE_LIMITS is either on or off.")
    }
  }

  private static func ports(_ list: String) throws -> Set<UInt16> {
    let ports = list.split(separator: ",", omittingEmptySubsequences: false).map {
      UInt16($0.filter { $0 != " " })
    }
    guard let known = ports as? [UInt16], !known.contains(0) else {
      throw ValidationError("--webhook-ports takes numbers from 1 to 65535, such as 4443,9443.")
    }
    return Set(known)
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

  /// Giving plans away and selling them exclude each other.
  private func allowsSelfServicePlans(_ secrets: Secrets) throws -> Bool {
    guard selfServicePlans || Environment["SIGNALBOX_SELF_SERVICE_PLANS"] == "1" else {
      return false
    }
    guard secrets.stripeKey == nil, secrets.stripeWebhook.isEmpty else {
      throw ValidationError(
        """
        --self-service-plans gives every plan away, and Stripe is configured to be paid for them: \
        remove one of the two.
        """)
    }
    return true
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
    if Environment["SIGNALBOX_ALLOW_DEV_IDENTITY"] == "1" { return true }
    let reason =
      if case .external = database {
        "beside DATABASE_URL"
      } else if !LocalHost.isLocal(host: host ?? Environment["SIGNALBOX_HOST"] ?? "127.0.0.1") {
        "on an address that other machines can reach"
      } else {
        String?.none
      }
    guard let reason else { return true }
    throw ValidationError(
      """
      --dev-identity signs in anybody who asks: it is refused \(reason) unless \
      SIGNALBOX_ALLOW_DEV_IDENTITY=1.
      """)
  }

  private static func bootstrapToken(_ text: String) throws -> String {
    do throws(BootstrapToken.Invalid) {
      return try BootstrapToken(text).text
    } catch {
      throw ValidationError("SIGNALBOX_BOOTSTRAP_TOKEN \(error).")
    }
  }
}

/// Watches over the private PostgreSQL, and restarts it when it dies.
private struct Supervision: Service {
  let server: EmbeddedServer

  func run() async throws {
    try await cancelWhenGracefulShutdown { await server.superviseUntilCancelled() }
  }
}
