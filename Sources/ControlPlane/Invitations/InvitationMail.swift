import Domain
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
  /// - Returns: false when too much mail waits already.
  func send(
    _ token: String, to email: EmailAddress, organization: String, role: Role
  ) -> Bool {
    let how =
      link.map { "To accept, sign in and open\n\n    \($0)\(token)\n" }
      ?? "To accept, sign in and send this token to POST /v1/invitations/accept:\n\n    \(token)\n"
    return queue.enqueue(
      MailMessage(
        to: email, subject: "You are invited to \(organization)",
        text: """
          You are invited to join \(organization) on Signalbox as \(role.rawValue).

          \(how)
          The invitation is good for seven days and for this address only. If you do not know what
          this is about, you need not do anything.
          """))
  }
}
