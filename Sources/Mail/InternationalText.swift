/// The characters beyond ASCII that addresses may have.
enum InternationalText {
  /// Letters, marks and digits that stay what they are when they are compared: the `LetterDigits` of RFC 5892 (section 2.1)
  /// that are not `Unstable` (section 2.2), in either case. What looks like another character by compatibility (a full-width
  /// or a mathematical letter) is none of them, nor is a letter whose small form is one of ASCII, such as the Kelvin sign.
  static func allows(_ scalar: Unicode.Scalar) -> Bool {
    guard scalar.value >= 0x80 else { return false }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
      .nonspacingMark, .spacingMark, .decimalNumber:
      break
    default: return false
    }
    return scalar.properties.lowercaseMapping.unicodeScalars.allSatisfy {
      $0.value >= 0x80 && isStable($0)
    }
  }

  /// Scalar by scalar, so that what is written in one address has no effect on how another part of it is compared.
  static func lowercased(_ text: String) -> String {
    var lower = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      lower.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
    }
    return String(lower)
  }

  /// Sharp s and final sigma are letters of their own (RFC 5892, section 2.6), although case folding changes them.
  private static func isStable(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "\u{DF}" || scalar == "\u{3C2}" || !scalar.properties.changesWhenNFKCCaseFolded
  }
}
