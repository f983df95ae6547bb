import Threads

/// Lends a session, in the middle of its transaction, to another thread: one connection prepares what takes long, and the
/// thread that may only be kept for a moment finishes it.
///
/// Exactly one thread uses the session at any time: the one that lends it sleeps from the offer until it has it back.
package final class SessionHandoff: @unchecked Sendable {
  private enum State {
    case expected
    case offered(Session)
    case inUse
    case over
  }

  private let monitor = Monitor()
  // Only touched under the lock.
  private var state = State.expected

  package init() {}

  /// Offers the session until another thread has used it. To be called inside the lease of the session.
  ///
  /// - Parameter deadline: when an offer that was not taken is withdrawn.
  /// - Returns: false when the offer was withdrawn, or refused before it was made.
  package func offer(_ session: Session, until deadline: ContinuousClock.Instant) -> Bool {
    monitor.locked {
      guard case .expected = state else { return false }
      state = .offered(session)
      while true {
        switch state {
        case .offered:
          let left = deadline - .now
          if left <= .zero {
            state = .over
            return false
          }
          monitor.wait(atMost: left)
        case .inUse: monitor.wait()
        case .expected, .over: return true
        }
      }
    }
  }

  /// Uses the session, and then gives it back.
  ///
  /// - Returns: nil when it is not offered any more.
  package func use<Value>(_ body: (Session) throws -> Value) rethrows -> Value? {
    let session: Session? = monitor.locked {
      guard case .offered(let session) = state else {
        state = .over
        return nil
      }
      state = .inUse
      return session
    }
    guard let session else { return nil }
    defer { end() }
    return try body(session)
  }

  private func end() {
    monitor.locked {
      state = .over
      monitor.broadcast()
    }
  }
}
