import Glibc

/// One data directory and the server programs that fit it. Its calls block.
struct Cluster: Sendable {
  static let role = "signalbox"
  static let database = "signalbox"
  /// For a start; recovery after a crash reads at most `max_wal_size`.
  private static let patience = Duration.seconds(60)

  let data: String
  private let directory: String
  private let sockets: String
  private let user: ServiceUser
  private let programs: PostgresPrograms
  private let settings: [String: String]

  init(
    directory: String, user: ServiceUser, settings: [String: String]
  ) throws(EmbeddedServerError) {
    self.directory = directory
    self.user = user
    self.settings = settings
    data = "\(directory)/data"
    sockets = Cluster.socketDirectory(for: directory)
    programs = try PostgresPrograms.find(
      major: readText("\(directory)/data/PG_VERSION").flatMap { Int($0.trimmed) })
  }

  func options(user: String, database: String) -> ConnectionOptions {
    Self.options(sockets, port: settings["port"] ?? "5432", user: user, database: database)
  }

  static func options(
    _ sockets: String, port: String = "5432", user: String = role, database: String = database
  ) -> ConnectionOptions {
    var options = ConnectionOptions()
    options["host"] = sockets
    options["port"] = port
    options["user"] = user
    options["dbname"] = database
    return options
  }

  /// Makes the data. An attempt that was cut short leaves nothing that could be taken for data.
  func initialize() throws(EmbeddedServerError) {
    try user.makePrivateDirectory(sockets)
    guard access("\(data)/PG_VERSION", F_OK) != 0 else { return }
    let draft = "\(directory)/data.new"
    try ChildProcess.run(["rm", "-rf", draft])
    try ChildProcess.run(
      user.command(
        [
          "\(programs.directory)/initdb", "-D", draft, "-U", "postgres", "--no-locale", "-E",
          "UTF8",
          // Whoever can reach the socket may come in: its directory is private.
          "--auth-local=trust", "--auth-host=reject",
        ], in: directory))
    guard rename(draft, data) == 0 else { throw .file(path: data, errno: errno) }
  }

  /// The server that a killed predecessor of ours has left, if it is well.
  func adopt() throws -> Postmaster? {
    guard let postmaster = Postmaster.running(in: data) else { return nil }
    if (try? connect(until: .now + .seconds(5))) != nil { return postmaster }
    postmaster.stop(in: data, patience: .seconds(3))
    return nil
  }

  /// Starts the server and waits until it answers, for which it may first have to recover.
  ///
  /// An attempt straight after a crash can fail while the remains of the last one still end: so there
  /// are a few.
  func launch() throws -> Postmaster {
    let deadline = ContinuousClock.now + Cluster.patience
    for attempt in 1...5 {
      if attempt > 1 { usleep(200_000) }
      Postmaster.clean(data, sockets: sockets)
      let postmaster = Postmaster(pid: try spawn(), isChild: true)
      if try awaitAnswer(of: postmaster, until: deadline) { return postmaster }
      if postmaster.isAlive(in: data) {
        postmaster.stop(in: data, patience: .seconds(5))
        break
      }
    }
    throw EmbeddedServerError.failed(step: "starting PostgreSQL", log: logTail)
  }

  /// Leaves nothing of ours outside the directory.
  func removeSockets() {
    guard !sockets.hasPrefix(directory) else { return }
    // Not empty means that somebody else put something there, which stays.
    rmdir(sockets)
  }

  /// Makes the role and the database that an application uses.
  func makeDatabase() throws {
    let deadline = ContinuousClock.now + .seconds(20)
    let session = try connect(until: deadline)
    if try session.execute(
      "SELECT FROM pg_roles WHERE rolname = \(Cluster.role)", deadline: deadline
    ).isEmpty {
      // It may make the narrower roles that it then works as.
      try session.executeScript("CREATE ROLE \(Cluster.role) LOGIN CREATEROLE", deadline: deadline)
    }
    if try session.execute(
      "SELECT FROM pg_database WHERE datname = \(Cluster.database)", deadline: deadline
    ).isEmpty {
      try session.executeScript(
        "CREATE DATABASE \(Cluster.database) OWNER \(Cluster.role)", deadline: deadline)
    }
  }

  /// - Returns: false when the process has ended or the deadline has passed.
  private func awaitAnswer(
    of postmaster: Postmaster, until deadline: ContinuousClock.Instant
  ) throws -> Bool {
    while postmaster.isAlive(in: data), ContinuousClock.now < deadline {
      do {
        _ = try connect(until: min(deadline, .now + .milliseconds(200)))
        return true
      } catch  where error.isTransient {
        usleep(10_000)
      }
    }
    return false
  }

  private func connect(until deadline: ContinuousClock.Instant) throws(PostgresError) -> Session {
    let link = Link(options(user: "postgres", database: "postgres"))
    return try link.session(until: deadline)
  }

  private func spawn() throws(EmbeddedServerError) -> pid_t {
    let path = "\(directory)/postgresql.log"
    var status = stat()
    if stat(path, &status) == 0, status.st_size > 16 << 20 { rename(path, path + ".old") }
    let log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard log >= 0 else { throw .file(path: path, errno: errno) }
    defer { close(log) }
    // The server may run as this user itself next time.
    try user.own(path)
    let parameters = Cluster.defaults.merging(settings) { $1 }
      .merging(["unix_socket_directories": sockets]) { $1 }
      .sorted { $0.key < $1.key }
    return try ChildProcess.spawn(
      user.command(
        ["\(programs.directory)/postgres", "-D", data]
          + parameters.flatMap { ["-c", "\($0.key)=\($0.value)"] }, in: directory), output: log)
  }

  private var logTail: String {
    let lines = readText("\(directory)/postgresql.log")?.split(separator: "\n") ?? []
    return lines.suffix(20).joined(separator: "\n")
  }

  /// Fit for a small machine, and safe against every crash.
  private static let defaults = [
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "wal_compression": "on",
    "max_wal_size": "512MB",
    "log_line_prefix": "%m [%p] %u@%d ",
    "log_min_duration_statement": "1000",
  ]

  /// Inside the directory, or a private one in /tmp when that name is too long for a socket.
  static func socketDirectory(for directory: String) -> String {
    let inside = "\(directory)/socket"
    // sun_path in <sys/un.h> is 108 bytes with its NUL.
    if "\(inside)/.s.PGSQL.65535".utf8.count <= 107 { return inside }
    // FNV-1a: any hash that stays the same from start to start would do.
    let hash = directory.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01b3
    }
    return "/tmp/signalbox-\(String(hash, radix: 36))"
  }
}
