extension String {
  /// A member's name as one reference token of a JSON Pointer: `~` and `/` are escaped (RFC 6901, section 3). Code points
  /// count, not characters: a `/` with an accent on it is escaped, too.
  package var asPointerToken: String {
    // Nearly all names have neither.
    guard utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else {
      return self
    }
    var token = String.UnicodeScalarView()
    for scalar in unicodeScalars {
      switch scalar {
      case "~": token.append(contentsOf: "~0".unicodeScalars)
      case "/": token.append(contentsOf: "~1".unicodeScalars)
      default: token.append(scalar)
      }
    }
    return String(token)
  }
}
