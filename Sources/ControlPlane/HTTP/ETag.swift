/// An entity tag: RFC 9110 §8.8.3. Ours are strong; weak ones are only ever read.
package struct ETag: Equatable, Sendable, CustomStringConvertible {
  /// What stands between the quotes.
  package let value: String
  package let isWeak: Bool

  /// A strong tag of a resource's version.
  package init(version: Int64) {
    self.init(value: "\(version)")
  }

  /// - Precondition: `value` holds only what an entity tag may (`0x21`, `0x23–0x7E`, above `0x7F`).
  package init(value: String, isWeak: Bool = false) {
    precondition(value.utf8.allSatisfy(Self.isTagByte), "not an entity tag")
    self.value = value
    self.isWeak = isWeak
  }

  package var description: String { isWeak ? "W/\"\(value)\"" : "\"\(value)\"" }

  /// §8.8.3.2: the same, and neither is weak. For `If-Match`.
  package func stronglyMatches(_ other: ETag) -> Bool {
    !isWeak && !other.isWeak && value == other.value
  }

  /// §8.8.3.2: the same, weak or not. For `If-None-Match`.
  package func weaklyMatches(_ other: ETag) -> Bool {
    value == other.value
  }

  static func isTagByte(_ byte: UInt8) -> Bool {
    byte == 0x21 || (0x23...0x7E).contains(byte) || byte >= 0x80
  }
}

/// What `If-Match` and `If-None-Match` hold: `*` or a list of tags (RFC 9110 §13.1).
package enum ETagCondition: Equatable, Sendable {
  case any
  case tags([ETag])

  /// Reads the field's lines, joined as §5.3 says. Empty list elements are skipped (§5.6.1.2);
  /// commas and `W/` inside quotes are part of the tag. Nil when malformed, or when no tag is left.
  package init?(_ lines: [String]) {
    let bytes = Array(lines.joined(separator: ",").utf8)
    var index = 0
    func isAt(_ character: Unicode.Scalar) -> Bool {
      index < bytes.count && bytes[index] == UInt8(ascii: character)
    }
    func skipSpace() {
      while isAt(" ") || isAt("\t") { index += 1 }
    }
    skipSpace()
    if isAt("*") {
      index += 1
      skipSpace()
      guard index == bytes.count else { return nil }
      self = .any
      return
    }
    var tags: [ETag] = []
    while index < bytes.count {
      skipSpace()
      if isAt(",") {
        index += 1
        continue
      }
      if index == bytes.count { break }
      let isWeak = isAt("W")
      if isWeak {
        index += 1
        guard isAt("/") else { return nil }
        index += 1
      }
      guard isAt("\"") else { return nil }
      index += 1
      let start = index
      while index < bytes.count, ETag.isTagByte(bytes[index]) { index += 1 }
      guard isAt("\"") else { return nil }
      let value = String(decoding: bytes[start..<index], as: UTF8.self)
      tags.append(ETag(value: value, isWeak: isWeak))
      index += 1
      skipSpace()
      guard index == bytes.count || isAt(",") else { return nil }
    }
    guard !tags.isEmpty else { return nil }
    self = .tags(tags)
  }
}
