/// The few bytes of JSON that the floor itself writes (problems, access log), straight into a byte
/// array: RFC 8259 §7.
extension [UInt8] {
  /// Appends ASCII text as it is.
  package mutating func append(_ text: StaticString) {
    text.withUTF8Buffer { append(contentsOf: $0) }
  }

  /// Appends `text` as a quoted JSON string; quotes, backslashes and control characters are
  /// escaped.
  package mutating func append(jsonString text: String) {
    append(jsonUTF8: text.utf8)
  }

  /// Appends UTF-8 as a quoted JSON string.
  package mutating func append(jsonUTF8 text: some Sequence<UInt8>) {
    append(UInt8(ascii: "\""))
    defer { append(UInt8(ascii: "\"")) }
    // Nearly every text needs no escape, and is then copied at once.
    guard text.contains(where: Self.needsEscape) else { return append(contentsOf: text) }
    for byte in text {
      switch byte {
      case UInt8(ascii: "\""): append("\\\"")
      case UInt8(ascii: "\\"): append("\\\\")
      case 0..<0x20, 0x7F:
        append("\\u00")
        append(Self.hexDigits[Int(byte >> 4)])
        append(Self.hexDigits[Int(byte & 15)])
      default: append(byte)
      }
    }
  }

  private static func needsEscape(_ byte: UInt8) -> Bool {
    byte < 0x20 || byte == 0x7F || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
  }

  /// Appends `value` in decimal, at least `width` digits long.
  package mutating func append(decimal value: some BinaryInteger, width: Int = 1) {
    if value < 0 { append(UInt8(ascii: "-")) }
    var rest = UInt64(value.magnitude)
    var digits = 1
    var power: UInt64 = 10
    while digits < 20, rest >= power || digits < width {
      digits += 1
      let (next, overflows) = power.multipliedReportingOverflow(by: 10)
      if overflows { break }
      power = next
    }
    let start = count
    for _ in 0..<digits { append(UInt8(ascii: "0")) }
    for index in (start..<count).reversed() {
      self[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    }
  }

  static var hexDigits: StaticHexDigits { StaticHexDigits() }
}

/// The lower-case hexadecimal digits, indexed by value.
struct StaticHexDigits {
  subscript(value: Int) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + UInt8(value) : UInt8(ascii: "a") + UInt8(value - 10)
  }
}
