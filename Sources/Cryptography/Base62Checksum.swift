/// The CRC-32 of some characters in six digits of base62, most significant first: what ends every token and key, so that a
/// typing error, or a scanner's false find, is told without the database. It authenticates nothing.
package enum Base62Checksum {
  package static let count = 6
  package static let alphabet = Array(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

  package static func digits(of bytes: [UInt8]) -> [UInt8] {
    var sum = CRC32.checksum(bytes)
    var digits: [UInt8] = []
    for _ in 0..<count {
      digits.append(alphabet[Int(sum % 62)])
      sum /= 62
    }
    return digits.reversed()
  }

  /// Whether some characters are so many, followed by their checksum.
  package static func ends(_ bytes: some Sequence<UInt8>, of bodyCount: Int) -> Bool {
    let bytes = Array(bytes)
    guard bytes.count == bodyCount + count else { return false }
    return bytes.suffix(count).elementsEqual(digits(of: Array(bytes.prefix(bodyCount))))
  }
}
