import FoundationEssentials
import Support
import Testing

@testable import Domain

@Suite struct ModelPatternTests {
  @Test(arguments: [
    ("gpt-4o", "gpt-4o", true), ("gpt-4o", "gpt-4o-mini", false), ("GPT-4o", "gpt-4O", true),
    ("gpt-4*", "gpt-4", true), ("gpt-4*", "gpt-4o-mini", true), ("gpt-4*", "gpt-3", false),
    ("*", "anything", true), ("*", "", true), ("*-mini", "gpt-4o-mini", true),
    ("*-mini", "-mini", true), ("*-mini", "mini", false), ("a*a", "a", false), ("a*a", "aa", true),
    ("a*b*c", "aXbYc", true), ("a*b*c", "acb", false), ("a*b*c", "abbc", true),
    ("a*bc*d", "abcbcd", true), ("a*bc*cd", "abcd", false), ("*b*", "abc", true),
    ("*b*", "ac", false), ("claude-*-latest", "claude-3-5-sonnet-latest", true),
    ("a**b", "ab", true), ("**", "x", true), ("*aab*", "aaab", true),
    ("*abab*ab", "abaabab", false),
    ("*abab*ab", "abaababab", true), ("*a*", "ÄaÄ", true), ("*", "日本語 model", true),
    ("*é", "caf\u{E9}", false),
  ])
  func `a star stands for anything`(pattern: String, name: String, matches: Bool) {
    // A pattern that is none matches nothing.
    #expect(Self.matches(ModelPattern(pattern), name) == matches)
  }

  @Test func `names are compared byte by byte, without any normalisation`() {
    // U+212A, the Kelvin sign, is a capital of k for Unicode.
    #expect(!Self.matches(ModelPattern("grok"), "gro\u{212A}"))
    #expect(!Self.matches(ModelPattern("cafe"), "cafe\u{301}"))
    #expect(Self.matches(ModelPattern("cafe*"), "cafe\u{301}"))
  }

  @Test(arguments: [("GPT-4*", "gpt-4*"), ("a**b***c", "a*b*c"), ("**", "*"), ("x", "x")])
  func `a pattern is written in one way`(pattern: String, canonical: String) {
    #expect(ModelPattern(pattern)?.description == canonical)
    #expect(ModelPattern(pattern) == ModelPattern(canonical))
  }

  @Test(arguments: ["", " ", "a b", "a\n", "ä", "a\u{0}", String(repeating: "a", count: 201)])
  func `what cannot be a name is no pattern`(pattern: String) {
    #expect(ModelPattern(pattern) == nil)
  }

  private static func matches(_ pattern: ModelPattern?, _ name: String) -> Bool {
    guard let pattern else { return false }
    let table = ModelMatchingTests.rules([pattern])
    return ModelMatchingTests.match(name, against: table).rule != nil
  }
}

/// Many patterns at once, and what matching costs.
@Suite struct ModelMatchingTests {
  private struct Meter: DecisionTrace {
    var comparisons = 0
    var rules: [RuleID] = []
    mutating func began(_ step: DecisionStep) {}
    mutating func looked(at rule: RuleID) { rules.append(rule) }
    mutating func compared() { comparisons += 1 }
  }

  static func rules(_ patterns: [ModelPattern]) -> RuleSet {
    let rules = patterns.enumerated().map {
      ($0.offset, EvaluationTests.rule(.model(provider: "openai", $0.element), .deny))
    }
    return RuleSet(Dictionary(uniqueKeysWithValues: rules.map { (EvaluationTests.id($0), $1) }))
  }

  static func match(
    _ name: String, against rules: RuleSet
  ) -> (rule: RuleID?, all: [RuleID], comparisons: Int) {
    var meter = Meter()
    let entry = rules.rule(
      forModel: name, of: "openai", at: EvaluationTests.time, &meter)
    return (entry?.id, meter.rules, meter.comparisons)
  }

