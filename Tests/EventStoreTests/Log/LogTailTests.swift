import FoundationEssentials
import Glibc
import Postgres
import Support
import Testing

@testable import EventStore

@Suite struct LogTailTests {
  @Test func `an empty log ends at 0`() async throws {
    try await Self.withTail { tail, _ throws in
      #expect(try await tail.settle(deadline: .soon) == 0)
      #expect(tail.isCurrent(0, of: .things(of: UUID())))
    }
  }

  @Test func `what another connection committed is known after settling`() async throws {
    try await Self.withTail { tail, database throws in
      let (stream, other) = (UUID(), UUID())
      try await database.withApplicationSession { session throws in
        try TestLog.append(2, to: stream, session)
        try TestLog.append(1, to: other, session)
      }
      #expect(try await tail.settle(deadline: .soon) == 3)
      #expect(tail.isCurrent(3, of: .things(of: stream)))

      try await database.withApplicationSession { try TestLog.append(1, to: stream, $0) }
      #expect(try await tail.settle(deadline: .soon) == 4)
      #expect(!tail.isCurrent(3, of: .things(of: stream)))
      #expect(tail.isCurrent(3, of: .things(of: other)))
      #expect(tail.isCurrent(4, of: .things(of: stream)))
    }
  }

  @Test func `what is not committed is not known`() async throws {
    try await Self.withTail { tail, database throws in
      let stream = UUID()
      let writer = Connection(options: database.owner, name: "writer")
      try await database.withSession { try TestLog.append(1, to: stream, $0) }
      let event = try await database.withSession { try TestLog.all($0)[0] }
      #expect(try await tail.settle(deadline: .soon) == 1)
      // While the next event is inserted, but its transaction has not ended.
      async let insertion: Void = writer.run(deadline: .soon) { session in
        try session.executeScript(
          """
          BEGIN;
          INSERT INTO events SELECT organization_id, 2, 2, gen_random_uuid(), type, schema_version,
            payload, actor_kind, actor_id, request_id, causation_id, occurred_at, hash, hash
            FROM events;
          SELECT pg_sleep(0.3);
          ROLLBACK
          """, deadline: .soon)
      }
      for _ in 0..<20 {
        try await Task.sleep(for: .milliseconds(10))
        #expect(try await tail.settle(deadline: .soon) == 1)
        #expect(tail.isCurrent(1, of: .things(of: event.organizationID)))
      }
      try await insertion
      await writer.close()
    }
  }

  @Test func `what this process appended is known without asking`() async throws {
    try await Self.withTail { tail, database throws in
      let stream = UUID()
      #expect(try await tail.settle(deadline: .soon) == 0)
      let events = try await database.withApplicationSession { session throws in
        try TestLog.append(2, to: stream, session)
        return try TestLog.all(session)
      }
      tail.learn(events, after: 0, upTo: 2)
      #expect(!tail.isCurrent(1, of: .things(of: stream)))
      #expect(tail.isCurrent(2, of: .things(of: stream)))
    }
  }

  @Test func `what happens to one thing leaves what is known of another`() async throws {
    try await Self.withTail { tail, database throws in
      let stream = UUID()
      try await database.withApplicationSession { session throws in
        try TestLog.append(1, to: stream, session)
        try TestLog.append(1, to: stream, type: "member.added", session)
      }
      #expect(try await tail.settle(deadline: .soon) == 2)
      #expect(tail.isCurrent(1, of: .things(of: stream)))
      #expect(!tail.isCurrent(1, of: .init(organizationID: stream, subject: "member")))
    }
  }

  @Test func `a gap in what is learnt makes everything read before doubtful`() async throws {
    try await Self.withTail { tail, database throws in
      let (stream, other) = (UUID(), UUID())
      let events = try await database.withApplicationSession { session throws in
        try TestLog.append(1, to: stream, session)
        try TestLog.append(1, to: other, session)
        return try TestLog.all(session)
      }
      tail.learn([events[1]], after: 1, upTo: 2)
      #expect(try await tail.settle(deadline: .soon) == 2)
      #expect(!tail.isCurrent(0, of: .things(of: stream)))
      #expect(!tail.isCurrent(1, of: .things(of: other)))
    }
  }

  @Test(arguments: [999, 1000, 1001, 2500])
  func `a long absence forgets everything that was read before`(count: Int) async throws {
    try await Self.withTail { tail, database throws in
      let (stream, other) = (UUID(), UUID())
      try await database.withApplicationSession { session throws in
        try TestLog.append(1, to: stream, session)
      }
      #expect(try await tail.settle(deadline: .soon) == 1)
      try await database.withApplicationSession { try TestLog.append(count, to: other, $0) }
      let end = Int64(count) + 1
      #expect(try await tail.settle(deadline: .soon) == end)
      #expect(!tail.isCurrent(1, of: .things(of: other)))
      #expect(tail.isCurrent(end, of: .things(of: other)))
      #expect(tail.isCurrent(1, of: .things(of: stream)) == (count < 1000))
      #expect(tail.isCurrent(end, of: .things(of: stream)))
    }
  }

