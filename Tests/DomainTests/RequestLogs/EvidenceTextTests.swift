import Support
import Testing

@testable import Domain

@Suite struct EvidenceTextTests {
  @Test func `what fits is kept as it is`() {
    let longest = String(repeating: "ä", count: 200)
    for text in ["gpt-4o", " a ", "Cafe\u{301}", "\u{202E}x", longest, "👨‍👩‍👧‍👦"] {
      let kept = EvidenceText.kept(text, longest: 200)
      #expect(Array(kept.utf8) == Array(text.utf8), "\(text)")
    }
  }

  @Test func `what is too long is cut by its code points, and marked`() {
    // One character to the reader, and seven code points.
    let family = "👨‍👩‍👧‍👦"
    let kept = EvidenceText.kept(String(repeating: family, count: 200), longest: 200)
    #expect(kept.unicodeScalars.count == 200)
    #expect(kept.unicodeScalars.last == "\u{2026}")
    #expect(kept.unicodeScalars.first == family.unicodeScalars.first)
    #expect(EvidenceText.kept(String(repeating: "a", count: 201), longest: 200).utf8.count == 202)
    #expect(EvidenceText.kept("ab", longest: 1) == "\u{2026}")
  }

  @Test func `control characters are replaced, and nothing is empty`() {
    #expect(EvidenceText.kept("a\u{0}b\nc\r\nd\u{7F}\u{9F}", longest: 50) == "a�b�c��d��")
    #expect(EvidenceText.kept("", longest: 50) == "\u{FFFD}")
  }

  /// What the library sends, the server takes as it is.
  @Test func `what was kept once is kept as it is`() {
    var random = SeededGenerator(seed: 21)
    let alphabet: [Unicode.Scalar] = [
      "a", "\u{0}", "\n", "\u{85}", "\u{301}", "\u{200D}", "👩", "\u{2026}", "\u{FFFD}",
    ]
    for _ in 0..<2000 {
      let count = Int.random(in: 0...30, using: &random)
      let longest = Int.random(in: 1...20, using: &random)
      var scalars = String.UnicodeScalarView()
      for _ in 0..<count { scalars.append(alphabet.randomElement(using: &random) ?? "a") }
      let kept = EvidenceText.kept(String(scalars), longest: longest)
      #expect((1...longest).contains(kept.unicodeScalars.count))
      #expect(kept.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
      #expect(Array(EvidenceText.kept(kept, longest: longest).utf8) == Array(kept.utf8))
    }
  }
}
