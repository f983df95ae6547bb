import Glibc
package import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore
package import ServiceLifecycle
import UnixSignals

/// The HTTP server: the router on the floor, the floor on guarded connections, all of it in a
/// service group that stops in order.
package struct HTTPServer: Sendable {
  package struct Configuration: Sendable {
    package var host = "127.0.0.1"
    /// 0 lets the system choose; the ready callback says which it was.
    package var port = 8080
    package var backlog = 1024
    /// More than these wait in the backlog. Lowered to what the process may open.
    package var maximumConnections = 16_384
    package var limits = ConnectionLimits()
    package var trustedProxies = TrustedProxies.none
    package var maximumBody = 1 << 20
    /// What the bodies of all requests may take together, in bytes; and those of one caller.
    package var bodyBudget = 256 << 20
    package var bodyShare = 64 << 20
    /// The same for callers who show no token.
    package var anonymousBodyBudget = 32 << 20
    /// More connections than this from one address that is no trusted proxy are closed at once.
    package var maxConnectionsPerAddress = 4096
    /// Descriptors that connections of clients must leave: for the database, webhooks, files and streams.
    package var reservedDescriptors = 128
    /// How long requests in flight, open streams included, may take to end after SIGTERM.
    package var gracefulShutdown: Duration = .seconds(20)
    /// File descriptor of the access log.
    package var accessLog: CInt = STDOUT_FILENO

    package init() {}
  }

  private let configuration: Configuration
  private let floor: HTTPFloor
  package let log: AccessLog
  private let metrics: HTTPMetrics
  private let readiness: Readiness
  private let logger: Logger

  /// - Parameter router: holding every route.
  package init(
    router: APIRouter, configuration: Configuration, limiter: RateLimiter, metrics: Metrics,
    readiness: Readiness, logger: Logger
  ) {
    self.configuration = configuration
    self.readiness = readiness
    self.logger = logger
    self.metrics = HTTPMetrics(metrics)
    log = AccessLog(
      descriptor: configuration.accessLog, dropped: self.metrics.droppedLogLines)
    floor = HTTPFloor(
      router: router, metrics: self.metrics, log: log, logger: logger,
      rateLimits: RateLimitFields(limiter), trustedProxies: configuration.trustedProxies,
      bodies: BodyReader(
        maximum: configuration.maximumBody,
        budget: BodyBudget(limit: configuration.bodyBudget, share: configuration.bodyShare),
        anonymousBudget: BodyBudget(
          limit: configuration.anonymousBodyBudget, share: configuration.anonymousBodyBudget)),
      handlerTime: configuration.limits.handler)
  }

  /// Requests that arrive from now on are answered by these routes, and by no others.
  func serve(_ router: APIRouter) { floor.serve(router) }

  /// The server as an application, e.g. for tests. `ready` gets the port once connections are
  /// taken.
  package func application(
    ready: @escaping @Sendable (Int) async -> Void = { _ in }
  ) -> Application<HTTPFloor> {
    let metrics = metrics
    let turns = PerEventLoop { EventLoopTurn($0) }
    let addresses = ConnectionsByAddress(
      limit: configuration.maxConnectionsPerAddress, trustedProxies: configuration.trustedProxies)
    // Where there are few descriptors, what else needs them has to live with three quarters.
    let openFiles = Self.raiseOpenFileLimit()
    let reserved = min(configuration.reservedDescriptors, openFiles / 4 * 3)
    let connections = max(min(configuration.maximumConnections, openFiles - reserved), 16)
    let limits = configuration.limits
    let crowdedFrom = min(limits.crowdedFrom, connections / 10 * 9)
    let sweepers = PerEventLoop {
      ConnectionSweeper(eventLoop: $0) { metrics.openConnections.value >= crowdedFrom }
    }
    return Application(
      responder: floor,
      server: HTTPServerBuilder { responder in
        GuardedHTTPChannel(
          responder: responder, limits: limits, metrics: metrics, addresses: addresses,
          sweepers: sweepers, turns: turns)
      },
      configuration: ApplicationConfiguration(
        address: .hostname(configuration.host, port: configuration.port),
        backlog: configuration.backlog,
        availableConnectionsDelegate: MaximumAvailableConnections(connections)),
      onServerRunning: { channel in
        let pausing = channel.eventLoop.submit {
          try channel.pipeline.syncOperations.addHandler(
            AcceptPause(refused: metrics.refusedAccepts), position: .first)
        }
        do { try await pausing.get() } catch { logger.error("no pause between accepts: \(error)") }
        if let port = channel.localAddress?.port { await ready(port) }
      },
      logger: logger)
  }

  /// Serves until SIGTERM or SIGINT. `services` (database pools, projections) start before and stop
  /// after the server.
  package func run(
    services: [any Service] = [], ready: @escaping @Sendable (Int) async -> Void = { _ in }
  ) async throws {
    // Stopped from the last to the first: readiness says no, the server finishes its requests, the
    // log is written.
    let services: [any Service] =
      services + [log, HTTPService(application: application(ready: ready)), readiness]
    var group = ServiceGroupConfiguration(
      services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
    group.maximumGracefulShutdownDuration = configuration.gracefulShutdown
    group.maximumCancellationDuration = .seconds(5)
    try await ServiceGroup(configuration: group).run()
  }

  /// Lets the process open as many files as it is allowed to; returns how many that is.
  private static func raiseOpenFileLimit() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
    var raised = limit
    raised.rlim_cur = limit.rlim_max
    if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
    return Int(clamping: limit.rlim_cur)
  }
}
