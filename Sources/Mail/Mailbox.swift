import Glibc
import Synchronization

/// Takes mails and keeps the newest of them in memory, for development: nothing leaves the process.
package final class Mailbox: Mailer {
  /// A mail, and when it came.
  package struct Item: Sendable, Equatable {
    /// From 1 on, in the order in which the mails came.
    package let id: Int
    /// Microseconds since the epoch.
    package let receivedAt: Int64
    package let message: MailMessage
  }

  private struct State {
    var items: [Item] = []
    var count = 0
  }

  private let capacity: Int
  private let state = Mutex(State())

  /// - Parameter capacity: how many mails are kept.
  package init(capacity: Int = 100) {
    self.capacity = capacity
  }

  /// Newest first.
  package var messages: [Item] { state.withLock { $0.items.reversed() } }

  package func send(_ message: MailMessage) async throws(MailError) {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let now = Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    state.withLock { state in
      state.count += 1
      state.items.append(Item(id: state.count, receivedAt: now, message: message))
      if state.items.count > capacity { state.items.removeFirst() }
    }
  }
}
