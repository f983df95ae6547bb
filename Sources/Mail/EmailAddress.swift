/// An e-mail address that we are willing to send to.
///
/// Of what RFC 5321 (section 4.1.2) and RFC 6531 (section 3.3) allow, these are the addresses that people have: a local part
/// of atoms with single dots between them, whose characters beyond ASCII are letters, marks and digits, and a domain name. No
/// quoted local parts, no comments, no address literals; so an address has no character that means something else in SMTP or
/// in a header.
package struct EmailAddress: Sendable, Redacted {
  /// What is accepted, in words, for callers who gave something else.
  package static let rule = """
    must be an e-mail address such as ada@example.com: at most 254 bytes, 64 of them before the @, \
    of letters, digits and !#$%&'*+-/=?^_`{|}~ with single dots between them, and a domain name
    """

  /// The address as it was given: personal data, not for logs.
  package let text: String
  /// The part before the `@`, as it was given.
  let localPart: String
  /// The domain as DNS and every mail server know it: in ASCII (RFC 5890, section 2.3.2.1), in lower case.
  let domain: String

  /// - Returns: nil unless the text is such an address: a local part of at most 64 bytes, labels of
  ///   at most 63, 254 in all (RFC 5321, section 4.5.3.1, and erratum 1690 of RFC 3696).
  package init?(_ text: String) {
    guard text.utf8.count <= 254 else { return nil }
    let parts = text.utf8.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
    guard parts.count == 2, Self.isLocalPart(parts[0]),
      let domain = DomainName.ascii(String(Substring(parts[1])))
    else { return nil }
    self.text = text
    self.domain = domain
    localPart = String(Substring(parts[0]))
    guard transport.utf8.count <= 254 else { return nil }
  }

  /// What is compared, byte by byte, to tell whether two addresses are the same mailbox: in lower case, the domain in ASCII.
  ///
  /// A server may tell local parts apart by their case (RFC 5321, section 2.4), but none that
  /// matters does, and people do not. A letter that would turn into one of ASCII is no part of an address here, so nobody
  /// passes for somebody else by it.
  package var normalized: String { "\(InternationalText.lowercased(localPart))@\(domain)" }

  /// The address as it goes over the wire.
  var transport: String { "\(localPart)@\(domain)" }

  /// Whether only servers that know SMTPUTF8 (RFC 6531) can be given the address.
  var needsSMTPUTF8: Bool { !localPart.utf8.allSatisfy { $0 < 0x80 } }

  package var description: String { "<e-mail address>" }

  private static func isLocalPart(_ text: Substring.UTF8View) -> Bool {
    text.count <= 64
      && text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        .allSatisfy { atom in
          !atom.isEmpty
            && Substring(atom).unicodeScalars.allSatisfy { scalar in
              guard let byte = UInt8(exactly: scalar.value), byte < 0x80 else {
                return InternationalText.allows(scalar)
              }
              return byte.isLetterOrDigit || atomSymbols.contains(byte)
            }
        }
  }

  /// `atext` (RFC 5322, section 3.2.3) without letters and digits.
  private static let atomSymbols = Set("!#$%&'*+-/=?^_`{|}~".utf8)
}

/// Two are equal only if they are spelled alike; see ``EmailAddress/normalized``.
extension EmailAddress: Hashable {
  package static func == (left: EmailAddress, right: EmailAddress) -> Bool {
    left.text.utf8.elementsEqual(right.text.utf8)
  }

  package func hash(into hasher: inout Hasher) {
    for byte in text.utf8 { hasher.combine(byte) }
  }
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
