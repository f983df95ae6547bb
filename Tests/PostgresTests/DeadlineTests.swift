import Glibc
import Testing

@testable import Postgres

struct DeadlineTests {
  @Test func `a slow statement is given up at its deadline, and the connection recovers`()
    async throws
  {
    try await TestServer.withConnection { connection, _ in
      let before = try await connection.backend()
      let start = ContinuousClock.now
      let failure = try await kind {
        try await connection.run(deadline: .now + .milliseconds(300)) {
          try $0.execute("SELECT pg_sleep(30)", deadline: soon())
        }
      }
      #expect(failure == .deadlineExceeded(outcome: .unknown))
      #expect(ContinuousClock.now - start < .seconds(1))
      #expect(try await connection.backend() != before)
    }
  }

  @Test func `what was given up does not go on on the server`() async throws {
    try await TestServer.withConnection { connection, _ in
      _ = try await kind {
        try await connection.run(deadline: .now + .milliseconds(200)) {
          try $0.execute("SELECT pg_sleep(31)", deadline: soon())
        }
      }
      let running: Query = """
        SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%sleep(31)%'
        AND pid <> pg_backend_pid()
        """
      let end = ContinuousClock.now + .seconds(5)
      while try await !connection.execute(running).isEmpty, ContinuousClock.now < end {
        try await Task.sleep(for: .milliseconds(20))
      }
      #expect(try await connection.execute(running).isEmpty)
    }
  }

  @Test func `a stopped backend costs one deadline, and the outcome is unknown`() async throws {
    try await TestServer.withConnection { connection, _ in
      try await connection.execute("CREATE TABLE t (n int8)")
      let backend = try await connection.backend()
      kill(backend, SIGSTOP)
      defer { kill(backend, SIGCONT) }
      let start = ContinuousClock.now
      let failure = try await kind {
        try await connection.run(deadline: .now + .milliseconds(300)) {
          try $0.pipeline(["BEGIN", "INSERT INTO t VALUES (1)", "COMMIT"], deadline: soon())
        }
      }
      #expect(failure == .deadlineExceeded(outcome: .unknown))
      #expect(ContinuousClock.now - start < .seconds(1))
      #expect(try await connection.backend() != backend)
    }
  }

  @Test func `a lease that never began was not sent`() async throws {
    try await TestServer.withConnection { connection, _ in
      async let busy: Void = connection.run(deadline: soon()) {
        try $0.execute("SELECT pg_sleep(1)", deadline: soon())
      }
      try await Task.sleep(for: .milliseconds(200))
      let failure = try await kind {
        try await connection.run(deadline: .now + .milliseconds(100)) { _ in }
      }
      #expect(failure == .deadlineExceeded(outcome: .notSent))
      try await busy
    }
  }

  @Test func `a server that is not there is not sent to either`() async throws {
    var options = ConnectionOptions()
    options["host"] = "/tmp/no-such-directory"
    let connection = Connection(options: options, name: "nowhere")
    let failure = try await kind {
      try await connection.run(deadline: .now + .milliseconds(200)) { _ in }
    }
    #expect(failure == .deadlineExceeded(outcome: .notSent))
    await connection.close()
    #expect(
      try await kind { try await connection.run(deadline: soon()) { _ in } } == .closed)
  }

  @Test func `a refusal for good is reported at once`() async throws {
    var options = try await TestServer.administrator
    options["dbname"] = "no_such_database"
    let connection = Connection(options: options, name: "refused")
    let start = ContinuousClock.now
    let error = await #expect(throws: PostgresError.self) {
      try await connection.run(deadline: soon()) { _ in }
    }
    #expect(error?.kind == .connectFailed)
    #expect(error?.sqlState == SQLState(rawValue: "3D000"))
    #expect(error?.isTransient == false)
    #expect(ContinuousClock.now - start < .seconds(5))
    await connection.close()
  }

  @Test func `a cancelled task stops its statement, not its connection`() async throws {
    try await TestServer.withConnection { connection, _ in
      let before = try await connection.backend()
      let task = Task {
        try await connection.run(deadline: soon()) {
          try $0.execute("SELECT pg_sleep(15)", deadline: soon())
        }
      }
      try await Task.sleep(for: .milliseconds(300))
      let start = ContinuousClock.now
      task.cancel()
      #expect(try await kind { try await task.value } == .cancelled)
      #expect(ContinuousClock.now - start < .seconds(2))
      #expect(try await connection.backend() == before)
    }
  }

  @Test func `a terminated backend is replaced before the next lease`() async throws {
    try await TestServer.withConnection { connection, options in
      let other = Connection(options: options, name: "other")
      for _ in 0..<5 {
        let backend = try await connection.backend()
        // With a timeout it returns when the backend is gone; what it said last is on its way then.
        try await other.execute("SELECT pg_terminate_backend(\(backend), 10000)")
        try await Task.sleep(for: .milliseconds(50))
        #expect(try await connection.backend() != backend)
      }
      await other.close()
    }
  }

  @Test func `a backend terminated under a statement leaves the outcome unknown`() async throws {
    try await TestServer.withConnection { connection, options in
      let other = Connection(options: options, name: "other")
      let backend = try await connection.backend()
      let task = Task {
        try await connection.run(deadline: soon()) {
          try $0.execute("SELECT pg_sleep(15)", deadline: soon())
        }
      }
      try await Task.sleep(for: .milliseconds(200))
      try await other.execute("SELECT pg_terminate_backend(\(backend))")
      let error = await #expect(throws: PostgresError.self) { try await task.value }
      #expect(error?.kind == .connectionLost(outcome: .unknown))
      #expect(error?.sqlState == .adminShutdown)
      await other.close()
    }
  }
}
