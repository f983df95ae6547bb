import Glibc

/// The session of one thread, opened again with backoff whenever it is lost.
///
/// Not thread-safe: it belongs to one thread.
final class Link {
  enum Change: Sendable {
    case opened
    case lost
    case failed(PostgresError)
  }

  private enum State {
    case down(retryAt: ContinuousClock.Instant)
    case opening(Handshake)
    case up(Session, since: ContinuousClock.Instant)
    case closed
  }

  private let options: ConnectionOptions
  private var backoff = Backoff()
  private var state = State.down(retryAt: .now)
  /// Why there is no session.
  private(set) var lastError: PostgresError?
  /// Told of every session that was opened or lost, and of every attempt that failed.
  private let onChange: @Sendable (Change) -> Void

  init(_ options: ConnectionOptions, onChange: @escaping @Sendable (Change) -> Void = { _ in }) {
    self.options = options
    self.onChange = onChange
  }

  /// The session, if there is one now.
  var session: Session? {
    if case .up(let session, _) = state, !session.isBroken { session } else { nil }
  }

  /// Set while a server refuses for good, such as for a wrong password: waiting would not help.
  var refusal: PostgresError? { lastError.flatMap { $0.isTransient ? nil : $0 } }

  /// What to sleep on until ``tend()`` has something to do.
  var interest: (socket: Int32, events: Int16, until: ContinuousClock.Instant?) {
    switch state {
    case .down(let retryAt): (-1, 0, retryAt)
    case .opening(let handshake): (handshake.socket, handshake.events, handshake.deadline)
    case .up(let session, _): (session.wire.socket, Int16(POLLIN), nil)
    case .closed: (-1, 0, nil)
    }
  }

  /// Takes the next step towards a session, without waiting for the network.
  func tend() {
    switch state {
    case .closed: return
    case .up(let session, let since):
      if session.wire.isIdle { session.receiveWhileIdle() }
      guard session.isBroken else { return }
      backoff.succeeded(for: .now - since)
      onChange(.lost)
      retryLater(nil)
    case .down(let retryAt):
      guard retryAt <= .now else { return }
      attempt { () throws(PostgresError) in state = .opening(try Handshake(options)) }
    case .opening(let handshake):
      attempt { () throws(PostgresError) in
        guard let session = try handshake.advance() else { return }
        state = .up(session, since: .now)
        lastError = nil
        onChange(.opened)
      }
    }
  }

  /// Waits for a session.
  ///
  /// - Throws: ``PostgresError/Kind/connectFailed`` as soon as a server refuses for good;
  ///   ``PostgresError/Kind/deadlineExceeded(outcome:)`` with the last reason otherwise.
  func session(until deadline: ContinuousClock.Instant) throws(PostgresError) -> Session {
    // Also finds out that an idle session has died meanwhile, while nothing is lost yet.
    tend()
    while true {
      if let session { return session }
      if case .closed = state { throw PostgresError(.closed) }
      if let refusal { throw refusal }
      guard ContinuousClock.now < deadline else {
        throw PostgresError(
          .deadlineExceeded(outcome: .notSent), server: lastError?.server,
          reason: lastError?.reason ?? "no connection in time")
      }
      let (socket, events, until) = interest
      _ = awaitReadiness(
        socket: socket, events: events, until: min(until ?? deadline, deadline))
      tend()
    }
  }

  func close() {
    if session != nil { onChange(.lost) }
    state = .closed
  }

  private func attempt(_ step: () throws(PostgresError) -> Void) {
    do throws(PostgresError) {
      try step()
    } catch {
      retryLater(error)
      onChange(.failed(error))
    }
  }

  private func retryLater(_ error: PostgresError?) {
    lastError = error
    state = .down(retryAt: .now + backoff.next(random: .random(in: 0..<1)))
  }
}
