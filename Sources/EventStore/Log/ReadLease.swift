package import FoundationEssentials
import Glibc
package import Postgres

/// The right of one replica to read without asking whether somebody else has appended: for a moment after each answer
/// of the database nobody else will have. A lease (Gray and Cheriton 1989) that is kept in the log's head.
///
/// The head names the sole reader. Whoever else wants to append revokes that first, and then waits for longer than any
/// lease that was given before can last (``Revocation``). Only durations are compared, each by one machine's monotonic
/// clock, so neither a lost connection, a process that was stopped and goes on, nor a clock that is set makes a read stale.
///
/// A lease is worth its while for a replica that is alone, or the only one that appends; others settle as if there was none.
struct ReadLease: Sendable {
  /// How long an answer that names this replica is good for, from when it was asked for.
  static let term: Duration = .milliseconds(50)

  /// How long to wait between two attempts to claim the right.
  private static let pause: Duration = .milliseconds(100)

  private let quietTime: Duration
  /// When an event of another replica was seen last, or the right was last taken away.
  private var quietSince: ContinuousClock.Instant
  private var until: ContinuousClock.Instant?
  private(set) var isAppending = false
  /// How often this process has begun to append.
  private(set) var appends = 0
  /// Whether the head named this replica when it was last asked.
  private(set) var isHeld = false

  /// - Parameter quietTime: for how long nobody else may have appended before the right is claimed, so that two
  ///   replicas that both append do not take it from each other all the time.
  init(quietTime: Duration, now: ContinuousClock.Instant) {
    self.quietTime = quietTime
    quietSince = now
  }

  /// Whether what this process knows of the log is all there is.
  func isGood(at now: ContinuousClock.Instant) -> Bool {
    !isAppending && isHeld && until.map { now < $0 } ?? false
  }

  /// Whether half of the term is over.
  func isDue(at now: ContinuousClock.Instant) -> Bool {
    until.map { now + Self.term / 2 > $0 } ?? true
  }

  func isWorthClaiming(at now: ContinuousClock.Instant) -> Bool {
    !isHeld && now - quietSince >= quietTime
  }

  /// The head was claimed for this replica; what follows has yet to be asked for.
  mutating func claimed() {
    isHeld = true
    until = nil
  }

  /// Somebody else holds the right, or the head was locked: it is asked for again in a while.
  mutating func notClaimed(at now: ContinuousClock.Instant) {
    quietSince = now - quietTime + Self.pause
  }

  /// The head names this replica.
  ///
  /// - Parameter sent: when it was asked, which was before it answered.
  mutating func renewed(by sent: ContinuousClock.Instant) {
    until = sent + Self.term
  }

  mutating func revoked(at now: ContinuousClock.Instant) {
    isHeld = false
    until = nil
    quietSince = now
  }

  /// Another replica has appended something.
  mutating func disturbed(at now: ContinuousClock.Instant) {
    quietSince = now
  }

  /// Something of this process is about to be committed: others may see it before this process knows.
  mutating func appendBegins() {
    isAppending = true
    appends += 1
  }

  /// Everything of this process is known that was committed, and nothing is on its way.
  mutating func appendEnded() { isAppending = false }
}

/// How another replica's ``ReadLease`` is ended, by whoever holds no right to append beside it.
package struct Revocation {
  /// Longer than any lease: clocks of two machines may run at slightly different rates.
  static let patience: Duration = ReadLease.term + .milliseconds(5)

  private let id: UUID
  private let isAnnounced: Bool
  private let soleReader: UUID

  /// What stands in the way of an append.
  ///
  /// - Parameter head: the row of ``EventLog/lockHead``.
  /// - Returns: nil when nothing does.
  package init?(_ head: Row, by replica: UUID) throws(PostgresError) {
    let (_, soleReader, revocation) = try head.decode((Int64, UUID?, UUID?).self)
    guard let soleReader, soleReader != replica else { return nil }
    self.soleReader = soleReader
    isAnnounced = revocation != nil
    id = revocation ?? UUID()
  }

  /// Announces it in a transaction of its own, waits, and ends it. Blocks the thread for 55 ms. Afterwards the head has
  /// to be locked and looked at again: of several who revoke at once, each waits for as long as it takes by itself.
  package func carryOut(
    _ session: Session, deadline: ContinuousClock.Instant
  ) throws(PostgresError) {
    if !isAnnounced {
      _ = try session.execute(
        """
        UPDATE event_log_head SET revocation = \(id) \
        WHERE singleton AND sole_reader = \(soleReader) AND revocation IS NULL
        """, deadline: deadline)
    }
    usleep(UInt32(Self.patience / .microseconds(1)))
    _ = try session.execute(
      """
      UPDATE event_log_head SET sole_reader = NULL, revocation = NULL \
      WHERE singleton AND revocation = \(id)
      """, deadline: deadline)
  }
}
