import Glibc
import Synchronization
import Testing

@testable import Postgres

/// Each test has a server of its own, durable as in production, because it hurts it.
@Suite(.serialized)
struct EmbeddedServerTests {
  private static let count = Atomic<Int>(0)

  private func withDirectory(
    suffix: String = "", _ body: (String) async throws -> Void
  ) async throws {
    let number = Self.count.add(1, ordering: .relaxed).newValue
    let directory = "/tmp/signalbox-embedded-\(getpid())-\(number)\(suffix)"
    let result: Result<Void, any Error>
    do { result = .success(try await body(directory)) } catch { result = .failure(error) }
    let data = directory + "/data"
    if let left = Postmaster.running(in: data) { left.stop(in: data, patience: .seconds(5)) }
    try ChildProcess.run(["rm", "-rf", directory])
    try result.get()
  }

  private func count(_ options: ConnectionOptions) async throws -> Int {
    try await withConnection(options) {
      try await $0.execute("SELECT count(*) FROM t")[0].decode(Int.self)
    }
  }

  private func insert(_ options: ConnectionOptions) async throws {
    try await withConnection(options) {
      try await $0.execute("CREATE TABLE IF NOT EXISTS t (n int8)")
      try await $0.execute("INSERT INTO t VALUES (1)")
    }
  }

  /// A thread that has just answered may hold the server for another moment.
  private func awaitRelease(of directory: String) async throws {
    let end = ContinuousClock.now + .seconds(2)
    while true {
      do {
        _ = try DirectoryLock(directory)
        return
      } catch {
        try #require(ContinuousClock.now < end)
        try await Task.sleep(for: .milliseconds(5))
      }
    }
  }

  /// Repeats a read until it is answered; meanwhile only passing errors are allowed.
  private func eventually<Value>(_ body: () async throws -> Value) async throws -> Value {
    let end = ContinuousClock.now + .seconds(10)
    while true {
      do { return try await body() } catch let error as PostgresError {
        try #require(error.isTransient && ContinuousClock.now < end, "\(error)")
      }
    }
  }

  @Test func `data survives a stop, and role signalbox owns its database`() async throws {
    try await withDirectory { directory in
      let first = EmbeddedServer(dataDirectory: directory)
      var options = try await first.start()
      #expect(options["user"] == "signalbox" && options["dbname"] == "signalbox")
      try await insert(options)
      await first.stop()
      #expect(Postmaster.running(in: directory + "/data") == nil)
      let second = EmbeddedServer(dataDirectory: directory)
      options = try await second.start()
      #expect(try await count(options) == 1)
      await second.stop()
    }
  }

  @Test func `nobody else can enter its directories, and it listens on no port`() async throws {
    try await withDirectory { directory in
      let server = EmbeddedServer(dataDirectory: directory)
      let options = try await server.start()
      for path in [directory, directory + "/data", try #require(options["host"])] {
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o700, "\(path)")
      }
      let connection = Connection(options: options, name: "test")
      let row = try await connection.execute(
        """
        SELECT current_setting('listen_addresses'), current_setting('fsync'),
               current_setting('synchronous_commit'), current_setting('full_page_writes')
        """)[0]
      let settings = try row.decode((String, String, String, String).self)
      #expect(settings == ("", "on", "on", "on"))
      let isSuperuser = try await connection.execute(
        "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
      #expect(try isSuperuser[0].decode(Bool.self) == false)
      await connection.close()
      await server.stop()
    }
  }

