import CLibPQ
import Glibc
import Testing

@testable import Postgres

struct SessionTests {
  @Test func `a failing pipeline changes nothing and leaves the session usable`() async throws {
    try await TestServer.withConnection { connection, _ in
      try await connection.execute("CREATE TABLE t (n int8 PRIMARY KEY)")
      let failure = try await kind {
        try await connection.run(deadline: soon()) {
          try $0.pipeline(
            [
              "INSERT INTO t VALUES (\(1))", "INSERT INTO t VALUES (\(2))",
              "INSERT INTO t VALUES (\(1))", "INSERT INTO t VALUES (\(3))",
            ], deadline: soon())
        }
      }
      #expect(failure == .uniqueViolation(constraint: "t_pkey"))
      let results = try await connection.run(deadline: soon()) {
        try $0.pipeline(
          ["SELECT count(*) FROM t", "INSERT INTO t VALUES (\(7)), (\(8))"], deadline: soon())
      }
      #expect(try results[0][0].decode(Int.self) == 0)
      #expect(results[1].affected == 2)
    }
  }

  @Test func `server errors are told apart`() async throws {
    try await TestServer.withConnection { connection, _ in
      try await connection.run(deadline: soon()) {
        try $0.executeScript(
          """
          CREATE TABLE parent (id int8 PRIMARY KEY);
          CREATE TABLE child (id int8 NOT NULL CONSTRAINT positive CHECK (id > 0),
                              parent int8 CONSTRAINT known REFERENCES parent);
          CREATE ROLE nobody_\(getpid()); GRANT USAGE ON SCHEMA public TO nobody_\(getpid());
          """, deadline: soon())
      }
      let cases: [(Query, PostgresError.Kind)] = [
        ("INSERT INTO child VALUES (1, 1)", .foreignKeyViolation(constraint: "known")),
        ("INSERT INTO child VALUES (0, NULL)", .checkViolation(constraint: "positive")),
        ("INSERT INTO child VALUES (NULL, NULL)", .notNullViolation(column: "id")),
        ("SELECT * FROM missing", .server(.undefinedTable)),
        ("SELECT \("\u{0}")", .server(.characterNotInRepertoire)),
        ("SELEKT", .server(SQLState(rawValue: "42601"))),
      ]
      for (query, expected) in cases {
        #expect(try await kind { try await connection.execute(query) } == expected)
      }
      let denied = try await kind {
        try await connection.run(deadline: soon()) {
          try $0.pipeline(
            [
              "BEGIN", Query(unchecked: "SET LOCAL ROLE nobody_\(getpid())"),
              "SELECT * FROM child",
            ], deadline: soon())
        }
      }
      #expect(denied == .insufficientPrivilege)
      try await connection.run(deadline: soon()) {
        try $0.executeScript(
          "DROP OWNED BY nobody_\(getpid()); DROP ROLE nobody_\(getpid())", deadline: soon())
      }
    }
  }

