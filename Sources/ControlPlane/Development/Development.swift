package import Identity
package import Mail

/// What only a server for development has: whoever asks is signed in, and mail stays in the process.
package struct Development: Sendable {
  package let issuer: LocalIssuer
  package let mailbox: Mailbox

  package init(issuer: LocalIssuer, mailbox: Mailbox = Mailbox()) {
    self.issuer = issuer
    self.mailbox = mailbox
  }
}