  private static func patterns(_ texts: [String]) throws -> [ModelPattern] {
    try texts.map { try #require(ModelPattern($0)) }
  }

  @Test func `it finds all that a naive matcher finds, each once, in random tables`() throws {
    var random = SeededGenerator(seed: 20_261_128)
    for round in 0..<3_000 {
      // From words that overlap each other to words that hardly ever meet.
      let letters = ["a*", "ab*", "aab**", "abc*", "ab-*", "abcdefgh*"][round % 6]
      let texts = (0..<Int.random(in: 1...30, using: &random)).map { _ in
        Self.text(letters, 1...12, &random)
      }
      let patterns = try Self.patterns(texts)
      let rules = Self.rules(patterns)
      for _ in 0..<10 {
        let name = Self.text(letters.filter { $0 != "*" } + "A", 0...16, &random)
        let bytes = name.utf8.map(\.asciiLowercased)
        let expected = patterns.indices.filter {
          NaiveEvaluator.matches(Array(patterns[$0].description.utf8), bytes)
        }
        let found = Self.match(name, against: rules).all
        guard
          Set(found) != Set(expected.map { EvaluationTests.id($0) })
            || found.count != expected.count
        else { continue }
        Issue.record("\(name) against \(texts): \(found), but \(expected)")
        return
      }
    }
  }

  @Test func `bytes that are no text are compared like others`() throws {
    var random = SeededGenerator(seed: 7)
    let patterns = try Self.patterns(["*", "a*", "*a", "*a*a*", "*z", "a*z*"])
    let rules = Self.rules(patterns)
    for _ in 0..<2_000 {
      let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
        Bool.random(using: &random) ? UInt8(ascii: "a") : UInt8.random(in: 0...255, using: &random)
      }
      let name = String(decoding: bytes, as: UTF8.self)
      let lowercased = name.utf8.map(\.asciiLowercased)
      let expected = patterns.indices.filter {
        NaiveEvaluator.matches(Array(patterns[$0].description.utf8), lowercased)
      }
      #expect(
        Set(Self.match(name, against: rules).all) == Set(expected.map { EvaluationTests.id($0) }))
    }
  }

  /// The dearest tables that could be thought of, with the names that they are dearest for.
  static let adversaries: [(what: String, patterns: [String], name: String)] = {
    var random = SeededGenerator(seed: 22)
    let name = String(repeating: "a", count: 199) + "b"
    return [
      ("one pattern of stars", [String(repeating: "*a", count: 99) + "*n"], name),
      (
        "many that begin alike and end in their own way",
        (0..<1000).map { String(repeating: "*a", count: 97) + "*\($0)n" }, name
      ),
      ("words that do not occur", (0..<1000).map { "*w\($0)*" }, name),
      ("words within words", (1...150).map { "*\(String(repeating: "a", count: $0))*" }, name),
      (
        "words that nearly occur",
        (1...150).map { "*\(String(repeating: "a", count: $0))c*" }, name
      ),
      ("a word that repeats itself", ["*" + String(repeating: "a", count: 100) + "c*x"], name),
      (
        "Fibonacci's words, at which fall backs are longest",
        ["*abaababaabaababaababab*", "*abaababaabaab*x"],
        fibonacci(200)
      ),
      (
        "a branch at every step of a chain",
        (1...90).flatMap { depth in
          ["a", "ab", "b"].map {
            String(repeating: "*a", count: depth) + "*z\(depth)\($0)*"
          }
        }, name
      ),
      (
        "chains of their own for each",
        (0..<300).map { _ in
          (0..<90).map { _ in Bool.random(using: &random) ? "*a" : "*b" }.joined() + "*n"
        }, String(repeating: "ab", count: 100)
      ),
      ("ends of their own", (0..<1000).map { "*\($0)" }, name),
      ("beginnings of their own", (0..<1000).map { "a\($0)*b*c" }, name),
    ]
  }()

  @Test(arguments: adversaries.indices)
  func `what matching costs is bounded by the names' length and the number of patterns`(
    index: Int
  ) throws {
    let adversary = Self.adversaries[index]
    let patterns = try Self.patterns(adversary.patterns)
    let (rule, _, comparisons) = Self.match(adversary.name, against: Self.rules(patterns))
    let (n, count) = (adversary.name.utf8.count, patterns.count)
    #expect(comparisons <= (5 * count + 1) * n, "\(adversary.what)")
    let expected = patterns.indices.filter {
      NaiveEvaluator.matches(Array(patterns[$0].description.utf8), Array(adversary.name.utf8))
    }
    #expect((rule == nil) == expected.isEmpty, "\(adversary.what)")
  }

  @Test func `random tables stay within the bound, too`() throws {
    var random = SeededGenerator(seed: 3)
    for _ in 0..<500 {
      let texts = (0..<Int.random(in: 1...20, using: &random)).map { _ in
        Self.text("aab**", 1...200, &random)
      }
      let name = Self.text("aab", 0...200, &random)
      let cost = Self.match(name, against: Self.rules(try Self.patterns(texts))).comparisons
      #expect(cost <= (5 * texts.count + 1) * name.utf8.count)
    }
  }

  @Test func `thousands of patterns cost about what one costs, where their words do not occur`()
    throws
  {
    let name = String(repeating: "a", count: 199) + "b"
    let one = Self.match(name, against: Self.rules(try Self.patterns(["*w0*"]))).comparisons
    let words = (0..<5000).map { "*w\($0)*" }
    let many = Self.match(name, against: Self.rules(try Self.patterns(words))).comparisons
    #expect(many <= one + 1)
    // FAULTS.md row 22: five thousand like `*a*a*…N`, in whatever way they differ.
    let stars = (0..<5000).map { String(repeating: "*a", count: 95) + "*\($0)n" }
    #expect(Self.match(name, against: Self.rules(try Self.patterns(stars))).comparisons <= 4 * 200)
  }

  @Test func `a pattern costs the same with one star as with a hundred`() throws {
    let name = String(repeating: "a", count: 200)
    let few = Self.match(name, against: Self.rules(try Self.patterns(["*a*x"]))).comparisons
    let many = [String(repeating: "*a", count: 99) + "*x"]
    let cost = Self.match(name, against: Self.rules(try Self.patterns(many))).comparisons
    #expect(cost <= few + 200)
  }

  private static func fibonacci(_ length: Int) -> String {
    var (former, word) = ("b", "a")
    while word.utf8.count < length { (former, word) = (word, word + former) }
    return String(word.prefix(length))
  }

  private static func text(
    _ letters: String, _ count: ClosedRange<Int>, _ random: inout SeededGenerator
  ) -> String {
    let letters = Array(letters)
    return String(
      (0..<Int.random(in: count, using: &random)).map { _ in
        letters.randomElement(using: &random) ?? "a"
      })
  }
}
