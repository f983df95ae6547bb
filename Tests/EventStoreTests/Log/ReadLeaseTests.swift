import FoundationEssentials
import Glibc
import Postgres
import Support
import Synchronization
import Testing

@testable import EventStore

@Suite struct ReadLeaseTests {
  static let start = ContinuousClock.now
  static let quietTime = Duration.seconds(10)

  static func time(_ milliseconds: Int) -> ContinuousClock.Instant {
    start + .milliseconds(milliseconds)
  }

  /// A lease whose last question was sent at 0.
  static func held() -> ReadLease {
    var lease = ReadLease(quietTime: quietTime, now: start)
    lease.claimed()
    lease.renewed(by: start)
    return lease
  }

  @Test func `a claim by itself is good for nothing`() {
    var lease = ReadLease(quietTime: Self.quietTime, now: Self.start)
    #expect(!lease.isGood(at: Self.start))
    lease.claimed()
    #expect(!lease.isGood(at: Self.start))
    #expect(lease.isDue(at: Self.start))
  }

  @Test func `it lasts from the question, not from the answer`() {
    let lease = Self.held()
    #expect(lease.isGood(at: Self.time(49)))
    #expect(!lease.isGood(at: Self.time(50)))
  }

  @Test func `it is renewed before it ends`() {
    var lease = Self.held()
    #expect(!lease.isDue(at: Self.time(24)))
    #expect(lease.isDue(at: Self.time(26)))
    lease.renewed(by: Self.time(26))
    #expect(lease.isGood(at: Self.time(75)))
    #expect(!lease.isDue(at: Self.time(50)))
  }

  @Test func `while something of our own is on its way it is not good`() {
    var lease = Self.held()
    lease.appendBegins()
    #expect(!lease.isGood(at: Self.time(1)))
    lease.appendEnded()
    #expect(lease.isGood(at: Self.time(1)))
  }

  @Test func `once revoked it is claimed after a quiet time only`() {
    var lease = Self.held()
    lease.revoked(at: Self.time(30))
    #expect(!lease.isGood(at: Self.time(31)))
    #expect(!lease.isWorthClaiming(at: Self.time(10_029)))
    #expect(lease.isWorthClaiming(at: Self.time(10_030)))
    lease.disturbed(at: Self.time(5_000))
    #expect(!lease.isWorthClaiming(at: Self.time(10_030)))
  }

  @Test func `whoever revokes waits for longer than it lasts`() {
    #expect(Revocation.patience > ReadLease.term * 1.05)
  }

  /// The sole reader may have asked the moment before: what it was told then is good for ``ReadLease/term``.
  @Test func `an append waits until no lease can be left`() async throws {
    let database = try await TestPostgres.database()
    let waited = try await database.withSession { session throws in
      #expect(try !session.execute(EventLog.claimHead(for: UUID()), deadline: .soon).isEmpty)
      let start = ContinuousClock.now
      try TestLog.append(1, to: UUID(), session)
      return ContinuousClock.now - start
    }
    #expect(waited >= Revocation.patience)
  }

  /// The revocation may have been announced only just now.
  @Test func `an append that finds a revocation announced waits as long`() async throws {
    let database = try await TestPostgres.database()
    let waited = try await database.withSession { session throws in
      #expect(try !session.execute(EventLog.claimHead(for: UUID()), deadline: .soon).isEmpty)
      _ = try session.execute(
        "UPDATE event_log_head SET revocation = \(UUID()) WHERE singleton", deadline: .soon)
      let start = ContinuousClock.now
      try TestLog.append(1, to: UUID(), session)
      return ContinuousClock.now - start
    }
    #expect(waited >= Revocation.patience)
  }

  @Test func `the sole reader itself appends without waiting`() async throws {
    let database = try await TestPostgres.database()
    let replica = UUID()
    try await database.withSession { session throws in
      #expect(try !session.execute(EventLog.claimHead(for: replica), deadline: .soon).isEmpty)
      try TestLog.append(1, to: UUID(), as: replica, session)
      #expect(
        try !session.execute(EventLog.head(ifReadOnlyBy: replica), deadline: .soon).isEmpty)
    }
  }

  /// Each of them waits by itself, and none takes the right of another one for that which it waits for. All have their
  /// connections before the right is claimed, so that nothing but the wait comes between the claim and the first append.
  @Test func `of many who revoke at once all append, and none too early`() async throws {
    let database = try await TestPostgres.database()
    let gate = Gate()
    let first = try await withThrowingTaskGroup { group in
      for _ in 0..<5 {
        group.addTask {
          try await database.withApplicationSession { session throws in
            gate.waitForClaim()
            try TestLog.append(1, to: UUID(), session)
            let first = ContinuousClock.now
            for _ in 0..<4 { try TestLog.append(1, to: UUID(), session) }
            return first
          }
        }
      }
      while gate.connected < 5 {
        try await Task.sleep(for: .milliseconds(1))
      }
      try await database.withSession { session throws in
        let rows = try session.execute(EventLog.claimHead(for: UUID()), deadline: .soon)
        #expect(!rows.isEmpty)
        gate.claim()
      }
      var first: ContinuousClock.Instant?
      for try await instant in group { first = min(first ?? instant, instant) }
      return first
    }
    let start = try #require(gate.claimed)
    #expect(try #require(first) - start >= Revocation.patience)
    try await database.withSession { session throws in
      #expect(try TestLog.all(session).count == 25)
      let rows = try session.execute(
        "SELECT 1::bigint FROM event_log_head WHERE sole_reader IS NULL AND revocation IS NULL",
        deadline: .soon)
      #expect(rows.count == 1)
    }
  }

  @Test func `there is one sole reader at most`() async throws {
    let database = try await TestPostgres.database()
    try await database.withSession { session throws in
      let (one, other) = (UUID(), UUID())
      #expect(try !session.execute(EventLog.claimHead(for: one), deadline: .soon).isEmpty)
      #expect(try session.execute(EventLog.claimHead(for: other), deadline: .soon).isEmpty)
      #expect(try !session.execute(EventLog.head(ifReadOnlyBy: one), deadline: .soon).isEmpty)
      #expect(try session.execute(EventLog.head(ifReadOnlyBy: other), deadline: .soon).isEmpty)
    }
  }
}

/// Lets writers that have their connections go on once the head is claimed.
private final class Gate: Sendable {
  private let state = Mutex<(connected: Int, claimed: ContinuousClock.Instant?)>((0, nil))

  var connected: Int { state.withLock { $0.connected } }
  var claimed: ContinuousClock.Instant? { state.withLock { $0.claimed } }

  /// Blocks the thread of a writer's connection.
  func waitForClaim() {
    state.withLock { $0.connected += 1 }
    while claimed == nil { usleep(200) }
  }

  func claim() { state.withLock { $0.claimed = .now } }
}
