/// Which models of a provider are meant: a name in which `*` stands for any bytes, or none. ASCII's capital and small letters
/// are the same, because upstreams take them for the same; everything else is compared byte by byte, as it was sent.
/// ``ModelTable`` does the matching.
package struct ModelPattern: Hashable, Sendable {
  /// In lower case, without a `*` beside another.
  package let description: String
  /// What is between the stars: one more than there are stars.
  let literals: [[UInt8]]

  /// How much of a name it says: of two that match, the one that says more is the more specific.
  var specificity: Int { literals.reduce(0) { $0 + $1.count } }
  var stars: Int { literals.count - 1 }

  /// Lends a name in lower case, without allocating.
  static func withLowercased<Value>(
    _ name: String, _ body: (UnsafeBufferPointer<UInt8>) -> Value
  ) -> Value {
    let count = name.utf8.count
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: count) { buffer in
      for (place, byte) in name.utf8.enumerated() {
        buffer[place] = byte.asciiLowercased
      }
      return body(UnsafeBufferPointer(buffer))
    }
  }
}

extension ModelPattern: LosslessStringConvertible {
  /// How long a pattern may be, in characters.
  package static let longest = 200

  /// Nil unless it is from 1 to 200 visible characters of ASCII.
  package init?(_ description: String) {
    let bytes = description.utf8.map(\.asciiLowercased)
    guard 1...Self.longest ~= bytes.count, bytes.allSatisfy({ 0x21...0x7E ~= $0 }) else {
      return nil
    }
    let parts = bytes.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false)
    // Of stars beside each other one is left: nothing between the first part and the last is empty.
    literals = parts.enumerated()
      .filter { place, part in !part.isEmpty || place == 0 || place == parts.count - 1 }
      .map { Array($0.element) }
    self.description = literals.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "*")
  }
}
