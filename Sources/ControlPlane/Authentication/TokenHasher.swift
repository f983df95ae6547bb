import Cryptography
package import Domain
package import FoundationEssentials

/// Turns tokens into what the database keeps of them: HMAC-SHA-256 under a secret of the server's own, so that a copy
/// of the database opens nothing.
package struct TokenHasher: Sendable {
  private let pepper: HMACSHA256

  /// - Parameter pepper: at least 32 random bytes, the same on every replica and for as long as the tokens live.
  package init(pepper: [UInt8]) {
    precondition(pepper.count >= 32, "a pepper has at least 32 bytes")
    self.pepper = HMACSHA256(key: pepper)
  }

  /// 32 bytes.
  package func hash(_ token: String) -> [UInt8] {
    pepper.authenticationCode(for: token.utf8)
  }

  /// What the log keeps of a token.
  package func secret(_ token: String) -> TokenSecret {
    TokenSecret(hashBytes: hash(token), lastFour: String(token.suffix(4)))
  }

  /// A key for another purpose than tokens, derived so that one does not give away the other.
  package func derivedKey(for purpose: String) -> [UInt8] {
    pepper.authenticationCode(for: "derive:\(purpose)".utf8)
  }
}

extension TokenSecret {
  init(hashBytes: [UInt8], lastFour: String) {
    self.init(hash: Base64URL.encode(hashBytes), lastFour: lastFour)
  }

  /// The hash's 32 bytes.
  var hashBytes: [UInt8] {
    // What is not base64url matches no token.
    Base64URL.decode(hash) ?? []
  }
}

extension UUID {
  /// The first sixteen bytes of a token's hash name it without giving anything away.
  init(leading bytes: [UInt8]) {
    self = bytes.withUnsafeBytes { UUID(uuid: $0.loadUnaligned(as: uuid_t.self)) }
  }
}
