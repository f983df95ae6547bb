/// Which models of a provider are meant: a name in which `*` stands for any characters, or none. Capital and small letters
/// are the same, because upstreams take them for the same.
package struct ModelPattern: Hashable, Sendable {
  /// In lower case, without a `*` beside another.
  package let description: String
  /// What is between the stars: one more than there are stars.
  let literals: [[UInt8]]

  /// How much of a name it says: of two that match, the one that says more is the more specific.
  var specificity: Int { literals.reduce(0) { $0 + $1.count } }
  var stars: Int { literals.count - 1 }

  /// - Parameter name: in lower case, as ``lowercased(_:)`` makes it.
  func matches(_ name: some BidirectionalCollection<UInt8>) -> Bool {
    guard let first = literals.first, let last = literals.last else { return false }
    if literals.count == 1 { return name.elementsEqual(first) }
    guard name.count >= first.count + last.count, name.starts(with: first),
      name.suffix(last.count).elementsEqual(last)
    else { return false }
    var rest = name.dropFirst(first.count).dropLast(last.count)
    // The leftmost place for each: what is left for the others is then the most.
    for literal in literals.dropFirst().dropLast() {
      while !rest.starts(with: literal) {
        guard rest.count > literal.count else { return false }
        rest = rest.dropFirst()
      }
      rest = rest.dropFirst(literal.count)
    }
    return true
  }

  /// Lends a name in lower case, without allocating.
  static func withLowercased<Value>(
    _ name: String, _ body: (UnsafeBufferPointer<UInt8>) -> Value
  ) -> Value {
    let count = name.utf8.count
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: count) { buffer in
      for (place, byte) in name.utf8.enumerated() {
        buffer[place] = UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte
      }
      return body(UnsafeBufferPointer(buffer))
    }
  }

  static func lowercased(_ name: String) -> [UInt8] {
    name.utf8.map { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 ? $0 | 0x20 : $0 }
  }
}

extension ModelPattern: LosslessStringConvertible {
  /// How long a pattern may be, in characters.
  package static let longest = 200

  /// Nil unless it is from 1 to 200 visible characters of ASCII.
  package init?(_ description: String) {
    let bytes = Self.lowercased(description)
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
