import FoundationEssentials
import Postgres
import Support
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

  /// Each of them waits by itself, and none takes the right of another one for that which it waits for.
  @Test func `of many who revoke at once all append, and none too early`() async throws {
    let database = try await TestPostgres.database()
    let claimed = ContinuousClock.now
    try await database.withSession { session throws in
      let rows = try session.execute(EventLog.claimHead(for: UUID()), deadline: .soon)
      #expect(!rows.isEmpty)
    }
    try await withThrowingTaskGroup { group in
      for _ in 0..<5 {
        group.addTask {
          try await database.withApplicationSession { session throws in
            for _ in 0..<5 { try TestLog.append(1, to: UUID(), session) }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(ContinuousClock.now - claimed > ReadLease.term)
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
