package import FoundationEssentials
import Synchronization

/// Delivers mails in the background, so that no request waits for a mail server.
///
/// What is due is tried in the order in which it came. A mail that waits for another attempt holds
/// up no other. The queue lives in memory: what it still holds when the process ends is lost.
package final class MailQueue: Sendable {
  private struct Entry {
    let id: Int
    let sender: UUID?
    let message: MailMessage
    var attempts = 0
    var due: ContinuousClock.Instant
  }

  private struct State {
    /// In the order of arrival; the one that is being sent stays in its place.
    var entries: [Entry] = []
    var lastID = 0
    var delivered = 0
    var failed = 0
    var isClosed = false
  }

  private let mailer: any Mailer
  private let capacity: Int
  private let share: Int
  private let delays: [Duration]
  private let onFailure: @Sendable (MailError) -> Void
  private let state = Mutex(State())
  private let wakeups: AsyncStream<Void>
  private let wakeup: AsyncStream<Void>.Continuation

  /// - Parameters:
  ///   - capacity: how many mails may wait.
  ///   - share: how many of one sender may wait, so that no sender fills the queue.
  ///   - delays: before the second attempt and those that follow.
  ///   - onFailure: called once for every mail that is given up.
  package init(
    mailer: any Mailer, capacity: Int = 1000, share: Int = 100,
    delays: [Duration] = [.seconds(1), .seconds(10), .seconds(60), .seconds(300)],
    onFailure: @escaping @Sendable (MailError) -> Void
  ) {
    self.mailer = mailer
    self.capacity = capacity
    self.share = share
    self.delays = delays
    self.onFailure = onFailure
    (wakeups, wakeup) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// How many mails the mailer accepted.
  package var delivered: Int { state.withLock { $0.delivered } }

  /// How many mails were given up.
  package var failed: Int { state.withLock { $0.failed } }

  /// How many mails wait, or are being sent.
  package var pending: Int { state.withLock { $0.entries.count } }

  /// Never waits.
  ///
  /// - Parameter sender: whose share of the queue the mail takes; nil for the program's own mail.
  /// - Returns: false, and the mail is not taken, when the queue or the sender's share is full, or its `run` has ended.
  package func enqueue(_ message: MailMessage, of sender: UUID? = nil) -> Bool {
    let isTaken = state.withLock { state in
      guard state.entries.count < capacity, !state.isClosed else { return false }
      if let sender {
        guard state.entries.lazy.filter({ $0.sender == sender }).count < share else { return false }
      }
      state.lastID += 1
      state.entries.append(
        Entry(id: state.lastID, sender: sender, message: message, due: .now))
      return true
    }
    if isTaken { wakeup.yield() }
    return isTaken
  }

  /// Delivers until its task is cancelled; then finishes the attempt that has begun, gives up the
  /// rest, and returns. To be called once.
  package func run() async {
    await withDiscardingTaskGroup { group in
      // Ends when the task is cancelled.
      for await _ in wakeups {
        while !Task.isCancelled, let entry = nextDue() {
          guard let due = await attempt(entry) else { continue }
          group.addTask {
            try? await Task.sleep(until: due, clock: .continuous)
            self.wakeup.yield()
          }
        }
      }
    }
    let rest = state.withLock { state in
      state.isClosed = true
      return state.entries
    }
    for entry in rest { _ = settle(entry, .unavailable(reason: "the process ended first")) }
  }

  private func nextDue() -> Entry? {
    let now = ContinuousClock.now
    return state.withLock { state in state.entries.first { $0.due <= now } }
  }

  /// - Returns: when to try again, if that is to be done.
  private func attempt(_ entry: Entry) async -> ContinuousClock.Instant? {
    do throws(MailError) {
      try await mailer.send(entry.message)
      return settle(entry, nil)
    } catch {
      return settle(entry, error)
    }
  }

  private func settle(_ entry: Entry, _ error: MailError?) -> ContinuousClock.Instant? {
    let due = state.withLock { state -> ContinuousClock.Instant? in
      guard let index = state.entries.firstIndex(where: { $0.id == entry.id }) else { return nil }
      if case .unavailable = error, entry.attempts < delays.count, !state.isClosed {
        let due = ContinuousClock.now + delays[entry.attempts]
        state.entries[index].attempts += 1
        state.entries[index].due = due
        return due
      }
      state.entries.remove(at: index)
      if error == nil { state.delivered += 1 } else { state.failed += 1 }
      return nil
    }
    if due == nil, let error { onFailure(error) }
    return due
  }
}
