import Synchronization

/// One connection to a server: a thread of its own, a session that is opened again whenever it is
/// lost, and exclusive leases of that session.
///
/// Whoever made it must call ``close()``: its thread keeps it alive until then.
package final class Connection: Sendable {
  package let name: String
  /// For an actor that lives on this connection:
  /// `nonisolated var unownedExecutor: UnownedSerialExecutor { connection.executor.asUnowned… }`.
  package let executor: ConnectionThread

  package convenience init(options: ConnectionOptions, name: String) {
    self.init(options: options, name: name, onChange: { _ in })
  }

  /// - Parameter onChange: told on the thread, see ``Link``.
  init(
    options: ConnectionOptions, name: String, onChange: @escaping @Sendable (Link.Change) -> Void
  ) {
    self.name = name
    var options = options
    options.applicationName += " \(name)"
    executor = ConnectionThread(options: options, onChange: onChange)
  }

  /// Connects already now; otherwise the first lease does.
  package func start() { executor.start() }

  /// Ends after the leases that have begun or wait; later ones throw ``PostgresError/Kind/closed``.
  package func close() async { await executor.close() }

  /// Leases the session: `body` runs synchronously on the connection's thread.
  ///
  /// A transaction that `body` leaves open is rolled back: silently when it throws, and with
  /// ``PostgresError/Kind/misuse`` when it returns. A caller whose task is cancelled gets
  /// ``PostgresError/Kind/cancelled``: at once when the lease has not begun, and as soon as the server
  /// has cancelled the running statement otherwise.
  ///
  /// - Parameter deadline: for everything, waiting for the lease and for a session included.
  package func run<Value: Sendable>(
    deadline: ContinuousClock.Instant, _ body: @escaping @Sendable (Session) throws -> Value
  ) async throws -> Value {
    let ticket = Ticket<Value>()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        guard ticket.wait(continuation) else { return }
        let mustQueue = executor.perform {
          guard ticket.begin() else { return }
          ticket.finish(
            Result {
              try self.lease(deadline: deadline, cancellation: ticket.cancellation, body)
            })
        }
        if mustQueue { ticket.expire(at: deadline) }
      }
    } onCancel: {
      ticket.cancel()
    }
  }

  /// The same lease without any hop, for code that is on the connection's thread already, such as an
  /// actor whose executor is ``executor``; anything else is a programmer's error.
  package func withSessionOnThread<Value>(
    deadline: ContinuousClock.Instant, _ body: (Session) throws -> Value
  ) throws -> Value {
    try lease(deadline: deadline, cancellation: nil, body)
  }

  private func lease<Value>(
    deadline: ContinuousClock.Instant, cancellation: Cancellation?,
    _ body: (Session) throws -> Value
  ) throws -> Value {
    let session = try executor.link.session(until: deadline)
    session.lease = (deadline, cancellation)
    cancellation?.arm(session.wire.cancelHandle)
    defer { session.lease = nil }
    let result = Result { try body(session) }
    if cancellation?.disarm(until: deadline) == false { session.abort() }
    let leftOpen = !session.isBroken && session.transactionStatus != .idle
    if leftOpen { session.rollback(deadline: deadline) }
    do {
      let value = try result.get()
      if leftOpen { throw PostgresError(.misuse, reason: "a lease left a transaction open") }
      return value
    } catch let error as PostgresError
      where error.kind == .statementCanceled && cancellation?.isRequested == true
    {
      throw PostgresError(.cancelled, server: error.server, query: error.query)
    }
  }
}

/// One caller of ``Connection/run(deadline:_:)``, answered exactly once.
private final class Ticket<Value: Sendable>: Sendable {
  private enum State {
    case new
    case waiting(CheckedContinuation<Value, any Error>)
    case running(CheckedContinuation<Value, any Error>)
    case over
  }

  let cancellation = Cancellation()
  private let state = Mutex(State.new)
  private let timer = Mutex<Task<Void, Never>?>(nil)

  /// - Returns: false when the caller was cancelled before, and is answered.
  func wait(_ continuation: CheckedContinuation<Value, any Error>) -> Bool {
    let waits = state.withLock { state in
      guard case .new = state else { return false }
      state = .waiting(continuation)
      return true
    }
    if !waits { continuation.resume(throwing: PostgresError(.cancelled)) }
    return waits
  }

  /// - Returns: false when nobody waits any more.
  func begin() -> Bool {
    state.withLock { state in
      guard case .waiting(let continuation) = state else { return false }
      state = .running(continuation)
      return true
    }
  }

  func finish(_ result: Result<Value, any Error>) {
    let continuation = state.withLock { state -> CheckedContinuation<Value, any Error>? in
      guard case .running(let continuation) = state else { return nil }
      state = .over
      return continuation
    }
    timer.withLock { $0 }?.cancel()
    continuation?.resume(with: result)
  }

  func cancel() {
    cancellation.request()
    giveUp(PostgresError(.cancelled))
  }

  func expire(at deadline: ContinuousClock.Instant) {
    let task = Task {
      do { try await Task.sleep(until: deadline, clock: .continuous) } catch { return }
      giveUp(PostgresError(.deadlineExceeded(outcome: .notSent), reason: "the connection is busy"))
    }
    timer.withLock { $0 = task }
    if state.withLock({ if case .over = $0 { true } else { false } }) { task.cancel() }
  }

  /// Answers a caller whose turn has not come.
  private func giveUp(_ error: PostgresError) {
    let continuation = state.withLock { state -> CheckedContinuation<Value, any Error>? in
      switch state {
      case .waiting(let continuation):
        state = .over
        return continuation
      case .new:
        state = .over
        return nil
      case .running, .over:
        return nil
      }
    }
    continuation?.resume(throwing: error)
  }
}
