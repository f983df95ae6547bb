/// Text from outside, kept as it was sent, and the same as another one only if all of its bytes are.
///
/// `String`'s `==` takes canonically equivalent texts for one: `é` in one scalar and `e` with an accent after it. The database,
/// JSON and every other language tell them apart, so a name that was changed from one to the other has changed.
package struct ExactText: Sendable {
  package let text: String

  package init(_ text: String) {
    self.text = text
  }
}

extension ExactText: Hashable {
  package static func == (left: ExactText, right: ExactText) -> Bool {
    left.text.isExactly(right.text)
  }

  package func hash(into hasher: inout Hasher) {
    text.hashExactly(into: &hasher)
  }
}

extension ExactText: Comparable {
  /// In the order of the bytes, which is that of the code points.
  package static func < (left: ExactText, right: ExactText) -> Bool {
    left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
  }
}

extension ExactText: CustomStringConvertible {
  package var description: String { text }
}

extension ExactText: ExpressibleByStringInterpolation {
  package init(stringLiteral text: String) {
    self.init(text)
  }
}

/// As a plain string.
extension ExactText: Codable {
  package init(from decoder: any Decoder) throws {
    self.init(try decoder.singleValueContainer().decode(String.self))
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }
}

extension String {
  /// Whether both have the same bytes.
  package func isExactly(_ other: String) -> Bool { utf8.elementsEqual(other.utf8) }

  /// Feeds the bytes to a hasher, for types that are equal when their texts' bytes are.
  package func hashExactly(into hasher: inout Hasher) {
    for byte in utf8 { hasher.combine(byte) }
    // No text goes on as another begins.
    hasher.combine(0xFF as UInt8)
  }
}
