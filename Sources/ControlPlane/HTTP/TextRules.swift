/// What a text may be. Lengths count Unicode code points, as JSON Schema does.
package struct TextRules: Sendable {
  package var length: ClosedRange<Int>
  /// Whether line breaks and tabs may stand in it.
  package var allowsLines: Bool
  /// Whether spaces may stand at its ends.
  package var allowsOuterSpaces: Bool

  package init(
    _ length: ClosedRange<Int>, allowsLines: Bool = false, allowsOuterSpaces: Bool = true
  ) {
    self.length = length
    self.allowsLines = allowsLines
    self.allowsOuterSpaces = allowsOuterSpaces
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
    return .success(text)
  }

  struct Failure: Error {
    let code: String
    let detail: String
  }

  private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x09, 0x0A, 0x0D: !allowsLines
    case 0..<0x20, 0x7F..<0xA0: true
    default: false
    }
  }

  private func isSpace(_ scalar: Unicode.Scalar?) -> Bool {
    scalar == " " || scalar == "\u{A0}"
  }
}
