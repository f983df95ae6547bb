import Dispatch
import Synchronization

/// A caller's wish to stop, carried to whatever its lease is doing right now.
final class Cancellation: Sendable {
  private struct State {
    var isRequested = false
    var target: CancelHandle?
    var inFlight = false
  }

  private let state = Mutex(State())
  /// Needs no descriptor: every lease has one of these.
  private let landed = DispatchSemaphore(value: 0)

  var isRequested: Bool { state.withLock { $0.isRequested } }

  /// From any thread, any number of times.
  func request() {
    let target = state.withLock { state -> CancelHandle? in
      guard !state.isRequested else { return nil }
      state.isRequested = true
      state.inFlight = state.target != nil
      return state.target
    }
    target?.fire { self.land() }
  }

  private func land() {
    state.withLock { $0.inFlight = false }
    landed.signal()
  }

  /// From now on a request reaches this session.
  func arm(_ target: CancelHandle?) { state.withLock { $0.target = target } }

  /// From now on no request reaches the session.
  ///
  /// - Returns: false when one is still on its way, and could hit the session's next lease.
  func disarm(until deadline: ContinuousClock.Instant) -> Bool {
    state.withLock { $0.target = nil }
    while state.withLock({ $0.inFlight }) {
      let patience = (deadline - ContinuousClock.now).dispatchInterval
      guard landed.wait(timeout: .now() + patience) == .success else { return false }
    }
    return true
  }
}
