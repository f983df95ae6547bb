package import FoundationEssentials
import Glibc
package import Postgres
import Synchronization

/// What this process knows of the log's end, and what changed when. It makes cached reads exact: whoever asks
/// ``settle(deadline:)`` first knows of everything that was committed before, on whatever replica; and what was read
/// then stays true for as long as its stream does not change.
///
/// All who wait are answered by one query for "anything behind the position I know?", so that under load a read costs
/// a fraction of the smallest query there is; and none at all while nobody else can have appended (``ReadLease``).
package actor LogTail {
  fileprivate struct State {
    var position: Int64 = 0
    /// The position of each topic's newest event, of those behind `floor`.
    var lastChanges: [Topic: Int64] = [:]
    /// What was read before this position is not known to be true any more.
    var floor: Int64 = 0
    var waiting: [CheckedContinuation<Result<Int64, PostgresError>, Never>] = []
    var isSettling = false
    var lease: ReadLease
  }

  /// What events of one stream are about: the part of their types before the first point.
  package struct Topic: Hashable, Sendable {
    package let organizationID: UUID
    package let subject: String

    package init(organizationID: UUID, subject: String) {
      self.organizationID = organizationID
      self.subject = subject
    }

    init(organizationID: UUID, eventType: String) {
      let subject = eventType.utf8.prefix { $0 != UInt8(ascii: ".") }
      self.init(organizationID: organizationID, subject: String(Substring(subject)))
    }
  }

  private static let batchLimit: Int64 = 1000
  private static let rememberedTopics = 100_000

  private nonisolated let connection: Connection
  private nonisolated let replica: UUID
  private nonisolated let state: Mutex<State>

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    connection.executor.asUnownedSerialExecutor()
  }

  /// Takes over a connection; nobody else may use it.
  ///
  /// - Parameters:
  ///   - replica: names this process to the others on the same database.
  ///   - quietTime: for how long nobody else may have appended before this process tries to read without asking.
  package init(connection: Connection, replica: UUID, quietTime: Duration = .seconds(10)) {
    self.connection = connection
    self.replica = replica
    state = Mutex(State(lease: ReadLease(quietTime: quietTime, now: .now)))
  }

  /// Learns of everything that was committed before this call.
  ///
  /// - Returns: the position of the newest event that is known.
  /// - Throws: ``PostgresError`` when the database does not answer by the deadline.
  package nonisolated func settle(
    deadline: ContinuousClock.Instant
  ) async throws(PostgresError) -> Int64 {
    let now = ContinuousClock.now
    let (known, isFirst) = state.withLock { state -> (Int64?, isFirst: Bool) in
      let known = state.lease.isGood(at: now) ? state.position : nil
      guard !state.isSettling, known == nil || state.lease.isDue(at: now) else {
        return (known, false)
      }
      state.isSettling = true
      return (known, true)
    }
    if let known {
      if isFirst { Task.immediate { await self.answerThoseWhoWait(isRenewing: true) } }
      return known
    }
    // Requests that arrived together with this one share its query.
    if isFirst { await Task.yield() }
    let result = await withCheckedContinuation { continuation in
      state.withLock { $0.waiting.append(continuation) }
      // At once: a task of its own would be scheduled on another thread first, only to hop to this actor's.
      if isFirst { Task.immediate { await self.answerThoseWhoWait(isRenewing: false) } }
    }
    return try result.get()
  }

  /// Whether what was read of a topic when the tail was at `position` is still true.
  package nonisolated func isCurrent(_ position: Int64, of topic: Topic) -> Bool {
    state.withLock { state in
      position >= state.floor && position >= state.lastChanges[topic] ?? 0
    }
  }

  /// The position of the newest event that is known already, without asking.
  package nonisolated var position: Int64 { state.withLock { $0.position } }

  /// Takes note of what somebody else in this process has read or appended.
  ///
  /// - Parameters:
  ///   - events: all events behind `start` up to `end`; nil when what lies between was not read.
  package nonisolated func learn(_ events: [RecordedEvent]?, after start: Int64, upTo end: Int64) {
    state.withLock { state in
      guard end > state.position else { return }
      if !state.lease.isAppending { state.lease.disturbed(at: .now) }
      guard let events, start <= state.position else { return state.leap(to: end) }
      for event in events where event.position > state.position {
        let topic = Topic(organizationID: event.organizationID, eventType: event.type)
        state.lastChanges[topic] = event.position
      }
      state.moveOn(to: end, remembering: Self.rememberedTopics)
    }
  }

  /// Something of this process is about to be committed: until ``appendEnded()`` every read asks.
  package nonisolated func appendBegins() { state.withLock { $0.lease.appendBegins() } }

  /// Everything of this process that was committed has been learnt, and nothing is on its way.
  package nonisolated func appendEnded() { state.withLock { $0.lease.appendEnded() } }

  /// - Parameter isRenewing: whether to ask although nobody waits.
  private func answerThoseWhoWait(isRenewing: Bool) {
    var isRenewing = isRenewing
    while true {
      // On a busy machine, whoever can still come does; on an idle one this is nothing.
      sched_yield()
      guard let waiting = takeWaiting(orNobody: isRenewing) else { return }
      isRenewing = false
      let result: Result<Int64, PostgresError>
      do {
        let deadline = ContinuousClock.now + .seconds(2)
        result = .success(
          try connection.withSessionOnThread(deadline: deadline) { session in
            try claimLease(session, deadline: deadline)
            return try catchUp(session, deadline: deadline)
          })
      } catch {
        result = .failure(error as? PostgresError ?? PostgresError(.misuse, reason: "\(error)"))
      }
      for continuation in waiting { continuation.resume(returning: result) }
    }
  }

  private func takeWaiting(
    orNobody: Bool
  ) -> [CheckedContinuation<Result<Int64, PostgresError>, Never>]? {
    state.withLock { state in
      guard orNobody || !state.waiting.isEmpty else {
        state.isSettling = false
        return nil
      }
      defer { state.waiting = [] }
      return state.waiting
    }
  }

  private func catchUp(
    _ session: Session, deadline: ContinuousClock.Instant
  ) throws(PostgresError) -> Int64 {
    let sent = ContinuousClock.now
    let (known, lease) = state.withLock { ($0.position, $0.lease) }
    // The head first: what it says of others' appends is then true of the events, too.
    var queries = lease.isHeld ? [EventLog.head(ifReadOnlyBy: replica)] : []
    queries.append(
      """
      SELECT organization_id, position, type FROM events WHERE position > \(known) \
      ORDER BY position LIMIT \(Self.batchLimit)
      """)
    let results = try session.pipeline(queries, deadline: deadline)
    let rows = results[queries.count - 1]
    let position =
      rows.count < Self.batchLimit
      ? try follow(rows, since: lease) : try leap(session, deadline: deadline)
    if lease.isHeld {
      let isStillHeld = !results[0].isEmpty
      state.withLock {
        isStillHeld ? $0.lease.renewed(by: sent) : $0.lease.revoked(at: sent)
      }
    }
    return position
  }

  /// - Parameter before: the lease before the rows were asked for.
  private func follow(_ rows: Rows, since before: ReadLease) throws(PostgresError) -> Int64 {
    var changes: [(UUID, Int64, String)] = []
    for row in rows { changes.append(try row.decode((UUID, Int64, String).self)) }
    return state.withLock { state in
      let isOwn = before.isAppending || before.appends != state.lease.appends
      if let last = changes.last, last.1 > state.position, !isOwn {
        state.lease.disturbed(at: .now)
      }
      for (organizationID, position, type) in changes where position > state.position {
        state.lastChanges[Topic(organizationID: organizationID, eventType: type)] = position
      }
      state.moveOn(
        to: changes.last?.1 ?? state.position, remembering: Self.rememberedTopics)
      return state.position
    }
  }

  private func claimLease(
    _ session: Session, deadline: ContinuousClock.Instant
  ) throws(PostgresError) {
    guard state.withLock({ $0.lease.isWorthClaiming(at: .now) }) else { return }
    let isClaimed = try !session.execute(EventLog.claimHead(for: replica), deadline: deadline)
      .isEmpty
    state.withLock { isClaimed ? $0.lease.claimed() : $0.lease.notClaimed(at: .now) }
  }

  /// Goes to the end of the log without reading what lies between: all that was read before is forgotten.
  private func leap(
    _ session: Session, deadline: ContinuousClock.Instant
  ) throws(PostgresError) -> Int64 {
    let head = try session.execute(EventLog.head, deadline: deadline)[0].decode(Int64.self)
    state.withLock { $0.leap(to: head) }
    return head
  }
}

extension LogTail.State {
  /// Goes on without knowing what changed in between: nothing that was read before is known to be true any more.
  fileprivate mutating func leap(to position: Int64) {
    lastChanges = [:]
    floor = max(floor, position)
    self.position = max(self.position, position)
  }

  fileprivate mutating func moveOn(to position: Int64, remembering limit: Int) {
    self.position = max(self.position, position)
    guard lastChanges.count > limit else { return }
    lastChanges = [:]
    floor = self.position
  }
}
