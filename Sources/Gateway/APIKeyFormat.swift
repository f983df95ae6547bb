import Cryptography

/// What an API key looks like: `pk_live_` or `pk_test_`, 30 random base62 characters, and their CRC-32 in six more.
enum APIKeyFormat {
  private static let alphabet = Array(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

  /// Tells typing errors, and whatever else is no key, before it is hashed.
  static func matches(_ text: String) -> Bool {
    guard text.hasPrefix("pk_live_") || text.hasPrefix("pk_test_") else { return false }
    let body = Array(text.utf8.dropFirst(8))
    guard body.count == 36 else { return false }
    var sum = CRC32.checksum(Array(body.prefix(30)))
    for character in body.suffix(6).reversed() {
      guard character == alphabet[Int(sum % 62)] else { return false }
      sum /= 62
    }
    return true
  }
}
