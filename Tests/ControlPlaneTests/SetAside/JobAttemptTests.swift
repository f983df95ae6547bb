import Domain
import FoundationEssentials
import Logging
import Postgres
import Support
import Synchronization
import Testing

@testable import ControlPlane

/// How attempts are counted, without any job.
@Suite struct JobAttemptTests {
  // MARK: Not counted

  @Test func `what succeeds leaves nothing, and what passes counts for nothing`() async throws {
    try await JobWorld.with { world in
      let process = await world.process()
      for _ in 0..<5 {
        let rest = try await process.attempts.work(on: world.items) { items in
          Dictionary(uniqueKeysWithValues: items.suffix(1).map { ($0, .passing) })
        }
        #expect(rest.again == world.items.suffix(1) && rest.setAside.isEmpty)
      }
      for _ in 0..<5 {
        await #expect(throws: PostgresError.self) {
          try await process.attempts.work(on: world.items) { _ in
            throw PostgresError(.connectionLost(outcome: .unknown))
          }
        }
      }
      #expect(try await world.count() == 0)
      await process.die()
    }
  }

  @Test func `a process that lives is not taken for dead`() async throws {
    try await JobWorld.with { world in
      let (one, other) = (await world.process(), await world.process())
      _ = try await one.attempts.begin(.usage, world.items)
      try await world.age()
      let admitted = try await other.attempts.begin(.usage, world.items)
      // Jobs put up with two who do the same.
      #expect(admitted.ready == world.items && admitted.suspects.isEmpty)
      await one.die()
      await other.die()
    }
  }

  @Test func `a process that ends in order leaves nothing that counts`() async throws {
    try await JobWorld.with { world in
      let (one, other) = (await world.process(), await world.process())
      _ = try await one.attempts.begin(.usage, world.items)
      await one.end(in: world)
      try await world.age()
      let admitted = try await other.attempts.begin(.usage, world.items)
      #expect(admitted.ready == world.items)
      await other.die()
    }
  }

  /// Its session may only be lost.
  @Test func `a process that may be dead is given a moment`() async throws {
    try await JobWorld.with { world in
      let (one, other) = (await world.process(), await world.process())
      _ = try await one.attempts.begin(.usage, world.items)
      await one.die()
      try await Task.sleep(for: .milliseconds(100))
      let admitted = try await other.attempts.begin(.usage, world.items)
      #expect(admitted.elsewhere == world.items)
      await other.die()
    }
  }

  // MARK: Counted

  @Test
  func `one of a batch that fails is set aside after three attempts, and holds no other back`()
    async throws
  {
    try await JobWorld.with { world in
      let process = await world.process()
      let guilty = world.items[20]
      for attempt in 1...5 {
        let carriedOut = Mutex<[JobItem]>([])
        let rest = try await process.attempts.work(on: world.items) { items in
          if items.contains(guilty) { throw PostgresError(.misuse, reason: "a secret") }
          carriedOut.withLock { $0 += items }
          return [:]
        }
        #expect(Set(carriedOut.withLock { $0 }) == Set(world.items).subtracting([guilty]))
        #expect(rest.again == (attempt < 3 ? [guilty] : []))
        #expect(rest.setAside == (attempt < 3 ? [] : [guilty]))
      }
      #expect(try await world.count() == 1)
      await process.die()
    }
  }

  /// The worst case: many are in hand, and one of them ends the process each time.
  @Test func `of 64 in hand when the process dies only the guilty one gets to three`() async throws
  {
    try await JobWorld.with { world in
      let guilty = world.items[33]
      var deaths = 0
      while deaths < 10 {
        let process = await world.process()
        let admitted = try await process.attempts.begin(.usage, world.items)
        var (died, served) = (admitted.ready.contains(guilty), admitted.setAside.count)
        if !died {
          await process.attempts.end(admitted.ready, [:])
          served += admitted.ready.count
          for suspect in admitted.suspects {
            let alone = try await process.attempts.begin(.usage, [suspect], isAlone: true)
            #expect(alone.ready == [suspect])
            died = suspect == guilty
            if died { break }
            await process.attempts.end(alone.ready, [:])
            served += 1
          }
        }
        await process.die()
        try await world.age()
        if !died {
          #expect(admitted.setAside == [guilty])
          #expect(served == 64)
          break
        }
        deaths += 1
      }
      #expect(deaths == 3)
      #expect(try await world.count() == 1)
    }
  }

  @Test func `suspects of all kinds take turns`() async throws {
    try await JobWorld.with { world in
      let process = await world.process()
      let others = (0..<8).map { JobItem(.panicMode, "\($0)", of: nil) }
      let few = Array(world.items.prefix(8))
      for items in [few, others] {
        let failed = try await process.attempts.work(on: items) { items in
          Dictionary(uniqueKeysWithValues: items.map { ($0, .failed("once")) })
        }
        #expect(failed.again == items)
      }
      let inHand = Mutex((now: 0, most: 0))
      let body: JobAttempts.Work = { items in
        inHand.withLock { inHand in
          inHand.now += items.count
          inHand.most = max(inHand.most, inHand.now)
        }
        try await Task.sleep(for: .milliseconds(5))
        inHand.withLock { $0.now -= items.count }
        return [:]
      }
      // One whose turn it is not comes back later.
      async let one: Void = Self.finish(few, process.attempts, body)
      async let other: Void = Self.finish(others, process.attempts, body)
      _ = try await (one, other)
      #expect(inHand.withLock { $0.most } == 1)
      #expect(try await world.count() == 0)
      await process.die()
    }
  }
}

