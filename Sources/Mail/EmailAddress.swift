/// An e-mail address that we are willing to send to.
///
/// Of what RFC 5321 (section 4.1.2) allows, these are the addresses that people have: a local part
/// of ASCII atoms with single dots between them, and a domain name. No quoted local parts, no
/// comments, no address literals, no UTF-8 (RFC 6531); so an address has no character that means
/// something else in SMTP or in a header.
package struct EmailAddress: Sendable, Hashable, Redacted {
  /// What is accepted, in words, for whoever gave something else.
  package static let rule = """
    must be an e-mail address such as ada@example.com: at most 254 characters, 64 of them before \
    the @, ASCII only, without quotes, spaces, comments or an IP address
    """

  /// The address as it was given: personal data, not for logs.
  package let text: String

  /// - Returns: nil unless the text is such an address: a local part of at most 64 bytes, labels of
  ///   at most 63, 254 in all (RFC 5321, section 4.5.3.1, and erratum 1690 of RFC 3696).
  package init?(_ text: String) {
    guard text.utf8.count <= 254 else { return nil }
    let parts = text.utf8.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
    guard parts.count == 2, Self.isLocalPart(parts[0]), Self.isDomain(parts[1]) else { return nil }
    self.text = text
  }

  /// In lower case: what is compared to tell whether two addresses are the same mailbox.
  ///
  /// A server may tell local parts apart by their case (RFC 5321, section 2.4), but none that
  /// matters does, and people do not.
  package var normalized: String { text.lowercased() }

  /// The part behind the `@`, as it was given.
  var domain: String { String(text[text.index(after: text.firstIndex(of: "@")!)...]) }

  package var description: String { "<e-mail address>" }

  private static func isLocalPart(_ text: Substring.UTF8View) -> Bool {
    text.count <= 64
      && text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        .allSatisfy { atom in
          !atom.isEmpty && atom.allSatisfy { $0.isLetterOrDigit || atomSymbols.contains($0) }
        }
  }

  private static func isDomain(_ text: Substring.UTF8View) -> Bool {
    let labels = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard labels.count > 1 || Substring(text).lowercased() == "localhost" else { return false }
    let hyphen = UInt8(ascii: "-")
    return labels.allSatisfy { label in
      (1...63).contains(label.count) && label.first != hyphen && label.last != hyphen
        && label.allSatisfy { $0.isLetterOrDigit || $0 == hyphen }
    }
      // An address of IP version 4, which needs brackets, is not a domain name.
      && labels.last?.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } == false
  }

  /// `atext` (RFC 5322, section 3.2.3) without letters and digits.
  private static let atomSymbols = Set("!#$%&'*+-/=?^_`{|}~".utf8)
}

extension UInt8 {
  /// Whether it is one in ASCII.
  var isLetterOrDigit: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: false
    }
  }
}
