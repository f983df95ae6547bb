package import FoundationEssentials
package import Postgres
import Synchronization

/// The log as it grows: every event behind a position, exactly once and in order, for as long as somebody listens.
/// Whoever stops can go on later behind the last position they saw.
package struct EventFeed: AsyncSequence, Sendable {
  package typealias Element = [RecordedEvent]

  private let reader: Reader
  private let signal: BroadcastSignal
  private let position: Int64
  private let organizationID: UUID?

  /// - Parameters:
  ///   - position: only events behind it; 0 is the beginning of the log.
  ///   - organizationID: only this stream's events; nil for all streams.
  package init(
    reader: Reader, signal: BroadcastSignal, after position: Int64, organizationID: UUID? = nil
  ) {
    self.reader = reader
    self.signal = signal
    self.position = position
    self.organizationID = organizationID
  }

  package func makeAsyncIterator() -> Iterator {
    Iterator(feed: self, position: position)
  }

  package struct Iterator: AsyncIteratorProtocol {
    private static let pageSize: Int64 = 500
    private static let patience: Duration = .seconds(5)

    fileprivate let feed: EventFeed
    /// The position behind which the feed goes on.
    package fileprivate(set) var position: Int64

    /// The next events, at least one; waits until there is one. Nil when the task is cancelled.
    ///
    /// - Throws: ``PostgresError`` when the database cannot be read; the feed can be resumed behind ``position``.
    package mutating func next() async throws -> [RecordedEvent]? {
      while !Task.isCancelled {
        // Taken before reading: what is appended meanwhile wakes the wait below at once.
        let seen = feed.signal.count
        let rows = try await feed.reader.query(query, deadline: .now + Self.patience)
        let events = try rows.map { row throws(PostgresError) in try RecordedEvent(row) }
        if let last = events.last {
          position = last.position
          return events
        }
        await feed.signal.wait(after: seen)
      }
      return nil
    }

    private var query: Query {
      if let organizationID = feed.organizationID {
        EventLog.events(of: organizationID, after: position, limit: Self.pageSize)
      } else {
        EventLog.events(after: position, limit: Self.pageSize)
      }
    }
  }
}

/// Tells all those who wait that something happened, such as an append on whatever replica: PostgreSQL notifies every one
/// of them.
package final class BroadcastSignal: Sendable {
  private struct State {
    var count: UInt64 = 0
    var nextID: UInt64 = 0
    var waiting: [UInt64: CheckedContinuation<Void, Never>] = [:]
  }

  private let state = Mutex(State())

  package init() {}

  /// How often it was raised.
  package var count: UInt64 { state.withLock { $0.count } }

  /// Raises it for every notification of the listener, and whenever some may have been missed. Ends with the listener.
  package func follow(_ listener: Listener) async {
    for await _ in listener.events { raise() }
  }

  package func raise() {
    let waiting = state.withLock { state in
      state.count += 1
      defer { state.waiting = [:] }
      return state.waiting
    }
    for continuation in waiting.values { continuation.resume() }
  }

  /// Raises it whenever another one is raised, and so often anyway, until the task is cancelled.
  package func follow(_ other: BroadcastSignal, atLeastEvery interval: Duration) async {
    while !Task.isCancelled {
      let seen = other.count
      raise()
      await other.wait(after: seen, until: .now + interval)
    }
  }

  /// Waits until it was raised more often than `count` times, the time has come, or the task is cancelled.
  package func wait(after count: UInt64, until deadline: ContinuousClock.Instant) async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.wait(after: count) }
      group.addTask { try? await Task.sleep(until: deadline, clock: .continuous) }
      await group.next()
      group.cancelAll()
    }
  }

  /// Waits until it was raised more often than `count` times, or the task is cancelled.
  package func wait(after count: UInt64) async {
    let id = state.withLock { state in
      defer { state.nextID += 1 }
      return state.nextID
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          if state.count > count || Task.isCancelled { return true }
          state.waiting[id] = continuation
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiting.removeValue(forKey: id) }?.resume()
    }
  }
}
