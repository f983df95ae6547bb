import Synchronization

/// Connections that are leased exclusively, for transactions. ``PoolState`` decides, this obeys.
package final class Pool: Sendable {
  private typealias Lease = (id: PoolState.ConnectionID, connection: Connection)

  private struct Contents {
    var state: PoolState
    var connections: [PoolState.ConnectionID: Connection] = [:]
    var waiters: [PoolState.WaiterID: CheckedContinuation<Lease, any Error>] = [:]
    var nextWaiter: PoolState.WaiterID = 0
    var lastFailure: PostgresError?
    /// Connections that were told to close and have not ended yet.
    var shutting = 0
    var closing: [CheckedContinuation<Void, Never>] = []

    var isGone: Bool { state.isClosed && state.connectionCount == 0 && shutting == 0 }
  }

  private let options: ConnectionOptions
  private let contents: Mutex<Contents>

  /// Opens `minimum` connections now, and up to `maximum` when leases have to wait. They stay until
  /// ``close()``.
  package init(options: ConnectionOptions, minimum: Int, maximum: Int) {
    self.options = options
    contents = Mutex(Contents(state: PoolState(minimum: minimum, maximum: maximum)))
    apply { $0.start() }
  }

  /// Leases a connection: see ``Connection/run(deadline:_:)`` for what `body` may do and expect.
  ///
  /// - Parameter deadline: for everything, waiting for a connection included.
  package func withConnection<Value: Sendable>(
    deadline: ContinuousClock.Instant, _ body: @escaping @Sendable (Session) throws -> Value
  ) async throws -> Value {
    let lease = try await acquire(deadline)
    defer { apply { $0.released(lease.id, now: .now) } }
    return try await lease.connection.run(deadline: deadline, body)
  }

  /// Refuses whoever waits, then ends after the leases that are out.
  package func close() async {
    apply { $0.close() }
    await withCheckedContinuation { continuation in
      let isGone = contents.withLock { contents in
        if !contents.isGone { contents.closing.append(continuation) }
        return contents.isGone
      }
      if isGone { continuation.resume() }
    }
  }

  private func acquire(_ deadline: ContinuousClock.Instant) async throws -> Lease {
    let waiter = contents.withLock { contents in
      defer { contents.nextWaiter += 1 }
      return contents.nextWaiter
    }
    let timer = Mutex<Task<Void, Never>?>(nil)
    defer { timer.withLock { $0 }?.cancel() }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        contents.withLock { $0.waiters[waiter] = continuation }
        apply { $0.leaseRequested(by: waiter) }
        // The handler may have run before there was anybody to answer.
        if Task.isCancelled { leave(waiter, PostgresError(.cancelled)) }
        guard contents.withLock({ $0.waiters[waiter] != nil }) else { return }
        let task = Task {
          do { try await Task.sleep(until: deadline, clock: .continuous) } catch { return }
          expire(waiter)
        }
        timer.withLock { $0 = task }
      }
    } onCancel: {
      leave(waiter, PostgresError(.cancelled))
    }
  }

  private func expire(_ waiter: PoolState.WaiterID) {
    let failure = contents.withLock { $0.lastFailure }
    leave(
      waiter,
      PostgresError(
        .deadlineExceeded(outcome: .notSent), server: failure?.server,
        reason: failure?.reason ?? "no free connection"))
  }

  private func leave(_ waiter: PoolState.WaiterID, _ error: PostgresError) {
    let continuation = contents.withLock { contents in
      contents.state.waiterLeft(waiter)
      return contents.waiters.removeValue(forKey: waiter)
    }
    continuation?.resume(throwing: error)
  }

  /// Lets the state decide, and does what it says outside the lock.
  private func apply(_ event: (inout PoolState) -> [PoolState.Action]) {
    let effects = contents.withLock { contents -> [@Sendable () -> Void] in
      event(&contents.state).compactMap { effect(of: $0, &contents) }
    }
    for effect in effects { effect() }
  }

  private func note(_ change: Link.Change, of id: PoolState.ConnectionID) {
    switch change {
    case .opened:
      contents.withLock { $0.lastFailure = nil }
      apply { $0.connected(id, now: .now) }
    case .lost:
      contents.withLock { $0.state.lost(id) }
    case .failed(let error):
      contents.withLock { $0.lastFailure = error }
      apply { $0.connectFailed(forGood: !error.isTransient) }
    }
  }

  private func hasShut() {
    let closing = contents.withLock { contents -> [CheckedContinuation<Void, Never>] in
      contents.shutting -= 1
      guard contents.isGone else { return [] }
      defer { contents.closing = [] }
      return contents.closing
    }
    for continuation in closing { continuation.resume() }
  }

  private func effect(
    of action: PoolState.Action, _ contents: inout Contents
  ) -> (@Sendable () -> Void)? {
    switch action {
    case .open(let id):
      let connection = Connection(options: options, name: "\(id)") { [weak self] change in
        self?.note(change, of: id)
      }
      contents.connections[id] = connection
      return { connection.start() }
    case .shut(let id):
      guard let connection = contents.connections.removeValue(forKey: id) else { return nil }
      contents.shutting += 1
      return {
        Task {
          await connection.close()
          self.hasShut()
        }
      }
    case .grant(let id, let waiter):
      guard let connection = contents.connections[id],
        let continuation = contents.waiters.removeValue(forKey: waiter)
      else { preconditionFailure("a grant for nobody") }
      return { continuation.resume(returning: (id, connection)) }
    case .refuse(let waiter):
      let continuation = contents.waiters.removeValue(forKey: waiter)
      let error = contents.state.isClosed ? nil : contents.lastFailure
      return { continuation?.resume(throwing: error ?? PostgresError(.closed)) }
    }
  }
}
