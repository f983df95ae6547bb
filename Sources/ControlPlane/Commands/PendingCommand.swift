import Synchronization

/// A command that somebody waits for. It is answered exactly once, by whoever is first: the batch that carried it, or
/// the caller who gave up.
final class PendingCommand: Sendable {
  typealias Answer = Result<CommandAnswer, CommandError>

  private struct State {
    var continuation: CheckedContinuation<Answer, Never>?
    var answer: Answer?
    /// Whether a batch has decided it, so that the log may hold its events, now or soon.
    var isTaken = false
  }

  let request: CommandRequest
  private let state = Mutex(State())

  init(_ request: CommandRequest) {
    self.request = request
  }

  var isAnswered: Bool {
    state.withLock { $0.answer != nil }
  }

  /// Takes the command into a batch. From here on, a caller who gives up is not told that nothing happened.
  ///
  /// - Returns: false when the caller has given up already, or the command's deadline has passed: it must not be carried
  ///   out.
  func take() -> Bool {
    if request.deadline <= .now { answer(.failure(.unavailable)) }
    return state.withLock { state in
      guard state.answer == nil else { return false }
      state.isTaken = true
      return true
    }
  }

  /// The batch goes on without the command, which is taken into another one later.
  func putBack() {
    state.withLock { $0.isTaken = false }
  }

  /// Gives the answer, unless one was given before.
  func answer(_ answer: Answer) {
    finish { _ in answer }
  }

  /// Waits for the answer. A caller whose task is cancelled gets one at once, and a command that no batch has taken
  /// by then is not carried out.
  func result() async throws(CommandError) -> CommandAnswer {
    let answer = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let early = state.withLock { state in
          if state.answer == nil { state.continuation = continuation }
          return state.answer
        }
        if let early { continuation.resume(returning: early) }
      }
    } onCancel: {
      finish { .failure($0.isTaken ? .outcomeUnknown : .unavailable) }
    }
    return try answer.get()
  }

  private func finish(with answer: (State) -> Answer) {
    let (continuation, answer) = state.withLock { state in
      let final = state.answer ?? answer(state)
      state.answer = final
      defer { state.continuation = nil }
      return (state.continuation, final)
    }
    continuation?.resume(returning: answer)
  }
}
