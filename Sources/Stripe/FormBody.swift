/// Parameters as Stripe takes them: `application/x-www-form-urlencoded`, nested ones as `metadata[organization_id]`.
struct FormBody: Sendable {
  private(set) var bytes: [UInt8] = []

  init(_ parameters: [(name: String, value: String)]) {
    for (name, value) in parameters {
      if !bytes.isEmpty { bytes.append(UInt8(ascii: "&")) }
      append(name)
      bytes.append(UInt8(ascii: "="))
      append(value)
    }
  }

  /// RFC 3986's unreserved characters stand for themselves, everything else is percent-encoded: also spaces, for which
  /// readers disagree about `+`.
  private mutating func append(_ text: String) {
    let digits = Array("0123456789ABCDEF".utf8)
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "~"):
        bytes.append(byte)
      default:
        bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
  }
}
