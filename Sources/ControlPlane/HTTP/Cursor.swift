import Cryptography

/// Seals the place where a page ended, so that the next request can go on there and nowhere else.
///
/// A cursor is Base64URL(payload ‖ first 16 bytes of HMAC-SHA256(scope length ‖ scope ‖ payload)).
/// Callers cannot read more out of it than they were shown, cannot make one, and cannot use it with
/// another tenant, endpoint or filter: those are the scope.
package struct CursorSealer: Sendable {
  private static let tagLength = 16
  /// No payload of ours is longer; a longer cursor is not looked at.
  private static let maximumLength = 1024

  private let authenticator: HMACSHA256

  /// - Parameter key: 32 random bytes, the same on every replica.
  package init(key: [UInt8]) {
    precondition(key.count >= 32, "a cursor key has at least 32 bytes")
    authenticator = HMACSHA256(key: key)
  }

  /// The cursor for `payload` within `scope`.
  package func seal(_ payload: [UInt8], scope: String) -> String {
    Base64URL.encode(payload + tag(payload, scope))
  }

  /// The payload of a cursor made for `scope`.
  ///
  /// - Throws: `invalid-request` that names the parameter `cursor`, whatever is wrong with it.
  package func open(_ cursor: String, scope: String) throws(Problem) -> [UInt8] {
    guard cursor.utf8.count <= Self.maximumLength, let bytes = Base64URL.decode(cursor),
      bytes.count >= Self.tagLength
    else { throw Self.invalid }
    let payload = Array(bytes.dropLast(Self.tagLength))
    guard constantTimeEquals(Array(bytes.suffix(Self.tagLength)), tag(payload, scope)) else {
      throw Self.invalid
    }
    return payload
  }

  private func tag(_ payload: [UInt8], _ scope: String) -> [UInt8] {
    // The length keeps scope and payload apart.
    let length = UInt32(scope.utf8.count)
    let prefix = (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32($0))) }
    let code = authenticator.authenticationCode(for: prefix + scope.utf8 + payload)
    return Array(code.prefix(Self.tagLength))
  }

  private static let invalid = Problem.invalid([
    .init(
      .parameter("cursor"), "invalid",
      "not a next_cursor of this list with these filters")
  ])
}
