import FoundationEssentials
import JSON
import Logging
import Synchronization

/// Tells the control plane what this gateway runs: the last word wins, and is said a few times a second at most.
final class Acknowledger: Sendable {
  private struct Word: Equatable {
    var position: Int64?
    var refused: Refused?
  }

  private struct Refused: Equatable {
    let position: Int64
    let reason: String
  }

  private struct State {
    var word: Word?
    /// Counts words, so that one that was said while another came is not taken for that.
    var count = 0
  }

  private let name: String
  private let state = Mutex(State())
  private let signal = Signal()

  init(name: String) {
    self.name = name
  }

  /// The gateway runs this position, and has nothing to object to it.
  func runs(_ position: Int64) {
    say(Word(position: position, refused: nil))
  }

  /// The gateway goes on to run what it runs.
  func refuses(_ position: Int64, _ reason: String, running: Int64?) {
    say(
      Word(
        position: running, refused: Refused(position: position, reason: String(reason.prefix(500))))
    )
  }

  private func say(_ word: Word) {
    state.withLock {
      $0.word = word
      $0.count += 1
    }
    signal.raise()
  }

  /// Says what there is to say until its task is cancelled.
  func run(_ client: ControlPlaneClient, _ timing: Timing, _ counters: Counters, _ logger: Logger)
    async
  {
    var failures = 0
    for await _ in signal.raised {
      while let (word, count) = state.withLock({ state in state.word.map { ($0, state.count) } }) {
        do {
          try await client.acknowledge(json(word))
          failures = 0
          counters.count(\.acknowledgements)
          state.withLock { if $0.count == count { $0.word = nil } }
          try await Task.sleep(for: timing.acknowledgement)
        } catch {
          if Task.isCancelled { return }
          failures += 1
          logger.debug("An acknowledgement failed", metadata: ["error": "\(error)"])
          try? await Task.sleep(
            for: timing.backoff.delay(afterFailures: failures, atLeast: timing.acknowledgement))
        }
      }
    }
  }

  private func json(_ word: Word) -> JSONObject {
    var object = JSONObject()
    object.set("gateway", name)
    object.set("position", word.position ?? 0)
    if let refused = word.refused {
      var details = JSONObject()
      details.set("position", refused.position)
      details.set("reason", refused.reason)
      object.set("refused", details)
    }
    return object
  }
}

/// Wakes whoever waits. Raised often while nobody looks, it wakes once.
struct Signal: Sendable {
  let raised: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation

  init() {
    (raised, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  func raise() { continuation.yield() }
}