  @Test func `a session that cannot leave pipeline mode is lost, and the process goes on`()
    async throws
  {
    try await TestServer.withConnection { connection, _ in
      let failures = try await connection.run(deadline: soon()) { session in
        // Something is outstanding, as after a reply that never came.
        PQsendQueryParams(session.wire.connection, "SELECT 1", 0, nil, nil, nil, nil, 0)
        var failures: [PostgresError.Kind] = []
        for _ in 0..<2 {
          do throws(PostgresError) {
            try session.executeScript("SELECT 1", deadline: soon())
          } catch {
            failures.append(error.kind)
          }
        }
        return failures
      }
      #expect(
        failures == [.connectionLost(outcome: .unknown), .connectionLost(outcome: .notSent)])
      try await connection.execute("SELECT 1")
    }
  }

  @Test func `a lock that is taken is reported as such`() async throws {
    try await TestServer.withConnection { connection, options in
      try await connection.execute("CREATE TABLE t ()")
      let failure = try await kind {
        try await connection.run(deadline: soon()) { session in
          _ = try session.pipeline(["BEGIN", "LOCK TABLE t"], deadline: soon())
          let other = try Link(options).session(until: soon())
          _ = try other.pipeline(["BEGIN", "LOCK TABLE t NOWAIT"], deadline: soon())
        }
      }
      #expect(failure == .lockNotAvailable)
    }
  }

  @Test func `a transaction left open is rolled back and reported`() async throws {
    try await TestServer.withConnection { connection, _ in
      try await connection.execute("CREATE TABLE t (n int8)")
      let returned = try await kind {
        try await connection.run(deadline: soon()) {
          _ = try $0.pipeline(["BEGIN", "INSERT INTO t VALUES (1)"], deadline: soon())
        }
      }
      #expect(returned == .misuse)
      struct Stop: Error {}
      await #expect(throws: Stop.self) {
        try await connection.run(deadline: soon()) {
          _ = try $0.pipeline(["BEGIN", "INSERT INTO t VALUES (1)"], deadline: soon())
          throw Stop()
        }
      }
      #expect(try await connection.execute("SELECT * FROM t").isEmpty)
    }
  }

  @Test func `more statements than a session remembers still work`() async throws {
    try await TestServer.withConnection { connection, _ in
      try await connection.run(deadline: soon()) { session in
        for round in 0..<2 {
          for n in 0..<300 {
            let rows = try session.execute(
              Query(unchecked: "SELECT \(n)::int8"), deadline: soon())
            #expect(try rows[0].decode(Int.self) == n, "round \(round)")
          }
        }
        let prepared = try session.execute(
          "SELECT count(*) FROM pg_prepared_statements", deadline: soon())
        #expect(try prepared[0].decode(Int.self) <= 257)
      }
    }
  }

  @Test func `a statement whose table changed is prepared anew`() async throws {
    try await TestServer.withConnection { connection, _ in
      try await connection.execute("CREATE TABLE t (n int8)")
      try await connection.execute("SELECT * FROM t")
      try await connection.execute("ALTER TABLE t ADD COLUMN m text")
      let stale = try await kind { try await connection.execute("SELECT * FROM t") }
      #expect(stale == .server(.featureNotSupported))
      #expect(try await connection.execute("SELECT * FROM t").isEmpty)
      try await connection.execute("DEALLOCATE ALL")
      let gone = try await kind { try await connection.execute("SELECT * FROM t") }
      #expect(gone == .server(.invalidStatementName))
      #expect(try await connection.execute("SELECT * FROM t").isEmpty)
    }
  }

  @Test func `a pipeline larger than every buffer does not deadlock`() async throws {
    try await TestServer.withConnection { connection, _ in
      let text = String(repeating: "x", count: 100_000)
      let results = try await connection.run(deadline: soon()) {
        try $0.pipeline((0..<200).map { _ in "SELECT \(text)" }, deadline: soon())
      }
      #expect(results.count == 200)
      #expect(try results[199][0].decode(String.self) == text)
    }
  }

  @Test func `too many parameters are refused before anything is sent`() async throws {
    try await TestServer.withConnection { connection, _ in
      let query = Query(
        unchecked: "SELECT 1", parameters: [Parameter](repeating: Parameter(1), count: 65_536))
      let failure = try await kind { try await connection.execute(query) }
      #expect(failure == .misuse)
      let rows = try await connection.execute("SELECT 1")
      #expect(rows.count == 1)
    }
  }

  @Test func `a script runs all its statements or, failing, none`() async throws {
    try await TestServer.withConnection { connection, _ in
      let failure = try await kind {
        try await connection.run(deadline: soon()) {
          try $0.executeScript("CREATE TABLE t (); SELECT 1/0; CREATE TABLE u ()", deadline: soon())
        }
      }
      #expect(failure == .server(SQLState(rawValue: "22012")))
      #expect(
        try await kind { try await connection.execute("SELECT FROM t") }
          == .server(.undefinedTable))
    }
  }
}
