import Synchronization

/// The commands that arrived while the batch before was on its way, in the order of arrival; and the idempotency keys
/// that are in use.
final class CommandQueue: Sendable {
  private struct State {
    var waiting: [PendingCommand] = []
    var isDraining = false
    var keysInUse: Set<IdempotencyClaim.ID> = []
  }

  /// How many commands one transaction carries at most.
  static let batchLimit = 256

  private let state = Mutex(State())

  /// Reserves a key for one request at a time.
  ///
  /// - Returns: false while another request holds it.
  func reserve(_ id: IdempotencyClaim.ID) -> Bool {
    state.withLock { $0.keysInUse.insert(id).inserted }
  }

  func release(_ id: IdempotencyClaim.ID) {
    state.withLock { _ = $0.keysInUse.remove(id) }
  }

  /// - Returns: true when nobody is draining the queue: the caller has to see to it.
  func append(_ command: PendingCommand) -> Bool {
    state.withLock { state in
      state.waiting.append(command)
      defer { state.isDraining = true }
      return !state.isDraining
    }
  }

  /// How many commands wait.
  var count: Int { state.withLock { $0.waiting.count } }

  /// Takes those of the waiting commands that satisfy a condition; the others keep their places.
  func take(
    atMost limit: Int, where isWanted: (CommandRequest) -> Bool
  ) -> [PendingCommand] {
    state.withLock { state in
      var taken: [PendingCommand] = []
      state.waiting.removeAll { command in
        guard taken.count < limit, isWanted(command.request) else { return false }
        taken.append(command)
        return true
      }
      return taken
    }
  }

  /// Takes the next batch; nil when there is none, and then whoever appends next starts the draining again.
  func takeBatch() -> [PendingCommand]? {
    state.withLock { state in
      guard !state.waiting.isEmpty else {
        state.isDraining = false
        return nil
      }
      guard state.waiting.count > Self.batchLimit else {
        defer { state.waiting = [] }
        return state.waiting
      }
      defer { state.waiting.removeFirst(Self.batchLimit) }
      return Array(state.waiting.prefix(Self.batchLimit))
    }
  }
}
