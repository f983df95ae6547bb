package import Identity
package import Mail

/// What only a server for development has: whoever asks is signed in, and mail stays in the process.
package struct Development: Sendable {
  package let issuer: LocalIssuer
  package let mailbox: Mailbox
  /// Whether requests may name any host, not only this machine.
  package let acceptsAnyHost: Bool

  package init(
    issuer: LocalIssuer, mailbox: Mailbox = Mailbox(), acceptsAnyHost: Bool = false
  ) {
    self.issuer = issuer
    self.mailbox = mailbox
    self.acceptsAnyHost = acceptsAnyHost
  }
}
