import EventStore
import FoundationEssentials
import Logging
import Postgres
import ServiceLifecycle
import Synchronization

/// The newest events of all workspaces, read once for all who follow them live. Nothing is read while nobody does.
final class LiveEvents: Service {
  /// What a stream finds when it looks.
  struct View: Sendable {
    let revision: UInt64
    /// Events of its workspace, oldest first.
    let events: [RecordedEvent]
    /// Everything up to here has been seen: what is not among the events is of others.
    let position: Int64
    /// False when what is behind the cursor is older than what is held here.
    let isComplete: Bool
    let heartbeats: Int
    let isStopping: Bool
  }

  private struct State {
    /// By workspace, oldest first.
    var events: [UUID: [RecordedEvent]] = [:]
    var count = 0
    /// Of their payloads.
    var bytes = 0
    /// Every event behind this position, up to `end`, is held.
    var begin: Int64 = 0
    var end: Int64 = 0
    var heartbeats = 0
    var isStopping = false
    var streams = 0
  }

  /// Events that are held at most; a stream that is further behind reads the log itself.
  private static let capacity = 4096
  /// Bytes of payloads that are held at most.
  private static let byteCapacity = 32 << 20
  private static let pageSize: Int64 = 500
  private static let patience: Duration = .seconds(2)
  /// Streams look at their caller's right so often, and nobody has to be notified for an event to come.
  private static let tick: Duration = .milliseconds(500)
  private static let heartbeatInterval: Duration = .seconds(15)

  private let reads: TableReads
  private let log: BroadcastSignal
  private let news = BroadcastSignal()
  private let wakeUp = BroadcastSignal()
  private let streams: Gauge
  private let logger: Logger
  private let state = Mutex(State())

  /// - Parameter log: raised when something was appended.
  init(reads: TableReads, log: BroadcastSignal, metrics: Metrics, logger: Logger) {
    self.reads = reads
    self.log = log
    self.logger = logger
    streams = metrics.gauge("signalbox_event_streams", "Callers who follow events here.")
  }

  // MARK: For streams

  /// - Parameter position: what was appended up to here is known to the stream, or read by itself.
  func streamOpened(at position: Int64) {
    streams.add(1)
    state.withLock { state in
      state.streams += 1
      if state.streams == 1 {
        state.events = [:]
        state.count = 0
        state.bytes = 0
        state.begin = position
        state.end = position
      }
    }
    wakeUp.raise()
  }

  func streamClosed() {
    streams.add(-1)
    state.withLock { $0.streams -= 1 }
  }

  /// What a workspace's stream has to send next, that is done with everything up to a position.
  func view(after cursor: Int64, of organization: UUID) -> View {
    // Taken before looking: what comes meanwhile wakes whoever waits.
    let revision = news.count
    return state.withLock { state in
      let events = state.events[organization] ?? []
      return View(
        revision: revision, events: events.filter { $0.position > cursor },
        position: max(cursor, state.end), isComplete: cursor >= state.begin,
        heartbeats: state.heartbeats, isStopping: state.isStopping)
    }
  }

  func wait(after revision: UInt64) async { await news.wait(after: revision) }

  /// Ends all streams, because the process ends.
  func hangUp() { publish { $0.isStopping = true } }

  // MARK: Following the log

  func run() async throws {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask {
          while !Task.isCancelled {
            try? await Task.sleep(for: Self.tick)
            self.news.raise()
          }
        }
        group.addTask { await self.wakeUp.follow(self.log, atLeastEvery: Self.tick) }
        group.addTask { await self.follow() }
      }
    }
    hangUp()
  }

  private func follow() async {
    var nextHeartbeat = ContinuousClock.now + Self.heartbeatInterval
    while !Task.isCancelled {
      let seen = wakeUp.count
      if let end = state.withLock({ $0.streams > 0 ? $0.end : nil }) {
        do {
          try await read(after: end)
        } catch {
          // Streams stay open and hear nothing; readiness tells of a database that is away.
          logger.debug("live events wait", metadata: ["error": "\(error)"])
        }
      }
      if ContinuousClock.now >= nextHeartbeat {
        nextHeartbeat = .now + Self.heartbeatInterval
        publish { $0.heartbeats += 1 }
      }
      await wakeUp.wait(after: seen)
    }
  }

  private func read(after position: Int64) async throws {
    var end = position
    while true {
      let rows = try await reads.known(deadline: .now + Self.patience)
        .rows(EventLog.page(after: end, limit: Self.pageSize))
      // One that cannot be read must not keep the others from everybody's streams.
      let events = rows.compactMap { try? RecordedEvent($0) }
      guard let last = events.last else { return }
      if events.count < rows.count {
        logger.error(
          "events that cannot be read are left out of streams",
          metadata: ["count": "\(rows.count - events.count)", "before": "\(last.position)"])
      }
      publish { state in
        // All streams may have gone meanwhile, and others come.
        guard state.end == end else { return }
        for event in events { state.events[event.organizationID, default: []].append(event) }
        state.count += events.count
        state.bytes += events.reduce(0) { $0 + $1.payload.count }
        state.end = last.position
        if state.bytes > Self.byteCapacity {
          Self.forgetAll(&state)
        } else if state.count > Self.capacity {
          Self.forget(&state)
        }
      }
      // A page with large events holds fewer than it may: there may be more.
      end = last.position
    }
  }

  /// Forgets the older half.
  private static func forget(_ state: inout State) {
    let begin = state.end - Int64(capacity / 2)
    state.begin = max(state.begin, begin)
    state.events = state.events.compactMapValues { events in
      let kept = events.filter { $0.position > begin }
      return kept.isEmpty ? nil : kept
    }
    state.count = state.events.values.reduce(0) { $0 + $1.count }
    state.bytes = state.events.values.joined().reduce(0) { $0 + $1.payload.count }
  }

  /// A few large events are read again by the streams that have not sent them.
  private static func forgetAll(_ state: inout State) {
    (state.events, state.count, state.bytes) = ([:], 0, 0)
    state.begin = state.end
  }

  private func publish(_ change: (inout State) -> Void) {
    state.withLock { change(&$0) }
    news.raise()
  }
}
