import ArgumentParser
import ControlPlane
import Cryptography
import Domain
import EventStore
import FoundationEssentials
import Logging
import Postgres
import ServiceLifecycle

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
    let pepper = try Environment["SIGNALBOX_TOKEN_PEPPER"].map(Self.pepper)
    let token = try Environment["SIGNALBOX_BOOTSTRAP_TOKEN"].map(Self.bootstrapToken)
    let (hasher, admin) = try await withSession(owner) { session in
      let deadline = ContinuousClock.now + .seconds(3600)
      _ = try Migrator.signalbox.migrate(session, deadline: deadline) {
        logger.info("migrating", metadata: ["step": "\($0.name)"])
      }
      let hasher = try Bootstrap.hasher(pepper: pepper, session, deadline: deadline)
      return (hasher, try Bootstrap.makeAdmin(token: token, hasher, session, deadline: deadline))
    }
    if let admin, token == nil {
      print("Bootstrap token of admin@localhost, shown only this once: \(admin.token)")
    }

    var configuration = ControlPlane.Configuration(
      database: owner.asApplication, hasher: hasher)
    configuration.http.host = host ?? Environment["SIGNALBOX_HOST"] ?? "127.0.0.1"
    configuration.http.port = try port ?? Environment.option("PORT") ?? 8080
    let address = configuration.http.host
    let controlPlane = ControlPlane(configuration, logger: logger)
    if demo, let admin { try await Demo.make(owner: admin.id, controlPlane.services.commands) }

    var services: [any Service] = []
    if case .embedded(let server) = database { services.append(Supervision(server: server)) }
    try await controlPlane.run(services: services) { port in
      logger.info("ready", metadata: ["address": "http://\(address):\(port)"])
    }
  }

  private static func pepper(_ text: String) throws -> [UInt8] {
    guard let bytes = Base64URL.decode(text), bytes.count >= 32 else {
      throw ValidationError(
        "SIGNALBOX_TOKEN_PEPPER must be at least 32 random bytes in base64url without padding.")
    }
    return bytes
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
