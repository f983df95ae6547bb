import Glibc
import Synchronization

/// A mail to one recipient, in plain text.
package struct MailMessage: Sendable, Equatable, Redacted {
  package let to: EmailAddress
  /// One line; control characters in it become spaces.
  package let subject: String
  /// Any text; whatever ends its lines is sent as CRLF.
  package let text: String

  package init(to: EmailAddress, subject: String, text: String) {
    self.to = to
    self.subject = subject
    self.text = text
  }

  // The text may hold a link that lets its owner in.
  package var description: String { "<mail>" }
}

/// Hands mails to whoever delivers them.
package protocol Mailer: Sendable {
  /// Tries once. An attempt that has begun is finished, even when the task is cancelled.
  ///
  /// - Throws: `MailError` unless the mail was accepted. After `unavailable` it may have been: when
  ///   the connection was lost before the answer, a second attempt delivers it twice.
  func send(_ message: MailMessage) async throws(MailError)
}

/// Why a mail was not sent. It names neither the recipient nor anything of the mail, and no secret.
package enum MailError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The server refused for good: its reply code, 500 to 599 (RFC 5321, section 4.2.1).
  case refused(code: Int)
  /// An address has letters beyond ASCII before its `@`, and the server does not offer SMTPUTF8 (RFC 6531).
  case addressUnsupported
  /// A later attempt may succeed: no connection, no answer, no TLS, or a reply from 400 to 499.
  case unavailable(reason: String)

  package var description: String {
    switch self {
    case .refused(let code): "the mail server refused for good, with \(code)"
    case .addressUnsupported:
      "the mail server does not offer SMTPUTF8, which addresses with letters beyond ASCII need"
    case .unavailable(let reason): "the mail server is unavailable: \(reason)"
    }
  }
}

/// Takes mails and keeps the newest of them in memory, for development: nothing leaves the process.
package final class Mailbox: Mailer {
  /// A mail, and when it came.
  package struct Item: Sendable, Equatable {
    /// From 1 on, in the order in which the mails came.
    package let id: Int64
    /// Microseconds since the Unix epoch.
    package let receivedAt: Int64
    package let message: MailMessage
  }

  private struct State {
    var items: [Item] = []
    var lastID: Int64 = 0
  }

  private let capacity: Int
  private let state = Mutex(State())

  /// - Parameter capacity: how many mails are kept.
  package init(capacity: Int = 100) {
    self.capacity = capacity
  }

  /// Newest first.
  package var messages: [Item] { state.withLock { $0.items.reversed() } }

  /// Never throws.
  package func send(_ message: MailMessage) async {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let now = Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    state.withLock { state in
      state.lastID += 1
      state.items.append(Item(id: state.lastID, receivedAt: now, message: message))
      if state.items.count > capacity { state.items.removeFirst() }
    }
  }
}

/// A value whose contents must not get into a log by accident: neither interpolation nor `dump` nor
/// the description of a value that holds it shows more than its `description`.
package protocol Redacted: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable
{}

extension Redacted {
  package var debugDescription: String { description }

  package var customMirror: Mirror { Mirror(self, children: []) }
}
