package import HTTPTypes

/// The caller's name for one attempt at a change: `Idempotency-Key`
/// (draft-ietf-httpapi-idempotency-key-header). Repeats carry the same one.
package struct IdempotencyKey: Hashable, Sendable {
  /// 1 to 255 visible ASCII characters and, if it was sent in quotes, spaces.
  package let value: String

  /// Reads a structured-field string (RFC 8941 §3.3.3) or the same text without quotes.
  ///
  /// - Returns: nil when the header field is absent.
  /// - Throws: `malformed-header`.
  package static func read(_ headers: HTTPFields) throws(Problem) -> IdempotencyKey? {
    let lines = headers[values: .idempotencyKey]
    guard let line = lines.first else { return nil }
    guard lines.count == 1, let key = IdempotencyKey(line) else {
      throw .header(
        HTTPField.Name.idempotencyKey.rawName,
        "expected 1 to 255 visible ASCII characters, bare or in double quotes")
    }
    return key
  }

  package init?(_ header: String) {
    let bytes = Array(Substring(header).trimmed.utf8)
    var value: [UInt8] = []
    if bytes.first == UInt8(ascii: "\"") {
      guard bytes.count >= 2, bytes.last == UInt8(ascii: "\"") else { return nil }
      var rest = bytes.dropFirst().dropLast()
      while let byte = rest.popFirst() {
        switch byte {
        case UInt8(ascii: "\\"):
          guard let escaped = rest.popFirst(),
            escaped == UInt8(ascii: "\\") || escaped == UInt8(ascii: "\"")
          else { return nil }
          value.append(escaped)
        case UInt8(ascii: "\""): return nil
        case 0x20...0x7E: value.append(byte)
        default: return nil
        }
      }
    } else {
      // A comma or semicolon would be a list or a parameter, which the field does not have.
      let isBare = bytes.allSatisfy {
        (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: ",")
          && $0 != UInt8(ascii: ";")
      }
      guard isBare else { return nil }
      value = bytes
    }
    guard (1...255).contains(value.count) else { return nil }
    self.value = String(decoding: value, as: UTF8.self)
  }
}
