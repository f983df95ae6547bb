/// How evidence keeps a text that a client chose, such as a model's name: always, and as much of it as there is room for.
///
/// The library that gateways use and the server share this rule. A text that one of them shortened is never too long for
/// the other, so no client can escape its evidence by the name that it asks for. Lengths count Unicode code points, as JSON
/// Schema and PostgreSQL do.
package enum EvidenceText {
  package static let longestRoute = 200
  package static let longestProvider = 50
  package static let longestModel = ModelPattern.longest

  /// Stands at the end of a text that was cut.
  private static let ellipsis: Unicode.Scalar = "\u{2026}"
  /// Stands for a control character, and alone for an empty text.
  private static let replacement: Unicode.Scalar = "\u{FFFD}"

  /// The text with every control character replaced, at most `longest` code points of it, and never empty.
  package static func kept(_ text: String, longest: Int) -> String {
    var kept = String.UnicodeScalarView()
    for (place, scalar) in text.unicodeScalars.prefix(longest + 1).enumerated() {
      guard place < longest else {
        kept.removeLast()
        kept.append(ellipsis)
        break
      }
      kept.append(scalar.properties.generalCategory == .control ? replacement : scalar)
    }
    if kept.isEmpty { kept.append(replacement) }
    return String(kept)
  }
}
