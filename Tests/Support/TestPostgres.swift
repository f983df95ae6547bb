import ControlPlane
import EventStore
import FoundationEssentials
import Glibc
package import Postgres
import Synchronization

/// One PostgreSQL for all tests of a process: started when the first one asks, in a temporary directory, and gone when
/// the process ends. Every test that asks leases a database of its own, made from a migrated template.
package actor TestPostgres {
  private static let shared = Task { try await TestPostgres() }

  private let admin: Connection
  private let options: ConnectionOptions
  private var count = 0

  /// A freshly migrated database that nobody else uses.
  package static func database() async throws -> TestDatabase {
    try await shared.value.copy(of: "template_signalbox")
  }

  /// A database without any table.
  package static func emptyDatabase() async throws -> TestDatabase {
    try await shared.value.copy(of: "template0")
  }

  private init() async throws {
    TemporaryCluster.removeAbandoned()
    let directory = TemporaryCluster.directory
    // What a test wrote need not outlive the machine.
    let server = EmbeddedServer(
      dataDirectory: directory,
      settings: [
        "fsync": "off", "full_page_writes": "off", "max_connections": "500",
        "shared_buffers": "64MB",
      ])
    options = try await server.start()
    TemporaryCluster.stopAtExit(try await server.processIdentifier)

    var superuser = options
    superuser["user"] = "postgres"
    superuser["dbname"] = "postgres"
    admin = Connection(options: superuser, name: "admin")
    admin.start()
    let template = TestDatabase(options, name: "template_signalbox")
    try await make(template, from: "template0")
    try await template.withSession { session in
      _ = try Migrator.signalbox.migrate(session, deadline: .now + .seconds(30))
    }
  }

  /// Lets nobody into a database and ends the sessions that are there, which to them is a server that is away; or lets
  /// them in again.
  fileprivate static func set(_ database: String, isReachable: Bool) async throws {
    try await shared.value.admin.run(deadline: .soon) { session in
      try session.executeScript(
        "ALTER DATABASE \(database) ALLOW_CONNECTIONS \(isReachable)", deadline: .soon)
      guard !isReachable else { return }
      _ = try session.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = \(database)",
        deadline: .soon)
    }
  }

  private func copy(of template: String) async throws -> TestDatabase {
    count += 1
    let database = TestDatabase(options, name: "test_\(count)")
    try await make(database, from: template)
    return database
  }

  private func make(_ database: TestDatabase, from template: String) async throws {
    try await admin.run(deadline: .now + .seconds(60)) { session in
      try session.executeScript(
        "CREATE DATABASE \(database.name) OWNER signalbox TEMPLATE \(template)",
        deadline: .now + .seconds(60))
    }
  }
}

/// A database of one test.
package struct TestDatabase: Sendable {
  package let name: String
  private var options: ConnectionOptions

  fileprivate init(_ options: ConnectionOptions, name: String) {
    self.name = name
    self.options = options
    self.options["dbname"] = name
  }

  /// As the owner of the schema, for whom row security makes no exception, working for everybody.
  package var owner: ConnectionOptions { options.asSystem }

  /// As the role that the application works as, for nobody yet.
  package var application: ConnectionOptions {
    var options = options
    options.setup.append("SET ROLE signalbox_app")
    return options
  }

  /// Runs a body on a connection of its own, as the owner.
  package func withSession<Value: Sendable>(
    _ body: @escaping @Sendable (Session) throws -> Value
  ) async throws -> Value {
    try await Self.withSession(owner, body)
  }

  /// Runs a body on a connection of its own, as the application, working for everybody.
  package func withApplicationSession<Value: Sendable>(
    _ body: @escaping @Sendable (Session) throws -> Value
  ) async throws -> Value {
    try await Self.withSession(application.asSystem, body)
  }

  /// Makes it look like a server that is away, or ends that.
  package func setReachable(_ isReachable: Bool) async throws {
    try await TestPostgres.set(name, isReachable: isReachable)
  }

  private static func withSession<Value: Sendable>(
    _ options: ConnectionOptions, _ body: @escaping @Sendable (Session) throws -> Value
  ) async throws -> Value {
    let connection = Connection(options: options, name: "test")
    do {
      let value = try await connection.run(deadline: .now + .seconds(60), body)
      await connection.close()
      return value
    } catch {
      await connection.close()
      throw error
    }
  }
}

extension ConnectionOptions {
  /// The same, seeing the rows of all workspaces.
  package var asSystem: ConnectionOptions {
    var options = self
    options.setup.append("SET signalbox.principal = 'system'")
    return options
  }
}

/// Deadlines of statements that have all the time that a test has.
extension ContinuousClock.Instant {
  package static var soon: ContinuousClock.Instant { .now + .seconds(30) }
}

/// The directories of test clusters, named by the process that uses them.
private enum TemporaryCluster {
  static let prefix = "/tmp/signalbox-tests-"
  static let directory = "\(prefix)\(getpid())"
  private static let postmaster = Mutex<pid_t?>(nil)

  static func stopAtExit(_ pid: Int32?) {
    postmaster.withLock { $0 = pid }
    atexit { TemporaryCluster.stop() }
  }

  /// Nothing in it is worth a shutdown in order.
  private static func stop() {
    guard let pid = postmaster.withLock({ $0 }) else { return }
    kill(pid, SIGQUIT)
    while kill(pid, 0) == 0, waitpid(pid, nil, 0) != pid {}
    remove(directory)
  }

  /// Ends what test processes that were killed have left behind.
  static func removeAbandoned() {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/tmp")) ?? []
    for name in names where "/tmp/\(name)".hasPrefix(prefix) {
      let directory = "/tmp/\(name)"
      guard let owner = pid_t(directory.dropFirst(prefix.count)), kill(owner, 0) != 0,
        errno == ESRCH
      else { continue }
      let file = (try? String(contentsOfFile: "\(directory)/data/postmaster.pid", encoding: .utf8))
      if let pid = file?.split(separator: "\n").first.flatMap({ pid_t($0) }),
        readlink("/proc/\(pid)/cwd") == "\(directory)/data"
      {
        kill(pid, SIGQUIT)
      }
      remove(directory)
    }
  }

  private static func readlink(_ path: String) -> String? {
    try? FileManager.default.destinationOfSymbolicLink(atPath: path)
  }

  private static func remove(_ directory: String) {
    // A server that is just ending may still make files: what is left is removed by the next run.
    try? FileManager.default.removeItem(atPath: directory)
  }
}
