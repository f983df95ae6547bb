import Domain
import EventStore
import FoundationEssentials
import Hummingbird
package import Logging
package import Postgres
package import ServiceLifecycle

/// The control plane of one process: its connections, its command handler, its routes.
package struct ControlPlane: Sendable {
  package struct Configuration: Sendable {
    /// A database that is migrated already; its connections act as the application's role.
    package var database: ConnectionOptions
    package var hasher: TokenHasher
    /// How many connections share the reads of tables.
    package var readers = 2
    package var http = HTTPServer.Configuration()

    package init(database: ConnectionOptions, hasher: TokenHasher) {
      self.database = database
      self.hasher = hasher
    }
  }

  package let metrics = Metrics()
  package let services: Services
  /// Method and path template of every route, as the contract writes them.
  package let routes: [Route]
  package let server: HTTPServer
  private let connections: Connections

  package init(_ configuration: Configuration, logger: Logger) {
    connections = Connections(configuration.database, readers: configuration.readers)
    let tail = LogTail(connection: connections.tail)
    let handler = CommandHandler(
      connection: connections.writer,
      snapshots: SnapshotWriter(pool: connections.pool, logger: logger),
      observer: Observer(tail: tail, metrics: metrics), logger: logger)
    services = Services(
      commands: handler, reads: TableReads(tail: tail, reader: connections.reader),
      history: WorkspaceHistory(reader: connections.reader), hasher: configuration.hasher)

    let readiness = Readiness([DatabaseCheck(reader: connections.reader)])
    let router = APIRouter()
    let groups: [any RouteGroup] = [
      OrganizationRoutes(services: services),
      ProjectRoutes(services: services),
      AuditEventRoutes(services: services),
      EventRoutes(services: services),
      DocumentRoutes(),
    ]
    for group in groups { group.add(to: router) }
    router.addOperations(
      readiness: readiness, metrics: metrics, catalogue: services.catalogue)
    routes = router.entries.map { Route(method: $0.method.rawValue, path: $0.path) }
    server = HTTPServer(
      router: router, configuration: configuration.http, metrics: metrics, readiness: readiness,
      logger: logger)
  }

  /// Serves until SIGTERM or SIGINT, then ends in order: no new requests, those in flight are answered, connections close.
  package func run(
    services: [any Service] = [], ready: @escaping @Sendable (Int) async -> Void = { _ in }
  ) async throws {
    try await server.run(services: services + [connections], ready: ready)
  }
}

/// One operation of the API.
package struct Route: Hashable, Sendable {
  package let method: String
  package let path: String

  package init(method: String, path: String) {
    self.method = method
    self.path = path
  }
}

/// The connections of one process: one that writes, one that watches the log's end, some that are read from, and
/// leases for what happens rarely.
private struct Connections: Service {
  let writer: Connection
  let tail: Connection
  let reader: Reader
  let pool: Pool

  init(_ database: ConnectionOptions, readers: Int) {
    var database = database
    // Compiling a plan takes longer than any statement here runs.
    database.setup.append("SET jit = off")
    var writing = database
    // Every statement of the writer is a look-up by key: a plan is made once and never scans a table.
    writing.setup += ["SET plan_cache_mode = force_generic_plan", "SET enable_seqscan = off"]
    // A replica that vanished must not keep the log's head locked.
    writing.setup += ["SET idle_in_transaction_session_timeout = '5s'"]
    writer = Connection(options: writing, name: "writer")
    tail = Connection(options: writing, name: "tail")
    reader = Reader(options: database, connections: readers)
    pool = Pool(options: database, minimum: 0, maximum: 4)
    writer.start()
    tail.start()
  }

  func run() async throws {
    let pool = pool
    let sweep = Task { await Self.deleteExpiredRecords(pool) }
    try? await gracefulShutdown()
    sweep.cancel()
    await writer.close()
    await tail.close()
    await reader.close()
    await pool.close()
  }

  /// Idempotency records are kept for 24 hours; which hour they go in does not matter.
  private static func deleteExpiredRecords(_ pool: Pool) async {
    while !Task.isCancelled {
      try? await Task.sleep(for: .seconds(600))
      _ = try? await pool.withConnection(deadline: .now + .seconds(60)) { session in
        try session.execute(IdempotencyRecord.deleteExpired, deadline: .now + .seconds(60)).count
      }
    }
  }
}

/// Tells the tail and the metrics what was committed.
private struct Observer: LogObserver {
  let tail: LogTail
  let events: Counter
  let batches: Counter
  let position: Gauge

  init(tail: LogTail, metrics: Metrics) {
    self.tail = tail
    events = metrics.counter("signalbox_events_total", "Events appended by this process.")
    batches = metrics.counter(
      "signalbox_batches_total", "Transactions in which this process appended events.")
    position = metrics.gauge(
      "signalbox_log_position", "The position of the newest event appended by this process.")
  }

  func learn(_ events: [RecordedEvent]?, after start: Int64, upTo end: Int64) {
    tail.learn(events, after: start, upTo: end)
  }

  func holds(_ premise: Premise) -> Bool {
    tail.isCurrent(premise.position, of: premise.topic)
  }

  func committed(_ events: [RecordedEvent]) {
    self.events.add(UInt64(events.count))
    batches.add()
    if let last = events.last { position.set(Int(last.position)) }
  }
}

/// Whether the database answers, has this program's schema, and takes writes to the log.
private struct DatabaseCheck: ReadinessCheck {
  let name = "database"
  let reader: Reader

  func failure() async -> String? {
    do {
      let rows = try await reader.query(
        """
        SELECT pg_is_in_recovery() OR NOT has_table_privilege('events', 'INSERT'), \
        (SELECT max(number) FROM schema_migrations)
        """, deadline: .now + .seconds(2))
      let (isReadOnly, migration) = try rows[0].decode((Bool, Int32?).self)
      if isReadOnly { return "the log takes no writes" }
      if migration ?? 0 < Migrator.signalbox.migrations.count {
        return "the schema is not up to date"
      }
      return nil
    } catch {
      return "the database does not answer"
    }
  }
}
