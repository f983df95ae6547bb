package import FoundationEssentials
import Glibc
package import Postgres
import Synchronization

/// What this process knows of the log's end, and what changed when. It makes cached reads exact: whoever asks
/// ``settle(deadline:)`` first knows of everything that was committed before, on whatever replica; and what was read
/// then stays true for as long as its stream does not change.
///
/// All who wait are answered by one query for "anything behind the position I know?", so that under load a read costs
/// a fraction of the smallest query there is.
package actor LogTail {
  fileprivate struct State {
    var position: Int64 = 0
    /// The position of each topic's newest event, of those behind `floor`.
    var lastChanges: [Topic: Int64] = [:]
    /// What was read before this position is not known to be true any more.
    var floor: Int64 = 0
    var waiting: [CheckedContinuation<Result<Int64, PostgresError>, Never>] = []
    var isSettling = false
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
  private nonisolated let state = Mutex(State())

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    connection.executor.asUnownedSerialExecutor()
  }

  /// Takes over a connection; nobody else may use it.
  package init(connection: Connection) {
    self.connection = connection
  }

  /// Learns of everything that was committed before this call.
  ///
  /// - Returns: the position of the newest event that is known.
  /// - Throws: ``PostgresError`` when the database does not answer by the deadline.
  package nonisolated func settle(
    deadline: ContinuousClock.Instant
  ) async throws(PostgresError) -> Int64 {
    let isFirst = state.withLock { state in
      defer { state.isSettling = true }
      return !state.isSettling
    }
    // Requests that arrived together with this one share its query.
    if isFirst { await Task.yield() }
    let result = await withCheckedContinuation { continuation in
      state.withLock { $0.waiting.append(continuation) }
      // At once: a task of its own would be scheduled on another thread first, only to hop to this actor's.
      if isFirst { Task.immediate { await self.answerThoseWhoWait() } }
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
      guard let events, start <= state.position else { return state.leap(to: end) }
      for event in events where event.position > state.position {
        let topic = Topic(organizationID: event.organizationID, eventType: event.type)
        state.lastChanges[topic] = event.position
      }
      state.moveOn(to: end, remembering: Self.rememberedTopics)
    }
  }

  private func answerThoseWhoWait() {
    while true {
      // On a busy machine, whoever can still come does; on an idle one this is nothing.
      sched_yield()
      guard let waiting = takeWaiting() else { return }
      let result: Result<Int64, PostgresError>
      do {
        let deadline = ContinuousClock.now + .seconds(2)
        result = .success(
          try connection.withSessionOnThread(deadline: deadline) { session in
            try catchUp(session, deadline: deadline)
          })
      } catch {
        result = .failure(error as? PostgresError ?? PostgresError(.misuse, reason: "\(error)"))
      }
      for continuation in waiting { continuation.resume(returning: result) }
    }
  }

  private func takeWaiting() -> [CheckedContinuation<Result<Int64, PostgresError>, Never>]? {
    state.withLock { state in
      guard !state.waiting.isEmpty else {
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
    let known = state.withLock { $0.position }
    let rows = try session.execute(
      """
      SELECT organization_id, position, type FROM events WHERE position > \(known) \
      ORDER BY position LIMIT \(Self.batchLimit)
      """, deadline: deadline)
    guard rows.count < Self.batchLimit else { return try leap(session, deadline: deadline) }
    var changes: [(UUID, Int64, String)] = []
    for row in rows { changes.append(try row.decode((UUID, Int64, String).self)) }
    return state.withLock { state in
      for (organizationID, position, type) in changes where position > state.position {
        state.lastChanges[Topic(organizationID: organizationID, eventType: type)] = position
      }
      state.moveOn(to: changes.last?.1 ?? known, remembering: Self.rememberedTopics)
      return state.position
    }
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
