import FoundationEssentials
import Glibc
import Postgres

/// The PostgreSQL that a server runs for itself, seen from behind: its processes, and its rows as a
/// superuser sees them.
struct PrivateDatabase: Sendable {
  /// The server's `--data-dir`.
  let directory: String

  /// How another replica connects to it.
  var url: String { "host=\(directory)/socket port=5432 user=signalbox dbname=signalbox" }

  /// The process that all others of it are children of; nil when there is none.
  var postmaster: pid_t? {
    guard
      let text = try? String(contentsOfFile: "\(directory)/data/postmaster.pid", encoding: .utf8),
      let pid = text.split(separator: "\n").first.flatMap({ pid_t($0) }), kill(pid, 0) == 0
    else { return nil }
    return pid
  }

  /// Runs one statement on a connection of its own, which a fault before cannot have hurt.
  func rows(_ query: Query) async throws -> Rows {
    try await withSession { try $0.execute(query, deadline: .now + .seconds(20)) }
  }

  /// Runs a body on such a connection, as a superuser.
  func withSession<Value: Sendable>(
    within limit: Duration = .seconds(20), _ body: @escaping @Sendable (Session) throws -> Value
  ) async throws -> Value {
    var options = try ConnectionOptions(url)
    options["user"] = "postgres"
    options.applicationName = "fault run"
    let connection = Connection(options: options, name: "observer")
    let deadline = ContinuousClock.now + limit
    let result: Result<Value, any Error>
    do {
      result = .success(try await connection.run(deadline: deadline, body))
    } catch {
      result = .failure(error)
    }
    await connection.close()
    return try result.get()
  }

  func count(_ query: Query) async throws -> Int64 {
    try await rows(query)[0].decode(Int64.self)
  }

  /// The server's sessions, each by its purpose.
  func sessions() async throws -> [(pid: pid_t, purpose: String)] {
    try await rows(
      """
      SELECT pid, application_name FROM pg_stat_activity \
      WHERE usename = 'signalbox' AND backend_type = 'client backend' ORDER BY pid
      """
    ).map { row in
      let (pid, purpose) = try row.decode((Int32, String).self)
      return (pid, purpose)
    }
  }

  /// Stops every process of it where it is, or lets all go on.
  func signalEverything(_ number: Int32) {
    for pid in processes { kill(pid, number) }
  }

  /// Kills every process of it, so that nobody can tidy up.
  func killEverything() {
    for pid in processes { kill(pid, SIGCONT) }
    while true {
      let pids = processes
      if pids.isEmpty { return }
      for pid in pids { kill(pid, SIGKILL) }
      breathe()
    }
  }

  /// Every process of PostgreSQL works in its data directory.
  private var processes: [pid_t] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { pid_t($0) }.filter { pid in
      var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
      let count = readlink("/proc/\(pid)/cwd", &buffer, buffer.count)
      guard count > 0 else { return false }
      let path = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      return path == "\(directory)/data"
    }
  }
}
