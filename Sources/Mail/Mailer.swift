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
  /// A later attempt may succeed: no connection, no answer, no TLS, or a reply from 400 to 499.
  case unavailable(reason: String)
  /// No attempt will succeed before somebody changes the configuration, or an account at the server.
  case misconfigured(reason: String)

  /// Whether it makes sense to try again.
  package var isTransient: Bool {
    switch self {
    case .unavailable: true
    case .refused, .misconfigured: false
    }
  }

  package var description: String {
    switch self {
    case .refused(let code): "the mail server refused the mail for good, with \(code)"
    case .unavailable(let reason): "the mail server is unavailable: \(reason)"
    case .misconfigured(let reason): "mail is misconfigured: \(reason)"
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
