import Testing

@testable import Postgres

/// A transaction that one thread begins and another one ends.
@Suite struct SessionHandoffTests {
  @Test func `another thread finishes what was begun`() async throws {
    try await TestServer.withConnection { connection, _ in
      try await connection.execute("CREATE TABLE t (n int8)")
      let handoff = SessionHandoff()
      async let lent = connection.run(deadline: soon()) { session in
        _ = try session.pipeline(["BEGIN", "INSERT INTO t VALUES (1)"], deadline: soon())
        return handoff.offer(session, until: soon())
      }
      try await Self.use(handoff, "INSERT INTO t VALUES (2)")
      #expect(try await lent)
      let rows = try await connection.execute("SELECT sum(n)::int8 FROM t")
      #expect(try rows[0].decode(Int64.self) == 3)
      // It is over: nothing can be used twice.
      #expect(handoff.use { _ in 1 } == nil)
    }
  }

  @Test func `an offer that is not taken in time is withdrawn, and its transaction is rolled back`()
    async throws
  {
    try await TestServer.withConnection { connection, _ in
      try await connection.execute("CREATE TABLE t (n int8)")
      let handoff = SessionHandoff()
      struct Withdrawn: Error {}
      await #expect(throws: Withdrawn.self) {
        try await connection.run(deadline: soon()) { session in
          _ = try session.pipeline(["BEGIN", "INSERT INTO t VALUES (1)"], deadline: soon())
          if !handoff.offer(session, until: .now + .milliseconds(30)) { throw Withdrawn() }
        }
      }
      #expect(handoff.use { _ in 1 } == nil)
      let rows = try await connection.execute("SELECT count(*) FROM t")
      #expect(try rows[0].decode(Int64.self) == 0)
    }
  }

  @Test func `who gives up before the offer is made lets nobody wait`() async throws {
    try await TestServer.withConnection { connection, _ in
      let handoff = SessionHandoff()
      #expect(handoff.use { _ in 1 } == nil)
      let wasTaken = try await connection.run(deadline: soon()) { session in
        handoff.offer(session, until: .now + .seconds(60))
      }
      #expect(!wasTaken)
    }
  }

  /// Tries until the session is offered: a thread that is never kept waiting.
  private static func use(_ handoff: SessionHandoff, _ query: Query) async throws {
    // The offer is not made yet when it is looked for too early, which ends the handoff; so it is given a moment.
    try await Task.sleep(for: .milliseconds(100))
    let isDone: Void? = try handoff.use { session in
      _ = try session.pipeline([query, "COMMIT"], deadline: soon())
    }
    #expect(isDone != nil)
  }
}
