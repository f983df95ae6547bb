import Domain
import FoundationEssentials
package import Mail

/// The mail by which somebody hears of an invitation.
package struct InvitationMail: Sendable {
  private let queue: MailQueue
  /// Where the dashboard answers invitations; the token is appended.
  private let link: String?

  /// - Parameter link: such as `https://app.example.com/invitations#`; nil when there is no dashboard.
  package init(queue: MailQueue, link: String?) {
    self.queue = queue
    self.link = link
  }

  /// Queues the mail: it is sent after the invitation is committed, and sent again until it is delivered.
  ///
  /// The subject is always the same, and the workspace's name stands in the text only, short and without anything that a
  /// mail program would make a link of: the name is written by whoever invites, and must not speak for us.
  ///
  /// - Parameter workspace: whose share of the queue the mail takes.
  /// - Returns: false when too much mail waits already, of all or of the workspace.
  func send(
    _ token: String, to email: EmailAddress, organization: String, role: Role, of workspace: UUID
  ) -> Bool {
    let name = Self.quotable(organization)
    let how =
      link.map { "To accept, sign in and open\n\n    \($0)\(token)\n" }
      ?? "To accept, sign in and send this token to POST /v1/invitations/accept:\n\n    \(token)\n"
    return queue.enqueue(
      MailMessage(
        to: email, subject: "You are invited to a workspace on Signalbox",
        text: """
          You are invited to join the workspace "\(name)" on Signalbox as \(role.rawValue).

          \(how)
          The invitation is good for seven days and for this address only. If you do not know what
          this is about, you need not do anything.
          """), of: workspace)
  }

  /// How much of a name a mail shows, in characters.
  private static let maxName = 60

  /// A name without links, addresses, quotes and line breaks, and at most sixty characters of it.
  static func quotable(_ name: String) -> String {
    var words: [Substring] = []
    // What stands between these could be read as a link, or as the end of the quotation.
    for word in name.split(whereSeparator: {
      $0.isWhitespace || $0.isNewline || "/\\:@\"<>[](){}".contains($0)
    }) {
      // A point inside a word makes it a domain; at its end it makes an abbreviation.
      words += word.split(separator: ".", omittingEmptySubsequences: true)
    }
    let plain = words.joined(separator: " ").filter { character in
      character.unicodeScalars.allSatisfy {
        $0.properties.generalCategory != .control && $0.properties.generalCategory != .format
      }
    }
    guard !plain.isEmpty else { return "…" }
    return plain.count > maxName ? "\(plain.prefix(maxName - 1))…" : plain
  }
}