extension JobAttemptTests {
  /// Works on items until all of them are carried out.
  fileprivate static func finish(
    _ items: [JobItem], _ attempts: JobAttempts, _ body: @escaping JobAttempts.Work
  ) async throws {
    var left = items
    while !left.isEmpty {
      left = try await attempts.work(on: left, body).again
      try await Task.sleep(for: .milliseconds(1))
    }
  }
}

/// A database, and processes that come and go.
private struct JobWorld {
  let database: TestDatabase
  let items = (0..<64).map { JobItem(.usage, "item \($0 + 100)", of: nil) }

  static func with(_ body: (JobWorld) async throws -> Void) async throws {
    try await body(JobWorld(database: TestPostgres.database()))
  }

  struct Process {
    let attempts: JobAttempts
    fileprivate let pool: Pool
    fileprivate let lock: Connection

    /// As the system ends the sessions of a process that was killed.
    func die() async {
      await lock.close()
      await pool.close()
    }

    func end(in world: JobWorld) async {
      _ = try? await pool.withConnection(deadline: .soon) { [holder = attempts.holder] session in
        try session.pipeline(JobAttemptTable.letGoOfEverything(by: holder), deadline: .soon).count
      }
      await die()
    }
  }

  func process() async -> Process {
    let holder = Int64.random(in: 1 ... .max)
    var options = database.application.asSystem
    let pool = Pool(options: options, minimum: 0, maximum: 4)
    options.setup.append(JobAttemptTable.sign(of: holder))
    let lock = Connection(options: options, name: "lock")
    _ = try? await lock.run(deadline: .soon) { try $0.execute("SELECT 1", deadline: .soon).count }
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return Process(
      attempts: JobAttempts(pool: pool, holder: holder, metrics: Metrics(), logger: logger),
      pool: pool, lock: lock)
  }

  /// Lets the time pass in which a process may come back, and waits until sessions that were closed are gone.
  func age() async throws {
    try await Task.sleep(for: .milliseconds(100))
    try await database.withSession { session in
      _ = try session.execute(
        "UPDATE job_attempts SET last_attempt_at = last_attempt_at - interval '1 minute'",
        deadline: .soon)
    }
  }

  func count() async throws -> Int64 {
    try await database.withSession { session in
      try session.execute("SELECT count(*) FROM job_attempts", deadline: .soon)[0].decode(
        Int64.self)
    }
  }
}
