import ConfigurationFeed
import Domain
import EventStore
import FoundationEssentials
import Logging
import NIOCore
import Postgres
import ServiceLifecycle
import Synchronization

/// The document that gateways run, kept current by what is appended to the log, on whatever replica; made once, never for
/// a request. When the database is away it goes on as it is, and says so.
///
/// One task follows the changes; every stream looks here for what it has not sent yet, and is woken when there is more.
package final class LiveConfiguration: Service {
  /// A change as it is sent, the same for every stream.
  struct Frame: Sendable {
    let position: Int64
    let bytes: ByteBuffer
  }

  struct Status: Equatable, Sendable {
    /// Since when the database has not answered; nil when it does.
    var staleSince: Timestamp?
    /// The log's end, as far as it is known.
    var position: Int64
  }

  /// What a stream finds when it looks.
  struct View: Sendable {
    enum News: Sendable {
      case frames(ArraySlice<Frame>)
      /// The changes behind the cursor are older than what is held here.
      case older(upTo: Int64)
    }

    let revision: UInt64
    let news: News
    /// Where the last of all changes held here is.
    let newestChange: Int64?
    let status: Status
    let heartbeats: Int
    let isGatewayGood: Bool
    let isStopping: Bool
    /// Another one than before: what was sent is not of this log.
    let generation: Int
  }

  private struct State {
    var document: ConfigurationDocument?
    /// Whether the document was saved by a process before this one, and the database has not confirmed it.
    var isUnconfirmed = false
    var generation = 0
    var frames: [Frame] = []
    /// Every change behind this position is among the frames.
    var framesBegin: Int64 = 0
    var status = Status(position: 0)
    var gateways: Set<GatewayTokenID> = []
    var nextGatewayCheck = ContinuousClock.now
    var heartbeats = 0
    var isStopping = false
    var streams = 0
  }

  private static let pageSize: Int64 = 500
  private static let framesKept = 4096
  private static let patience: Duration = .seconds(2)
  private static let heartbeatInterval: Duration = .seconds(15)
  /// Nobody has to be notified for the document to be at most this old.
  private static let tick: Duration = .seconds(1)

  private let reads: TableReads
  private let pool: Pool
  private let plans: PlanCatalog
  private let knownGateways: KnownGateways
  /// Raised when there may be something to read.
  private let signal = BroadcastSignal()
  /// Raised when there is something to look at.
  private let news = BroadcastSignal()
  private let isWanted = Atomic<Bool>(false)
  private let streams: Gauge
  private let logger: Logger
  private let state = Mutex(State())

  init(
    reads: TableReads, pool: Pool, plans: PlanCatalog, knownGateways: KnownGateways,
    metrics: Metrics, logger: Logger
  ) {
    self.reads = reads
    self.pool = pool
    self.plans = plans
    self.knownGateways = knownGateways
    self.logger = logger
    streams = metrics.gauge(
      "signalbox_gateway_streams", "Gateways that follow the configuration here.")
  }

  /// Begins with what was saved, which is stale until the database has confirmed it.
  func begin(with saved: SavedConfiguration) {
    publish { state in
      state.document = saved.document
      state.isUnconfirmed = true
      state.framesBegin = saved.document.position
      state.status = Status(staleSince: saved.savedAt, position: saved.document.position)
    }
    want()
  }

  // MARK: For requests

  /// Whether the database did not answer when it was last asked.
  var isStale: Bool { state.withLock { $0.status.isStale } }

  /// What the database says gateways are to run; nil while it is away, or nobody wants it.
  var confirmed: ConfigurationDocument? {
    state.withLock { $0.isUnconfirmed || $0.status.isStale ? nil : $0.document }
  }

  /// The document, with everything in it that was appended up to a position; as it was when the database is away.
  ///
  /// - Parameter position: nil to take what there is.
  /// - Throws: a ``Problem`` of 503 when there is no document by the deadline.
  func document(
    upTo position: Int64?, deadline: ContinuousClock.Instant
  ) async throws(Problem) -> (document: ConfigurationDocument, status: Status) {
    want()
    while ContinuousClock.now < deadline, !Task.isCancelled {
      let revision = news.count
      let (document, status) = state.withLock { ($0.document, $0.status) }
      let isFresh = position.map { $0 <= status.position } ?? true
      if let document, isFresh || status.staleSince != nil { return (document, status) }
      signal.raise()
      await news.wait(after: revision, until: deadline)
    }
    throw .unavailable()
  }

  /// The database has just said that a gateway is good, which the next look at all of them may be late for.
  func admit(_ gateway: GatewayTokenID) {
    state.withLock { _ = $0.gateways.insert(gateway) }
  }

  /// What a stream has to send next, whose last change was the one at `cursor`.
  func view(after cursor: Int64, for gateway: GatewayTokenID) -> View {
    // Taken before looking: what is published meanwhile wakes whoever waits.
    let revision = news.count
    return state.withLock { state in
      let news: View.News
      if cursor < state.framesBegin {
        news = .older(upTo: state.framesBegin)
      } else {
        let place = state.frames.partitioningIndex { $0.position > cursor }
        news = .frames(state.frames[place...])
      }
      return View(
        revision: revision, news: news, newestChange: state.frames.last?.position,
        status: state.status, heartbeats: state.heartbeats,
        isGatewayGood: state.gateways.contains(gateway), isStopping: state.isStopping,
        generation: state.generation)
    }
  }

  /// Changes that are older than those held here.
  ///
  /// - Returns: nil when they are not all there any more.
  func olderChanges(after cursor: Int64, upTo end: Int64) async throws -> [Frame]? {
    try await changes(after: cursor)?.filter { $0.position <= end }.map(Frame.init)
  }

  /// Nil when they are not all there any more.
  private func changes(after cursor: Int64) async throws -> [ConfigurationChangeRow]? {
    let reads = reads.known(deadline: .now + Self.patience)
    let rows = try await reads.rows(
      ConfigurationChangeTable.changes(after: cursor, limit: Self.pageSize))
    // Behind the rows: what was deleted meanwhile counts as gone.
    let floor = try await reads.rows(ConfigurationChangeTable.floor)[0].decode(Int64.self)
    guard cursor >= floor else { return nil }
    return try rows.map { row throws(PostgresError) in try ConfigurationChangeRow(row) }
  }

  func streamOpened() {
    streams.add(1)
    state.withLock { $0.streams += 1 }
  }

  func streamClosed() {
    streams.add(-1)
    state.withLock { $0.streams -= 1 }
  }

  /// Ends all streams, because the process ends.
  func hangUp() {
    publish { $0.isStopping = true }
  }

  /// Waits until there is something new to look at, or the task is cancelled.
  func wait(after revision: UInt64) async { await news.wait(after: revision) }

  // MARK: Following the log

  /// Something was appended by this process.
  func appended() {
    if state.withLock({ $0.streams > 0 }) { signal.raise() }
  }

  /// From the first gateway on, or the first who saves it, the document is kept.
  func want() {
    if isWanted.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged {
      signal.raise()
    }
  }

  package func run() async throws {
    try? await cancelWhenGracefulShutdown {
      try await withThrowingDiscardingTaskGroup { group in
        group.addTask {
          while true {
            try await Task.sleep(for: Self.tick)
            self.signal.raise()
          }
        }
        group.addTask { try await self.follow() }
      }
    }
  }

  /// Something was appended, on whatever replica.
  func logGrew() { signal.raise() }

  private func follow() async throws {
    var nextHeartbeat = ContinuousClock.now + Self.heartbeatInterval
    while !Task.isCancelled {
      let seen = signal.count
      if isWanted.load(ordering: .relaxed) {
        do {
          try await refresh()
        } catch let error as ConfigurationError {
          logger.error("the configuration is read anew", metadata: ["error": "\(error)"])
          state.withLock { $0.document = nil }
        } catch {
          markStale(error)
        }
        if ContinuousClock.now >= nextHeartbeat {
          nextHeartbeat = .now + Self.heartbeatInterval
          publish { $0.heartbeats += 1 }
        }
      }
      await signal.wait(after: seen)
    }
  }

  private func refresh() async throws {
    let (document, isUnconfirmed) = state.withLock { ($0.document, $0.isUnconfirmed) }
    guard let document else { return try await load() }
    if isUnconfirmed { return try await confirm(document) }
    var end = document.position
    let gateways = try await goodGatewaysIfDue()
    while true {
      let reads = reads.known(deadline: .now + Self.patience)
      let rows = try await reads.rows(
        ConfigurationChangeTable.changesAndHead(after: end, limit: Self.pageSize))
      let head = try rows[0].decode(Int64.self, column: "head")
      let changes = try rows.compactMap { row throws(PostgresError) in
        try ConfigurationChangeRow(besidesHead: row)
      }
      for change in changes { try apply(change) }
      end = changes.last?.position ?? end
      let isAll = changes.count < Self.pageSize
      let position = isAll ? max(head, end) : end
      let isNews = state.withLock { state in
        !changes.isEmpty || gateways.map { $0 != state.gateways } ?? false
          || state.status.staleSince != nil || state.status.position < position
      }
      if isNews {
        publish { state in
          if let gateways { state.gateways = gateways }
          state.status = Status(position: max(position, state.status.position))
        }
      }
      if isAll { return }
    }
  }

  private func apply(_ change: ConfigurationChangeRow) throws {
    let frame = Frame(change)
    try state.withLock { state in
      try state.document?.apply(change.patch, at: change.position)
      state.frames.append(frame)
      guard state.frames.count > Self.framesKept else { return }
      let surplus = Self.framesKept / 2
      state.framesBegin = state.frames[surplus - 1].position
      state.frames.removeFirst(surplus)
    }
  }

  private func load() async throws {
    let document = try await stored()
    let gateways = try await goodGateways()
    publish { state in
      state.document = document
      state.frames = []
      state.framesBegin = document.position
      state.gateways = gateways
      state.status = Status(position: document.position)
    }
  }

  private func stored() async throws -> ConfigurationDocument {
    let plans = plans
    let deadline = ContinuousClock.now + .seconds(120)
    return try await pool.withConnection(deadline: deadline) { session in
      try StoredConfiguration.load(plans: plans, session, deadline: deadline)
    }
  }

  /// Puts what the tables say in the place of what was saved. Where the changes since lead from one to the other, as they
  /// do unless it is another log, or is read in another way now, streams go on with them; otherwise they begin anew.
  private func confirm(_ saved: ConfigurationDocument) async throws {
    let current = try await stored()
    let gateways = try await goodGateways()
    let frames = try await frames(from: saved, to: current)
    if frames == nil {
      logger.warning("the saved configuration is not what the log says: gateways begin anew")
    }
    publish { state in
      state.document = current
      state.isUnconfirmed = false
      state.frames = (frames ?? []).suffix(Self.framesKept)
      let dropped = (frames?.count ?? 0) - state.frames.count
      if dropped > 0 { state.framesBegin = frames?[dropped - 1].position ?? 0 }
      if frames == nil {
        state.generation += 1
        state.framesBegin = current.position
      }
      state.gateways = gateways
      state.status = Status(position: current.position)
    }
  }

  /// The changes that lead from one document to the other; nil when there are none that do.
  private func frames(
    from saved: ConfigurationDocument, to current: ConfigurationDocument
  ) async throws -> [Frame]? {
    guard saved.position <= current.position else { return nil }
    var (document, frames) = (saved, [Frame]())
    while let page = try await changes(after: document.position) {
      for change in page where change.position <= current.position {
        do throws(ConfigurationError) {
          try document.apply(change.patch, at: change.position)
        } catch {
          return nil
        }
        frames.append(Frame(change))
      }
      let isAll =
        page.count < Self.pageSize || page.last.map { $0.position > current.position } ?? true
      if isAll { return document.saysTheSame(as: current) ? frames : nil }
    }
    return nil
  }

  /// Nil when they were looked at a moment ago.
  private func goodGatewaysIfDue() async throws -> Set<GatewayTokenID>? {
    let now = ContinuousClock.now
    let isDue = state.withLock { state in
      guard now >= state.nextGatewayCheck else { return false }
      state.nextGatewayCheck = now + Self.tick
      return true
    }
    return isDue ? try await goodGateways() : nil
  }

  private func goodGateways() async throws -> Set<GatewayTokenID> {
    let reads = reads.known(deadline: .now + Self.patience)
    let good = try await reads.rows(GatewayTokenTable.good(at: .now))
      .map { row throws(PostgresError) in try KnownGateways.Gateway(row) }
    knownGateways.learn(good)
    return Set(good.map(\.id))
  }

  private func markStale(_ error: any Error) {
    guard state.withLock({ $0.status.staleSince == nil }) else { return }
    logger.warning("the configuration is stale", metadata: ["error": "\(error)"])
    publish { $0.status.staleSince = .now }
  }

  private func publish(_ change: (inout State) -> Void) {
    state.withLock { change(&$0) }
    news.raise()
  }
}

extension LiveConfiguration.Frame {
  init(_ change: ConfigurationChangeRow) {
    position = change.position
    bytes = ByteBuffer(
      bytes: ServerSentEvent(
        id: "\(change.position)", event: "change",
        data: String(decoding: change.patch, as: UTF8.self)
      ).bytes)
  }
}

extension Array {
  /// The place of the first element for which this is true; all behind it are so, too.
  fileprivate func partitioningIndex(where isBehind: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
