/// What a text may be. Lengths count Unicode code points, as JSON Schema does.
package struct TextRules: Sendable {
  package var length: ClosedRange<Int>
  /// Whether line breaks and tabs may stand in it.
  package var allowsLines: Bool
  /// Whether spaces may stand at its ends.
  package var allowsOuterSpaces: Bool
  /// Whether people tell things apart by it: it has to show something, and nothing in it may be hidden or turn the text
  /// around it.
  package var isName: Bool

  package init(
    _ length: ClosedRange<Int>, allowsLines: Bool = false, allowsOuterSpaces: Bool = true,
    isName: Bool = false
  ) {
    self.length = length
    self.allowsLines = allowsLines
    self.allowsOuterSpaces = allowsOuterSpaces
    self.isName = isName
  }

  /// The text to keep, or what is wrong with it.
  func check(_ text: String) -> Result<String, Failure> {
    let scalars = text.unicodeScalars
    for scalar in scalars where isControl(scalar) {
      return .failure(
        Failure(code: "control-character", detail: "must not contain control characters"))
    }
    guard scalars.count >= length.lowerBound else {
      return .failure(
        Failure(code: "too-short", detail: "must have at least \(length.lowerBound) characters"))
    }
    guard scalars.count <= length.upperBound else {
      return .failure(
        Failure(code: "too-long", detail: "must have at most \(length.upperBound) characters"))
    }
    if !allowsOuterSpaces, isSpace(scalars.first) || isSpace(scalars.last) {
      return .failure(
        Failure(code: "outer-space", detail: "must not begin or end with a space"))
    }
    if isName, let failure = Self.nameFailure(scalars) { return .failure(failure) }
    return .success(text)
  }

  struct Failure: Error {
    let code: String
    let detail: String
  }

  private static func nameFailure(_ scalars: String.UnicodeScalarView) -> Failure? {
    // Nearly all names are plain: they are settled without asking Unicode.
    if scalars.allSatisfy({ 0x20...0x7E ~= $0.value }) {
      return scalars.contains { $0 != " " } ? nil : .invisible
    }
    if let hidden = scalars.first(where: \.isHidden) {
      let number = String(hidden.value, radix: 16, uppercase: true)
      return Failure(
        code: "hidden-character",
        detail: """
          must not contain U+\(String(repeating: "0", count: max(0, 4 - number.count)))\(number): \
          characters that cannot be seen, turn the direction of text or are not assigned are not \
          allowed in names
          """)
    }
    return scalars.contains(where: \.isVisible) ? nil : .invisible
  }

  private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x09, 0x0A, 0x0D: !allowsLines
    case 0..<0x20, 0x7F..<0xA0: true
    default: false
    }
  }

  private func isSpace(_ scalar: Unicode.Scalar?) -> Bool {
    guard let scalar else { return false }
    return scalar == " " || scalar.value >= 0x80 && scalar.properties.isWhitespace
  }
}

extension TextRules.Failure {
  fileprivate static let invisible = Self(
    code: "invisible", detail: "must have a character that can be seen")
}

extension Unicode.Scalar {
  /// Whether it has no business in a name: it turns the direction of text (UAX #9), breaks lines, hides, or means nothing
  /// that everybody agrees on.
  fileprivate var isHidden: Bool {
    switch properties.generalCategory {
    case .lineSeparator, .paragraphSeparator, .control, .surrogate, .privateUse, .unassigned: true
    case .format:
      // Joiners shape the letters of some scripts and hold emoji together, and tags make flags.
      switch value {
      case 0x200C, 0x200D, 0xE0020...0xE007F: false
      default: properties.isBidiControl || properties.isDefaultIgnorableCodePoint
      }
    default: false
    }
  }

  /// Whether it shows by itself: neither a space, nor a filler, nor a mark that needs a letter.
  fileprivate var isVisible: Bool {
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .format: false
    default:
      // U+2800 is a Braille cell without dots.
      !properties.isWhitespace && !properties.isDefaultIgnorableCodePoint && value != 0x2800
    }
  }
}
