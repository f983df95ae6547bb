import Cryptography
import FoundationEssentials

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

  /// A key for another purpose than tokens, derived so that one does not give away the other.
  package func derivedKey(for purpose: String) -> [UInt8] {
    pepper.authenticationCode(for: "derive:\(purpose)".utf8)
  }
}

/// Random printable tokens.
package enum TokenGenerator {
  /// A personal access token of 256 random bits.
  package static func personalAccessToken() -> String {
    "sbp_" + Base64URL.encode(SecureRandom.bytes(32))
  }
}
