import Synchronization

/// Lets a few through at a time; the others wait in the order in which they came.
final class Turnstile: Sendable {
  private struct State {
    var free: Int
    var arrivals: UInt64 = 0
    var waiting: [(ticket: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
    /// Tickets whose tasks were cancelled before they waited.
    var cancelled: Set<UInt64> = []
  }

  private let state: Mutex<State>

  /// - Parameter places: how many may be inside at once.
  init(places: Int) {
    state = Mutex(State(free: max(places, 1)))
  }

  /// How many wait outside.
  var waitingCount: Int { state.withLock { $0.waiting.count } }

  /// Waits for a place, and gives it back after the body.
  ///
  /// - Throws: what the body throws; `CancellationError` when the task is cancelled while it waits.
  func pass<Value>(
    _ body: () async throws -> Value
  ) async throws -> Value {
    guard await enter() else { throw CancellationError() }
    defer { leave() }
    return try await body()
  }

  private func enter() async -> Bool {
    let ticket: UInt64? = state.withLock { state in
      if state.free > 0 {
        state.free -= 1
        return nil
      }
      state.arrivals += 1
      return state.arrivals
    }
    guard let ticket else { return true }
    // A cancellation that came too late to matter leaves no trace.
    defer { state.withLock { _ = $0.cancelled.remove(ticket) } }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Bool? = state.withLock { state in
          if state.cancelled.remove(ticket) != nil { return false }
          // A place may have become free since the ticket was drawn.
          if state.free > 0 {
            state.free -= 1
            return true
          }
          state.waiting.append((ticket, continuation))
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      let continuation: CheckedContinuation<Bool, Never>? = state.withLock { state in
        guard let index = state.waiting.firstIndex(where: { $0.ticket == ticket }) else {
          state.cancelled.insert(ticket)
          return nil
        }
        return state.waiting.remove(at: index).continuation
      }
      continuation?.resume(returning: false)
    }
  }

  private func leave() {
    let next: CheckedContinuation<Bool, Never>? = state.withLock { state in
      guard !state.waiting.isEmpty else {
        state.free += 1
        return nil
      }
      return state.waiting.removeFirst().continuation
    }
    next?.resume(returning: true)
  }
}
