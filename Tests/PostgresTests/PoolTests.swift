import Synchronization
import Testing

@testable import Postgres

struct PoolTests {
  @Test func `transactions of many tasks exclude each other and lose nothing`() async throws {
    try await TestServer.withDatabase { options in
      let pool = Pool(options: options, minimum: 1, maximum: 4)
      try await pool.withConnection(deadline: soon()) {
        try $0.executeScript(
          "CREATE TABLE t (n int8); INSERT INTO t VALUES (0)", deadline: soon())
      }
      try await withThrowingTaskGroup { group in
        for _ in 0..<100 {
          group.addTask {
            try await pool.withConnection(deadline: soon()) { session in
              let results = try session.pipeline(
                ["BEGIN", "SELECT n FROM t FOR UPDATE"], deadline: soon())
              let n = try results[1][0].decode(Int.self)
              _ = try session.pipeline(["UPDATE t SET n = \(n + 1)", "COMMIT"], deadline: soon())
            }
          }
        }
        try await group.waitForAll()
      }
      let total = try await pool.withConnection(deadline: soon()) {
        try $0.execute("SELECT n FROM t", deadline: soon())[0].decode(Int.self)
      }
      #expect(total == 100)
      await pool.close()
      #expect(
        try await kind { try await pool.withConnection(deadline: soon()) { _ in } } == .closed)
    }
  }

  @Test func `whoever waits too long, or is cancelled waiting, leaves no trace`() async throws {
    try await TestServer.withDatabase { options in
      let pool = Pool(options: options, minimum: 1, maximum: 1)
      async let busy: Void = pool.withConnection(deadline: soon()) {
        try $0.execute("SELECT pg_sleep(0.8)", deadline: soon())
      }
      try await Task.sleep(for: .milliseconds(200))
      let late = try await kind {
        try await pool.withConnection(deadline: .now + .milliseconds(100)) { _ in }
      }
      #expect(late == .deadlineExceeded(outcome: .notSent))
      let cancelled = Task { try await pool.withConnection(deadline: soon()) { _ in } }
      cancelled.cancel()
      #expect(try await kind { try await cancelled.value } == .cancelled)
      try await busy
      try await pool.withConnection(deadline: soon()) { _ in }
      await pool.close()
    }
  }

  @Test func `a refusal for good reaches whoever waits, with the server's reason`() async throws {
    var options = try await TestServer.administrator
    options["dbname"] = "no_such_database"
    let pool = Pool(options: options, minimum: 0, maximum: 2)
    let error = await #expect(throws: PostgresError.self) {
      try await pool.withConnection(deadline: soon()) { _ in }
    }
    #expect(error?.kind == .connectFailed)
    #expect(error?.sqlState == SQLState(rawValue: "3D000"))
    await pool.close()
  }

  @Test func `an actor that lives on a connection's thread commits without a hop`() async throws {
    try await TestServer.withConnection { connection, _ in
      let committer = Committer(connection)
      try await connection.execute("CREATE TABLE t (n int8)")
      try await withThrowingTaskGroup { group in
        for n in 0..<50 { group.addTask { try await committer.commit(n) } }
        try await group.waitForAll()
      }
      let (count, sum) = try await connection.execute("SELECT count(*), sum(n)::int8 FROM t")[0]
        .decode((Int, Int).self)
      #expect(count == 50 && sum == 1225)
    }
  }
}

private actor Committer {
  private let connection: Connection

  nonisolated var unownedExecutor: UnownedSerialExecutor {
    connection.executor.asUnownedSerialExecutor()
  }

  init(_ connection: Connection) { self.connection = connection }

  func commit(_ n: Int) throws {
    try connection.withSessionOnThread(deadline: soon()) { session in
      _ = try session.pipeline(["BEGIN", "SELECT count(*) FROM t"], deadline: soon())
      _ = try session.pipeline(["INSERT INTO t VALUES (\(n))", "COMMIT"], deadline: soon())
    }
  }
}