  @Test func `a second server on one directory is refused, naming who holds it`() async throws {
    try await withDirectory { directory in
      let first = EmbeddedServer(dataDirectory: directory)
      _ = try await first.start()
      let error = await #expect(throws: EmbeddedServerError.self) {
        try await EmbeddedServer(dataDirectory: directory).start()
      }
      #expect(error == .inUse(directory: directory, pid: getpid()))
      #expect(error?.description.contains("\(getpid())") == true)
      await first.stop()
    }
  }

  @Test func `somebody's files are not taken for ours`() async throws {
    try await withDirectory { directory in
      mkdir(directory, 0o755)
      mkdir(directory + "/precious", 0o755)
      await #expect(throws: EmbeddedServerError.foreignDirectory(directory)) {
        try await EmbeddedServer(dataDirectory: directory).start()
      }
      var status = stat()
      #expect(stat(directory, &status) == 0 && status.st_mode & 0o777 == 0o755)
    }
  }

  @Test func `a killed postmaster is back within ten seconds, with all it acknowledged`()
    async throws
  {
    try await withDirectory { directory in
      let server = EmbeddedServer(dataDirectory: directory)
      let options = try await server.start()
      let supervision = Task { await server.superviseUntilCancelled() }
      try await insert(options)
      let connection = Connection(options: options, name: "test")
      for round in 1...2 {
        let pid = try #require(try await server.processIdentifier)
        #expect(try await connection.execute("SELECT 1").count == 1)
        kill(pid, SIGKILL)
        let start = ContinuousClock.now
        while try await server.processIdentifier == pid {
          try #require(ContinuousClock.now - start < .seconds(10), "round \(round)")
          try await Task.sleep(for: .milliseconds(10))
        }
        let rows = try await eventually { try await connection.execute("SELECT count(*) FROM t") }
        #expect(try rows[0].decode(Int.self) == 1)
        #expect(ContinuousClock.now - start < .seconds(10))
      }
      supervision.cancel()
      await supervision.value
      await connection.close()
      await server.stop()
    }
  }

  @Test func `a killed backend costs every session a moment only`() async throws {
    try await withDirectory { directory in
      let server = EmbeddedServer(dataDirectory: directory)
      let options = try await server.start()
      let reader = Reader(options: options, connections: 2)
      let connection = Connection(options: options, name: "test")
      kill(try await connection.backend(), SIGKILL)
      let read = try await eventually { try await reader.query("SELECT 1", deadline: soon()) }
      #expect(read.count == 1)
      #expect(try await eventually { try await connection.execute("SELECT 1") }.count == 1)
      await reader.close()
      await connection.close()
      await server.stop()
    }
  }

  @Test func `a server that our killed predecessor left is adopted`() async throws {
    try await withDirectory { directory in
      var first: EmbeddedServer? = EmbeddedServer(dataDirectory: directory)
      let options = try #require(try await first?.start())
      try await insert(options)
      let pid = try await first?.processIdentifier
      // Like a kill -9 of ours, this ends the lock and nothing else.
      first = nil
      try await awaitRelease(of: directory)
      let second = EmbeddedServer(dataDirectory: directory)
      _ = try await second.start()
      #expect(try await second.processIdentifier == pid)
      #expect(try await count(options) == 1)
      await second.stop()
      #expect(Postmaster.running(in: directory + "/data") == nil)
    }
  }

  @Test func `a stopped server of a predecessor is replaced`() async throws {
    try await withDirectory { directory in
      var first: EmbeddedServer? = EmbeddedServer(dataDirectory: directory)
      let options = try #require(try await first?.start())
      try await insert(options)
      let pid = try #require(try await first?.processIdentifier)
      kill(pid, SIGSTOP)
      first = nil
      try await awaitRelease(of: directory)
      let second = EmbeddedServer(dataDirectory: directory)
      _ = try await second.start()
      #expect(try await second.processIdentifier != pid)
      #expect(try await count(options) == 1)
      await second.stop()
    }
  }

  @Test(arguments: [true, false])
  func `the pid file of a crash is no obstacle, even when its number was given away`(
    isReused: Bool
  ) async throws {
    try await withDirectory { directory in
      var first: EmbeddedServer? = EmbeddedServer(dataDirectory: directory)
      let options = try #require(try await first?.start())
      try await insert(options)
      let pid = try #require(try await first?.processIdentifier)
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
      first = nil
      try await awaitRelease(of: directory)
      var other: pid_t?
      defer { if let other { kill(other, SIGKILL) } }
      if isReused {
        // PostgreSQL itself would refuse: a process of its own user has that number.
        other = try ChildProcess.spawn(
          ServiceUser.current().command(["sleep", "60"], in: "/"), output: 2)
        for path in ["data/postmaster.pid", "socket/.s.PGSQL.5432.lock"] {
          try ChildProcess.run(["sed", "-i", "1s/.*/\(other ?? 0)/", "\(directory)/\(path)"])
          try ServiceUser.current().own("\(directory)/\(path)")
        }
      }
      let second = EmbeddedServer(dataDirectory: directory)
      let start = ContinuousClock.now
      _ = try await second.start()
      #expect(ContinuousClock.now - start < .seconds(5))
      #expect(try await count(options) == 1)
      await second.stop()
    }
  }

  @Test func `a path too long for a socket still works`() async throws {
    let suffix = "-" + String(repeating: "long", count: 25)
    try await withDirectory(suffix: suffix) { directory in
      let server = EmbeddedServer(dataDirectory: directory)
      let options = try await server.start()
      let sockets = try #require(options["host"])
      #expect(sockets.hasPrefix("/tmp/signalbox-"))
      try await insert(options)
      await server.stop()
      #expect(access(sockets, F_OK) != 0, "the directory in /tmp goes with the server")
    }
  }

  @Test(.enabled(if: geteuid() == 0))
  func `root is told which directory the service user cannot enter`() async throws {
    try await withDirectory { directory in
      mkdir(directory, 0o700)
      let error = await #expect(throws: EmbeddedServerError.self) {
        try await EmbeddedServer(dataDirectory: directory + "/below").start()
      }
      #expect(error == .unreachable(directory: directory, user: "postgres"))
    }
  }

  @Test func `data that a cut-short initdb left is made anew`() async throws {
    try await withDirectory { directory in
      mkdir(directory, 0o700)
      mkdir(directory + "/data.new", 0o700)
      close(creat(directory + "/signalbox.lock", 0o600))
      close(creat(directory + "/data.new/PG_VERSION", 0o600))
      let server = EmbeddedServer(dataDirectory: directory)
      try await insert(try await server.start())
      await server.stop()
    }
  }

  @Test func `a child holds nothing open that is ours`() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    defer { close(ends[0]) }
    let null = open("/dev/null", O_WRONLY)
    let child = try ChildProcess.spawn(["sleep", "60"], output: null)
    close(null)
    close(ends[1])
    var readable = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
    #expect(poll(&readable, 1, 5_000) == 1, "the other end is open still")
    kill(child, SIGKILL)
    waitpid(child, nil, 0)
  }

  @Test func `a setting that the server refuses is reported with the server's words`() async throws
  {
    try await withDirectory { directory in
      let error = await #expect(throws: EmbeddedServerError.self) {
        try await EmbeddedServer(
          dataDirectory: directory, settings: ["shared_buffers": "many"]
        ).start()
      }
      #expect(error?.description.contains("shared_buffers") == true)
    }
  }
}
