import Glibc
import Testing

@testable import Postgres

struct ReaderTests {
  private func withReader(
    connections: Int = 2, _ body: (Reader, ConnectionOptions) async throws -> Void
  ) async throws {
    try await TestServer.withDatabase { options in
      let reader = Reader(options: options, connections: connections)
      let result: Result<Void, any Error>
      do { result = .success(try await body(reader, options)) } catch { result = .failure(error) }
      await reader.close()
      try result.get()
    }
  }

  @Test func `a thousand readers on two connections each get their own answer`() async throws {
    try await withReader { reader, _ in
      try await withThrowingTaskGroup { group in
        for n in 0..<1000 {
          group.addTask {
            for m in 0..<5 {
              let (a, b) = try await reader.query("SELECT \(n), \(m)", deadline: soon())[0]
                .decode((Int, Int).self)
              #expect(a == n && b == m)
            }
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test func `a failing query fails only itself`() async throws {
    try await withReader(connections: 1) { reader, _ in
      try await withThrowingTaskGroup { group in
        for n in 0..<200 {
          group.addTask {
            let divisor = n % 3
            do {
              let rows = try await reader.query(
                "SELECT 6 / \(Int32(divisor))::int4", deadline: soon())
              #expect(try rows[0].decode(Int32.self) == Int32(6 / divisor))
            } catch let error as PostgresError {
              #expect(error.sqlState == SQLState(rawValue: "22012"))
              #expect(divisor == 0)
            }
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test func `a query that cannot be prepared fails alike for all who ask at once`() async throws {
    try await withReader(connections: 1) { reader, _ in
      try await withThrowingTaskGroup { group in
        for _ in 0..<50 {
          group.addTask {
            let failure = try await kind { try await reader.query("SELEKT", deadline: soon()) }
            #expect(failure == .server(SQLState(rawValue: "42601")))
          }
          group.addTask {
            let rows = try await reader.query("SELECT 1", deadline: soon())
            #expect(rows.count == 1)
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test func `what one request sets locally is gone for the next`() async throws {
    try await withReader(connections: 1) { reader, _ in
      try await withThrowingTaskGroup { group in
        for n in 0..<100 {
          group.addTask {
            let own = try await reader.pipeline(
              [
                "SELECT set_config('test.tenant', \("\(n)"), true)",
                "SELECT current_setting('test.tenant')",
              ], deadline: soon())
            #expect(try own[1][0].decode(String.self) == "\(n)")
          }
          group.addTask {
            let none = try await reader.query(
              "SELECT coalesce(current_setting('test.tenant', true), '')", deadline: soon())
            #expect(try none[0].decode(String.self) == "")
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test func `nothing can be written`() async throws {
    try await withReader { reader, _ in
      let failure = try await kind {
        try await reader.query("CREATE TABLE t ()", deadline: soon())
      }
      #expect(failure == .server(.readOnlyTransaction))
    }
  }

  @Test func `a cancelled reader is answered at once`() async throws {
    try await withReader { reader, _ in
      let task = Task { try await reader.query("SELECT pg_sleep(4)", deadline: soon()) }
      try await Task.sleep(for: .milliseconds(200))
      let start = ContinuousClock.now
      task.cancel()
      #expect(try await kind { try await task.value } == .cancelled)
      #expect(ContinuousClock.now - start < .seconds(2))
    }
  }

  @Test func `a stopped backend costs one caller its deadline; the others are answered`()
    async throws
  {
    try await withReader(connections: 1) { reader, _ in
      let backend = try await reader.query("SELECT pg_backend_pid()", deadline: soon())[0]
        .decode(Int32.self)
      kill(backend, SIGSTOP)
      defer { kill(backend, SIGCONT) }
      async let first = kind {
        try await reader.query("SELECT 1", deadline: .now + .milliseconds(300))
      }
      try await Task.sleep(for: .milliseconds(100))
      async let second = reader.query("SELECT 2", deadline: soon())
      #expect(try await first == .deadlineExceeded(outcome: .unknown))
      #expect(try await second[0].decode(Int32.self) == 2)
    }
  }

  @Test func `backends terminated at random under load cost nobody an answer`() async throws {
    try await withReader { reader, options in
      let executioner = Connection(options: options, name: "executioner")
      try await withThrowingTaskGroup { group in
        let end = ContinuousClock.now + .seconds(2)
        for n in 0..<32 {
          group.addTask {
            var answered = 0
            while ContinuousClock.now < end {
              do {
                let rows = try await reader.query("SELECT \(n)", deadline: soon())
                #expect(try rows[0].decode(Int.self) == n)
                answered += 1
              } catch let error as PostgresError {
                // Hit on both attempts; anything but a loss would be a fault.
                #expect(error.kind == .connectionLost(outcome: .unknown))
              }
            }
            #expect(answered > 0)
          }
        }
        group.addTask {
          while ContinuousClock.now < end {
            try await executioner.execute(
              """
              SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5
              """)
            try await Task.sleep(for: .milliseconds(100))
          }
        }
        try await group.waitForAll()
      }
      await executioner.close()
    }
  }

  @Test func `closing answers what was asked and refuses what comes later`() async throws {
    try await TestServer.withDatabase { options in
      let reader = Reader(options: options, connections: 1)
      async let slow = reader.query("SELECT pg_sleep(0.3), 1", deadline: soon())
      try await Task.sleep(for: .milliseconds(100))
      await reader.close()
      #expect(try await slow.count == 1)
      #expect(try await kind { try await reader.query("SELECT 1", deadline: soon()) } == .closed)
    }
  }
}
