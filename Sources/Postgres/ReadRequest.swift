import Synchronization

/// One caller's reads, answered exactly once: by a connection, a cancellation, or a deadline.
final class ReadRequest: Sendable {
  typealias Answer = Result<[Rows], PostgresError>

  /// How often the request was sent in vain.
  struct Attempt: Sendable {
    let request: ReadRequest
    var failures = 0

    init(_ request: ReadRequest) { self.request = request }
  }

  private enum State {
    case new
    case waiting(CheckedContinuation<Answer, Never>)
    case over
  }

  let queries: [Query]
  let deadline: ContinuousClock.Instant
  private let state = Mutex(State.new)

  init(_ queries: [Query], deadline: ContinuousClock.Instant) {
    self.queries = queries
    self.deadline = deadline
  }

  var isOver: Bool { state.withLock { if case .over = $0 { true } else { false } } }

  /// - Returns: false when it was cancelled before, and is answered.
  func wait(_ continuation: CheckedContinuation<Answer, Never>) -> Bool {
    let waits = state.withLock { state in
      guard case .new = state else { return false }
      state = .waiting(continuation)
      return true
    }
    if !waits { continuation.resume(returning: .failure(PostgresError(.cancelled))) }
    return waits
  }

  func finish(_ answer: Answer) {
    let continuation = state.withLock { state -> CheckedContinuation<Answer, Never>? in
      defer { state = .over }
      if case .waiting(let continuation) = state { return continuation }
      return nil
    }
    continuation?.resume(returning: answer)
  }
}
