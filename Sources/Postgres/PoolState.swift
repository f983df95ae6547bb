/// The decisions of a connection pool, purely: events in, actions out.
///
/// Connections re-open themselves; the pool only decides who gets which, how many there are, and who
/// waits. Leases are granted in the order in which they were asked for; the connection that was used
/// last is used next, so that those too many become idle and are closed.
package struct PoolState: Sendable {
  package typealias ConnectionID = Int
  package typealias WaiterID = UInt64

  package enum Action: Sendable, Hashable {
    case open(ConnectionID)
    case shut(ConnectionID)
    case grant(ConnectionID, to: WaiterID)
    case refuse(WaiterID)
  }

  private enum Status: Sendable {
    /// It has no session (any more), and cannot be leased.
    case down
    case idle(since: ContinuousClock.Instant)
    case leased(isUp: Bool)
  }

  package let minimum: Int
  package let maximum: Int
  package let idleTimeout: Duration
  private var connections: [ConnectionID: Status] = [:]
  /// The last one was used last.
  private var idle: [ConnectionID] = []
  private var waiters: [WaiterID] = []
  private var nextID: ConnectionID = 0
  package private(set) var isClosed = false

  package init(minimum: Int, maximum: Int, idleTimeout: Duration = .seconds(60)) {
    precondition(minimum >= 0 && maximum > 0 && minimum <= maximum, "0 ≤ minimum ≤ maximum ≥ 1")
    self.minimum = minimum
    self.maximum = maximum
    self.idleTimeout = idleTimeout
  }

  package var connectionCount: Int { connections.count }
  package var idleCount: Int { idle.count }
  package var waiterCount: Int { waiters.count }

  package mutating func start() -> [Action] {
    (connections.count..<max(minimum, connections.count)).map { _ in open() }
  }

  package mutating func leaseRequested(by waiter: WaiterID) -> [Action] {
    guard !isClosed else { return [.refuse(waiter)] }
    if let connection = idle.popLast() {
      connections[connection] = .leased(isUp: true)
      return [.grant(connection, to: waiter)]
    }
    waiters.append(waiter)
    return grow()
  }

  /// The waiter timed out or was cancelled; too late when it was granted a connection meanwhile.
  package mutating func waiterLeft(_ waiter: WaiterID) {
    waiters.removeAll { $0 == waiter }
  }

  package mutating func connected(
    _ connection: ConnectionID, now: ContinuousClock.Instant
  ) -> [Action] {
    switch connections[connection] {
    case .down: return makeAvailable(connection, now)
    case .leased: connections[connection] = .leased(isUp: true)
    case .idle, nil: break
    }
    return []
  }

  /// No session could be opened.
  ///
  /// - Parameter forGood: whether trying again is pointless, so that waiting is too unless another
  ///   connection is up.
  package mutating func connectFailed(forGood: Bool) -> [Action] {
    let isAnyUp = connections.values.contains {
      switch $0 {
      case .idle, .leased(isUp: true): true
      case .down, .leased(isUp: false): false
      }
    }
    guard forGood, !isAnyUp else { return [] }
    defer { waiters = [] }
    return waiters.map { .refuse($0) }
  }

  package mutating func lost(_ connection: ConnectionID) {
    switch connections[connection] {
    case .idle:
      idle.removeAll { $0 == connection }
      connections[connection] = .down
    case .leased: connections[connection] = .leased(isUp: false)
    case .down, nil: break
    }
  }

  package mutating func released(
    _ connection: ConnectionID, now: ContinuousClock.Instant
  ) -> [Action] {
    guard case .leased(let isUp) = connections[connection] else { return [] }
    if isClosed {
      connections[connection] = nil
      return [.shut(connection)]
    }
    guard isUp else {
      connections[connection] = .down
      return []
    }
    return makeAvailable(connection, now) + shrink(now)
  }

  /// Refuses those who wait and all who come; leased connections are shut when they are released.
  package mutating func close() -> [Action] {
    guard !isClosed else { return [] }
    isClosed = true
    var actions = waiters.map { Action.refuse($0) }
    waiters = []
    idle = []
    for (connection, status) in connections.sorted(by: { $0.key < $1.key }) {
      if case .leased = status { continue }
      connections[connection] = nil
      actions.append(.shut(connection))
    }
    return actions
  }

  private mutating func open() -> Action {
    defer { nextID += 1 }
    connections[nextID] = .down
    return .open(nextID)
  }

  /// One more for every waiter whom no connection on its way will serve.
  private mutating func grow() -> [Action] {
    let opening = connections.values.count { if case .down = $0 { true } else { false } }
    guard waiters.count > opening, connections.count < maximum else { return [] }
    return [open()]
  }

  private mutating func makeAvailable(
    _ connection: ConnectionID, _ now: ContinuousClock.Instant
  ) -> [Action] {
    guard !waiters.isEmpty else {
      connections[connection] = .idle(since: now)
      idle.append(connection)
      return []
    }
    connections[connection] = .leased(isUp: true)
    return [.grant(connection, to: waiters.removeFirst())]
  }

  private mutating func shrink(_ now: ContinuousClock.Instant) -> [Action] {
    guard let oldest = idle.first, connections.count > minimum,
      case .idle(let since) = connections[oldest], now - since > idleTimeout
    else { return [] }
    idle.removeFirst()
    connections[oldest] = nil
    return [.shut(oldest)]
  }
}
