import ConfigurationFeed
import Cryptography
import Domain
import EventStore
import FoundationEssentials
package import Logging
import Postgres
import ServiceLifecycle

/// What a process stands on whether its database has answered yet or not: connections, the HTTP server, the data plane's
/// feed. A ``ControlPlane`` is put on it once there is a database to be it with.
///
/// Until then it serves gateways from what was saved, if anything was, and answers everything else that it is unavailable.
package struct Groundwork: Sendable {
  let metrics = Metrics()
  let replica = UUID()
  /// The number whose advisory lock says that this process lives: see ``JobAttempts``.
  let holder = Int64.random(in: 1 ... .max)
  let connections: Connections
  let tail: LogTail
  let reads: TableReads
  let knownGateways: KnownGateways
  let liveConfiguration: LiveConfiguration
  let gatewayReports: GatewayReports
  /// Raised whenever anybody has appended to the log.
  let logGrowth = BroadcastSignal()
  let readiness: Readiness
  let server: HTTPServer
  private let saved: SavedConfiguration?
  private let saver: ConfigurationSaver?
  private let logger: Logger

  /// Connects in the background, and waits for nothing.
  package init(_ configuration: ControlPlane.Configuration, logger: Logger) {
    self.logger = logger
    connections = Connections(
      configuration.database, readers: configuration.readers, holder: holder, logger: logger)
    tail = LogTail(
      connection: connections.tail, replica: replica, quietTime: configuration.quietTime)
    reads = TableReads(tail: tail, reader: connections.reader)
    let file = configuration.fallback.map { FallbackFile($0, logger: logger) }
    saved = file?.load()
    let key = saved?.key ?? configuration.fallback?.key ?? .own(SecureRandom.bytes(32))
    knownGateways = KnownGateways(key, saved?.gateways ?? [])
    liveConfiguration = LiveConfiguration(
      reads: reads, pool: connections.pool, plans: configuration.plans,
      knownGateways: knownGateways, metrics: metrics, logger: logger)
    saver = file.map { [liveConfiguration, knownGateways] in
      ConfigurationSaver(file: $0, configuration: liveConfiguration, knownGateways: knownGateways)
    }
    gatewayReports = GatewayReports(pool: connections.pool, logger: logger)
    readiness = Readiness([NotYet()])
    var http = configuration.http
    http.reservedDescriptors =
      Connections.maxDescriptors(readers: configuration.readers) + Webhooks.maxDescriptors
      + Self.otherDescriptors
    server = HTTPServer(
      router: Self.standby(knownGateways, liveConfiguration, gatewayReports, readiness, metrics),
      configuration: http, limiter: configuration.rateLimits, metrics: metrics,
      readiness: readiness, logger: logger)
  }

  /// Standard streams, the data directory, event loops, identity providers, mail and Stripe.
  private static let otherDescriptors = 64

  /// What can be answered without a database.
  private static func standby(
    _ knownGateways: KnownGateways, _ configuration: LiveConfiguration, _ reports: GatewayReports,
    _ readiness: Readiness, _ metrics: Metrics
  ) -> APIRouter {
    let router = APIRouter(isIncomplete: true)
    DataPlaneRoutes(
      door: StandbyDoor(knownGateways: knownGateways), configuration: configuration,
      reports: reports
    ).add(to: router)
    DocumentRoutes().add(to: router)
    router.addOperations(
      readiness: readiness, metrics: metrics, catalogue: ProblemCatalogue(ProblemKind.features))
    return router
  }

  /// Serves before there is a database, from what was saved, and makes a control plane as soon as there is one. Ends like
  /// ``ControlPlane/run(services:ready:)``.
  ///
  /// - Parameter makeControlPlane: waits for the database, however long that takes.
  package func run(
    until makeControlPlane: @escaping @Sendable () async throws -> ControlPlane,
    ready: @escaping @Sendable (Int) async -> Void
  ) async throws {
    if let saved {
      liveConfiguration.begin(with: saved)
      logger.warning(
        "gateways are served from what was saved",
        metadata: [
          "saved_at": "\(saved.savedAt.rfc3339)", "position": "\(saved.document.position)",
          "gateways": "\(saved.gateways.count)",
        ])
    }
    try await run(services: [], [Recovery(makeControlPlane: makeControlPlane)], ready: ready)
  }

  func run(
    services: [any Service], _ background: [any Service],
    ready: @escaping @Sendable (Int) async -> Void
  ) async throws {
    let (configuration, listener) = (liveConfiguration, connections.listener)
    let logGrowth = logGrowth
    let own: [any Service] =
      (saver.map { [$0] } ?? []) + [
        configuration, gatewayReports,
        UntilShutdown {
          for await _ in listener.events {
            logGrowth.raise()
            configuration.logGrew()
          }
        },
      ]
    try await server.run(services: services + [connections] + background + own, ready: ready)
  }
}

/// Makes the control plane once, then is what goes on beside its requests.
private struct Recovery: Service {
  let makeControlPlane: @Sendable () async throws -> ControlPlane

  func run() async throws {
    let controlPlane: ControlPlane
    do {
      controlPlane = try await cancelWhenGracefulShutdown { try await makeControlPlane() }
    } catch is CancellationError {
      // Shut down before there was a database.
      return
    }
    try await controlPlane.runBackground()
  }
}

/// Until somebody says otherwise.
private struct NotYet: ReadinessCheck {
  let name = "database"

  func failure() async -> String? { "the database has not answered since the server started" }
}
