import Domain
import FoundationEssentials
import Mail
import Synchronization
import Testing

@testable import ControlPlane

@Suite struct InvitationMailTests {
  @Test(arguments: [
    ("Acme", "Acme"), ("Acme Inc.", "Acme Inc"),
    ("URGENT: verify at https://evil.example/login", "URGENT verify at https evil example login"),
    ("mail me@evil.example", "mail me evil example"), ("a\r\nBcc: x", "a Bcc x"),
    ("\u{202E}gro.live", "gro live"), ("://", "…"), ("  ", "…"), ("\"quoted\"", "quoted"),
    (String(repeating: "x", count: 200), String(repeating: "x", count: 59) + "…"),
  ])
  func `a name in a mail is short, and nothing in it can be read as a link`(
    name: String, shown: String
  ) {
    #expect(InvitationMail.quotable(name) == shown)
  }

  @Test func `the subject is always the same, and a workspace has its share of the queue`() throws {
    let queue = MailQueue(mailer: NoMail(), capacity: 10, share: 3) { _ in }
    let mail = InvitationMail(queue: queue, link: nil)
    let address = try #require(EmailAddress("ada@example.com"))
    let (loud, quiet) = (UUID(), UUID())
    let sent = (0..<5).map { _ in
      mail.send(
        "sbi_x", to: address, organization: "URGENT https://evil.example", role: .viewer, of: loud)
    }
    #expect(sent == [true, true, true, false, false])
    #expect(mail.send("sbi_x", to: address, organization: "Acme", role: .viewer, of: quiet))
    #expect(queue.pending == 4)
  }

  private struct NoMail: Mailer {
    func send(_ message: MailMessage) async throws(MailError) {
      throw .unavailable(reason: "there is no server")
    }
  }
}