  @Test func `all who wait are answered by one query`() async throws {
    let queries = try await Self.queries(each: "0.2") { connection throws in
      let tail = LogTail(connection: connection, replica: UUID())
      try await withThrowingTaskGroup { group in
        for _ in 0..<500 {
          group.addTask { try await tail.settle(deadline: .soon) }
        }
        for try await position in group { #expect(position == 1) }
      }
    }
    #expect((1...5).contains(queries), "500 who waited at once cost \(queries) queries")
  }

  @Test func `while nobody else appends, reads do not ask`() async throws {
    let queries = try await Self.queries(each: "0") { connection throws in
      let tail = LogTail(connection: connection, replica: UUID(), quietTime: .zero)
      for _ in 0..<5_000 { #expect(try await tail.settle(deadline: .soon) == 1) }
    }
    #expect(queries < 1_000, "5,000 reads, one after the other, cost \(queries) queries")
  }

  /// How often a log of one event is asked for events: a view in the table's place counts.
  ///
  /// - Parameter seconds: how long each query takes.
  private static func queries(
    each seconds: String, _ body: (Connection) async throws -> Void
  ) async throws -> Int64 {
    let database = try await TestPostgres.database()
    try await database.withSession { session throws in
      try TestLog.append(1, to: UUID(), session)
      try session.executeScript(
        """
        ALTER TABLE events RENAME TO real_events;
        CREATE SEQUENCE queries;
        CREATE FUNCTION counted_events() RETURNS SETOF real_events LANGUAGE plpgsql AS $$
        BEGIN
          PERFORM nextval('queries'), pg_sleep(\(seconds));
          RETURN QUERY SELECT * FROM real_events;
        END $$;
        CREATE VIEW events AS SELECT * FROM counted_events();
        """, deadline: .soon)
    }
    let connection = Connection(options: database.owner, name: "tail")
    let result: Result<Void, any Error>
    do { result = .success(try await body(connection)) } catch { result = .failure(error) }
    await connection.close()
    try result.get()
    return try await database.withSession { session throws in
      try session.execute("SELECT last_value FROM queries", deadline: .soon)[0].decode(Int64.self)
    }
  }

  @Test func `reads wait for nobody who appends, not even to become the sole reader`() async throws
  {
    try await Self.withTail(quietTime: .zero) { tail, database throws in
      let (isLocked, locked) = AsyncStream.makeStream(of: Void.self)
      async let lock: Void = database.withApplicationSession { session in
        _ = try session.pipeline(["BEGIN", EventLog.lockHead], deadline: .soon)
        locked.finish()
        _ = try session.pipeline(["SELECT pg_sleep(3)", "ROLLBACK"], deadline: .soon)
      }
      for await _ in isLocked {}
      let start = ContinuousClock.now
      for _ in 0..<20 { _ = try await tail.settle(deadline: .soon) }
      #expect(ContinuousClock.now - start < .seconds(2))
      try await lock
    }
  }

  @Test func `without a database nobody is told that they are up to date`() async throws {
    var options = try await TestPostgres.database().application.asSystem
    options["dbname"] = "there_is_no_such_database"
    let connection = Connection(options: options, name: "tail")
    let tail = LogTail(connection: connection, replica: UUID())
    await #expect(throws: PostgresError.self) {
      try await tail.settle(deadline: .now + .seconds(1))
    }
    await connection.close()
  }

  /// If something read at one time is called current at a later one, then it is what was true just before that.
  ///
  /// - Parameter pause: of the writers, long enough now and then for the tail to become the sole reader.
  @Test(arguments: [
    (quietTime: Duration.seconds(10), pause: Duration.zero),
    (quietTime: .milliseconds(20), pause: .milliseconds(60)),
  ])
  func `nothing stale is ever called current`(quietTime: Duration, pause: Duration) async throws {
    try await Self.withTail(quietTime: quietTime) { tail, database throws in
      let (reads, writes) = pause == .zero ? (100, 150) : (3_000, 40)
      let streams = (0..<4).map { _ in UUID() }
      try await withThrowingTaskGroup { group in
        for writer in 0..<2 {
          group.addTask {
            try await database.withApplicationSession { session throws in
              var random = SeededGenerator(seed: UInt64(writer))
              for turn in 0..<writes {
                if turn % 4 == 0 { usleep(UInt32(pause / .microseconds(1))) }
                try TestLog.append(1, to: streams.randomElement(using: &random) ?? UUID(), session)
              }
            }
          }
        }
        for number in 0..<4 {
          group.addTask {
            let connection = Connection(options: database.application.asSystem, name: "reader")
            let stream = streams[number]
            var remembered: (position: Int64, version: Int64) = (0, 0)
            for _ in 0..<reads {
              let before = try await Self.version(of: stream, connection)
              let position = try await tail.settle(deadline: .soon)
              if tail.isCurrent(remembered.position, of: .things(of: stream)) {
                #expect(remembered.version >= before)
              }
              remembered = (position, try await Self.version(of: stream, connection))
            }
            await connection.close()
          }
        }
        try await group.waitForAll()
      }
      #expect(try await tail.settle(deadline: .soon) == 2 * Int64(writes))
    }
  }

  private static func version(of stream: UUID, _ connection: Connection) async throws -> Int64 {
    try await connection.run(deadline: .soon) { session in
      try session.execute(
        "SELECT COALESCE(max(version), 0) FROM events WHERE organization_id = \(stream)",
        deadline: .soon)[0].decode(Int64.self)
    }
  }

  private static func withTail(
    quietTime: Duration = .seconds(10), _ body: (LogTail, TestDatabase) async throws -> Void
  ) async throws {
    let database = try await TestPostgres.database()
    let connection = Connection(options: database.application.asSystem, name: "tail")
    let result: Result<Void, any Error>
    do {
      result = .success(
        try await body(
          LogTail(connection: connection, replica: UUID(), quietTime: quietTime), database))
    } catch {
      result = .failure(error)
    }
    await connection.close()
    try result.get()
  }
}
