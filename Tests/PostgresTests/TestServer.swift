import Glibc
import Synchronization
import Testing

@testable import Postgres

/// One server for the whole test process; every test has a database of its own in it.
enum TestServer {
  static let directory = "/tmp/signalbox-postgres-tests-\(getpid())"
  private static let names = Atomic<Int>(0)
  private static let process = Atomic<Int32>(0)

  private static let server = Task {
    // What is tested here does not depend on the disk, except in tests with a server of their own.
    let server = EmbeddedServer(
      dataDirectory: directory, settings: ["fsync": "off", "shared_buffers": "32MB"])
    let options = try await server.start()
    process.store(try await server.processIdentifier ?? 0, ordering: .sequentiallyConsistent)
    atexit {
      let pid = TestServer.process.load(ordering: .sequentiallyConsistent)
      kill(pid, SIGQUIT)
      _ = Postmaster(pid: pid, isChild: true).awaitExit(
        in: TestServer.directory + "/data", until: .now + .seconds(5))
      _ = try? ChildProcess.run(["rm", "-rf", TestServer.directory])
    }
    return (server, options)
  }

  static var administrator: ConnectionOptions {
    get async throws {
      var options = try await server.value.1
      options["user"] = "postgres"
      options["dbname"] = "postgres"
      return options
    }
  }

  /// Runs a test in a fresh database that it owns.
  static func withDatabase(_ body: (ConnectionOptions) async throws -> Void) async throws {
    let administrator = Connection(options: try await administrator, name: "administrator")
    let name = "test\(names.add(1, ordering: .relaxed).newValue)"
    try await administrator.run(deadline: soon()) {
      try $0.executeScript("CREATE DATABASE \(name)", deadline: soon())
    }
    var options = try await self.administrator
    options["dbname"] = name
    let result: Result<Void, any Error>
    do { result = .success(try await body(options)) } catch { result = .failure(error) }
    try await administrator.run(deadline: soon()) {
      try $0.executeScript("DROP DATABASE \(name) WITH (FORCE)", deadline: soon())
    }
    await administrator.close()
    try result.get()
  }

  /// Runs a test with one connection to a fresh database.
  static func withConnection(
    _ body: (Connection, ConnectionOptions) async throws -> Void
  ) async throws {
    try await withDatabase { options in
      try await PostgresTests.withConnection(options) { try await body($0, options) }
    }
  }
}

/// Opens a connection for the time of `body`.
func withConnection<Value>(
  _ options: ConnectionOptions, _ body: (Connection) async throws -> Value
) async throws -> Value {
  let connection = Connection(options: options, name: "test")
  let result: Result<Value, any Error>
  do { result = .success(try await body(connection)) } catch { result = .failure(error) }
  await connection.close()
  return try result.get()
}

/// A deadline that only a hanging test reaches.
func soon() -> ContinuousClock.Instant { .now + .seconds(20) }

extension Connection {
  /// Runs one statement.
  @discardableResult
  func execute(_ query: Query) async throws -> Rows {
    try await run(deadline: soon()) { try $0.execute(query, deadline: soon()) }
  }

  /// The process that serves this connection.
  func backend() async throws -> pid_t {
    try await execute("SELECT pg_backend_pid()")[0].decode(Int32.self)
  }
}

/// The kind of error that `body` throws.
func kind<Value>(
  _ body: () async throws -> Value, sourceLocation: SourceLocation = #_sourceLocation
) async throws -> PostgresError.Kind {
  let error = await #expect(throws: PostgresError.self, sourceLocation: sourceLocation) {
    _ = try await body()
  }
  return try #require(error, sourceLocation: sourceLocation).kind
}
