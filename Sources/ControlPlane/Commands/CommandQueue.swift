import Domain
import Synchronization

/// The commands that arrived while the batch before was on its way, and the idempotency keys that are in use.
final class CommandQueue: Sendable {
  private struct State {
    var waiting = FairQueue<PendingCommand>(.batch)
    /// A large change that is prepared.
    var prepared: LargeChange?
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
      state.waiting.append(
        command, of: command.request.organizationID, weight: command.request.command.weight)
      defer { state.isDraining = true }
      return !state.isDraining
    }
  }

  /// Puts back a command that weighs more than it seemed to: it is next, alone.
  func putBack(_ command: PendingCommand, weight: Int) {
    state.withLock { state in
      state.waiting.putBack(
        command, of: command.request.organizationID, weight: weight,
        insteadOf: command.request.command.weight)
    }
  }

  /// How many commands wait.
  var count: Int { state.withLock { $0.waiting.count } }

  /// Takes those of the waiting commands that satisfy a condition; the others keep their places.
  func take(
    atMost limit: Int, where isWanted: (CommandRequest) -> Bool
  ) -> [PendingCommand] {
    state.withLock { state in
      guard !state.waiting.isEmpty, limit > 0 else { return [] }
      var places: [Int] = []
      for (place, command) in state.waiting.joinable
      where places.count < limit && isWanted(command.request) {
        places.append(place)
      }
      return state.waiting.take(at: places)
    }
  }

  /// What the writer does next.
  enum Work {
    case batch(FairQueue<PendingCommand>.Batch)
    /// The large change that was begun is prepared.
    case prepared(LargeChange)
  }

  /// Takes what is next; nil when there is nothing: then the next command that is appended starts the draining again.
  func takeWork() -> Work? {
    state.withLock { state in
      if let prepared = state.prepared {
        state.prepared = nil
        return .prepared(prepared)
      }
      if let batch = state.waiting.next() { return .batch(batch) }
      state.isDraining = false
      return nil
    }
  }

  /// A large change is being prepared beside the writer. Until it has ended, other commands of its workspace wait, and so do
  /// other large ones.
  func begin(_ command: PendingCommand) {
    state.withLock { $0.waiting.beginAlone(of: command.request.organizationID) }
  }

  /// - Returns: true when nobody is draining the queue: the caller has to see to it.
  func append(_ prepared: LargeChange) -> Bool {
    state.withLock { state in
      state.prepared = prepared
      defer { state.isDraining = true }
      return !state.isDraining
    }
  }

  /// The large change that was begun has been carried out, or given up.
  func endLargeChange() {
    state.withLock { $0.waiting.endAlone() }
  }
}
