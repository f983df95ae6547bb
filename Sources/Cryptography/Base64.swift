/// Base64 with padding (RFC 4648, section 4), as PEM and header fields have it.
package enum Base64 {
  package static func encode(_ bytes: [UInt8]) -> String {
    var text = Base64URL.encode(bytes).utf8.map { character in
      switch character {
      case UInt8(ascii: "-"): UInt8(ascii: "+")
      case UInt8(ascii: "_"): UInt8(ascii: "/")
      default: character
      }
    }
    while text.count % 4 != 0 { text.append(UInt8(ascii: "=")) }
    return String(decoding: text, as: UTF8.self)
  }

  /// The bytes of exactly the text that an encoder makes of them; nil for any other text.
  package static func decode(_ text: some StringProtocol) -> [UInt8]? {
    let characters = Array(text.utf8)
    let padding = characters.reversed().prefix { $0 == UInt8(ascii: "=") }.count
    guard characters.count % 4 == 0, padding <= 2 else { return nil }
    var body: [UInt8] = []
    for character in characters.dropLast(padding) {
      switch character {
      case UInt8(ascii: "+"): body.append(UInt8(ascii: "-"))
      case UInt8(ascii: "/"): body.append(UInt8(ascii: "_"))
      case UInt8(ascii: "-"), UInt8(ascii: "_"): return nil
      default: body.append(character)
      }
    }
    return Base64URL.decode(String(decoding: body, as: UTF8.self))
  }
}
