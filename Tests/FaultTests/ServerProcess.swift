import FoundationEssentials
import Glibc
import Synchronization

/// The real server as a process of its own, to be started, watched and hurt.
final class ServerProcess: Sendable {
  enum Failure: Error {
    case noBinary([String])
    case notReady(log: String)
    case stillRunning
  }

  static let token = "fault-run-administrator-token"
  /// A plan that no load of a test runs into.
  private static let plans =
    "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    + "/fixtures/plans/roomy.json"
  let port: UInt16
  private let arguments: [String]
  private let environment: [String: String]
  private let logPath: String
  private let outputPath: String
  private let state = Mutex<pid_t>(0)

  /// - Parameters:
  ///   - directory: where its log goes, and its data.
  ///   - database: a connection string; nil lets it run its own PostgreSQL in `directory/data`.
  ///   - settings: environment variables beside the usual ones.
  ///   - openFiles: how many descriptors it may have; nil for as many as this process.
  ///   - threads: how many threads it may have; it then runs as a user without rights, which needs root.
  init(
    directory: String, port: UInt16 = freePort(), database: String? = nil,
    settings: [String: String] = [:], openFiles: Int? = nil, threads: Int? = nil
  ) throws {
    self.port = port
    var arguments = [try Self.binary("signalbox"), "serve", "--port", "\(port)"]
    var environment = [
      "SIGNALBOX_BOOTSTRAP_TOKEN": Self.token, "SIGNALBOX_RATE_LIMITS": "off",
      "SIGNALBOX_PLANS": Self.plans,
    ]
    // The tests' databases are reached by sockets that only their owner, and root, can reach.
    if database != nil, threads == nil, geteuid() == 0 {
      environment["SIGNALBOX_USER"] = "postgres"
    }
    environment["SIGNALBOX_MUTANT"] = getenv("SIGNALBOX_MUTANT").map { String(cString: $0) }
    if let database {
      environment["DATABASE_URL"] = database
    } else {
      arguments += ["--data-dir", "\(directory)/server"]
    }
    if let openFiles {
      arguments = ["/bin/sh", "-c", "ulimit -n \(openFiles); exec \"$@\"", "sh"] + arguments
    }
    if let threads {
      let user = "setpriv --reuid=64001 --regid=64001 --clear-groups"
      let command = "exec \(user) prlimit --nproc=\(threads) \"$@\""
      arguments = ["/bin/sh", "-c", command, "sh"] + arguments
    }
    (self.arguments, self.environment) = (arguments, environment.merging(settings) { $1 })
    logPath = "\(directory)/\(port).log"
    outputPath = "\(directory)/\(port).out"
  }

  /// Another command than `serve`, on the data of a server.
  ///
  /// - Parameter user: who starts it, which needs root; nil for the user of this process.
  init(
    _ command: [String], directory: String, settings: [String: String] = [:],
    startedBy user: uid_t? = nil
  ) throws {
    port = 0
    let started = user.map {
      ["/usr/bin/setpriv", "--reuid=\($0)", "--regid=\($0)", "--clear-groups"]
    }
    arguments =
      try (started ?? []) + [Self.binary("signalbox")] + command
      + ["--data-dir", "\(directory)/server"]
    environment = settings
    let name = UInt32.random(in: 0 ... .max)
    logPath = "\(directory)/command-\(name).log"
    outputPath = "\(directory)/command-\(name).out"
  }

  /// Another program of this package, which answers on the port, too.
  init(
    program: String, port: UInt16, directory: String, environment: [String: String]
  ) throws {
    self.port = port
    arguments = [try Self.binary(program)]
    self.environment = environment
    logPath = "\(directory)/\(port).log"
    outputPath = "\(directory)/\(port).out"
  }

  var pid: pid_t { state.withLock { $0 } }
  /// What it has written on standard error.
  var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }
  /// What it has written on standard output.
  var output: String { (try? String(contentsOfFile: outputPath, encoding: .utf8)) ?? "" }

  /// Starts it, and waits until it says that it is ready.
  ///
  /// - Returns: how long that took.
  @discardableResult
  func start(within patience: Duration = .seconds(40)) async throws -> Duration {
    let start = ContinuousClock.now
    try spawn()
    while ContinuousClock.now - start < patience {
      guard exitStatus() == nil else { break }
      if await isReady() { return .now - start }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw Failure.notReady(log: log)
  }

  func isReady() async -> Bool {
    let port = port
    let response = try? await onThread {
      var connection = try HTTPConnection(port: port)
      return try connection.send(head: "GET /readyz HTTP/1.1\r\n", body: [], patience: .seconds(3))
    }
    return response?.status == 200
  }

  /// Starts it without waiting for anything.
  func spawn() throws {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(
      &actions, 1, outputPath, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    posix_spawn_file_actions_addopen(&actions, 2, logPath, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
    let variables = environment.merging(["PATH": path]) { $1 }
    var argv = arguments.map { strdup($0) } + [nil]
    var envp = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argv + envp { free(pointer) } }
    var child: pid_t = 0
    let code = posix_spawn(&child, arguments[0], &actions, nil, &argv, &envp)
    precondition(code == 0, "posix_spawn: errno \(code)")
    state.withLock { $0 = child }
  }

  /// Ends it without a chance to do anything.
  func killNow() {
    signal(SIGKILL)
    while exitStatus() == nil { breathe() }
  }

  func signal(_ number: Int32) {
    let pid = pid
    if pid > 0 { kill(pid, number) }
  }

  /// Waits for its end.
  ///
  /// - Returns: what it exited with, or 128 plus the signal that killed it.
  func awaitExit(within patience: Duration) async throws -> Int32 {
    let deadline = ContinuousClock.now + patience
    while ContinuousClock.now < deadline {
      if let status = exitStatus() { return status }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw Failure.stillRunning
  }

  /// How it ended; nil while it runs. It is buried the first time, and has no pid from then on.
  private func exitStatus() -> Int32? {
    state.withLock { pid in
      guard pid > 0 else { return 0 }
      var status: Int32 = 0
      guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
      pid = 0
      return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    }
  }

  /// The debug build beside the tests, or the release build; for the server, first what SIGNALBOX_BINARY names.
  private static func binary(_ name: String) throws -> String {
    if name == "signalbox", let named = getenv("SIGNALBOX_BINARY") { return String(cString: named) }
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let candidates = ["debug", "release"].map { "/\(root)/.build/\($0)/\(name)" }
    guard let found = candidates.first(where: { access($0, X_OK) == 0 }) else {
      throw Failure.noBinary(candidates)
    }
    return found
  }
}

/// A port that nobody listens on, outside the range from which the system takes its own: a client
/// that calls a server which is down must not come to take its port.
func freePort() -> UInt16 {
  while true {
    let port = UInt16.random(in: 20_000..<32_000)
    let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    defer { close(probe) }
    var address = sockaddr_in(loopback: port)
    if address.withPointer({ bind(probe, $0, $1) }) == 0 { return port }
  }
}
