import Identity

/// The first token of an installation, when its operator chooses it.
package struct BootstrapToken: Sendable {
  /// Why a text is refused; it repeats nothing of it.
  package struct Invalid: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
  }

  /// It opens everything, and there is no limit to how fast a copy of the database is tried: nobody may guess it.
  static let minimumLength = 24

  package let text: String

  /// - Throws: ``Invalid``.
  package init(_ text: String) throws(Invalid) {
    guard BearerToken.isWellFormed(text) else {
      throw Invalid(description: "may only have letters, digits and -._~+/= (RFC 6750)")
    }
    guard text.utf8.count >= Self.minimumLength else {
      throw Invalid(
        description:
          "must have at least \(Self.minimumLength) characters: openssl rand -hex 32 makes a good one"
      )
    }
    // It is found as a personal token; what looks like another kind would be looked for elsewhere, in vain.
    if let other = TokenFormat.all.map(\.prefix).first(where: {
      $0 != TokenFormat.personalAccess.prefix && text.hasPrefix($0)
    }) {
      throw Invalid(
        description:
          "must not begin with \(other), as another kind of token does: it would be taken for one")
    }
    guard !text.hasPrefix("eyJ"), !IdentityVerifier.looksLikeJWT(text) else {
      throw Invalid(
        description: "must not look like a JWT: it would be taken for an identity provider's token")
    }
    self.text = text
  }
}
