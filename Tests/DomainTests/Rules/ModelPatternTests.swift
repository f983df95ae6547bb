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
    ("a**b", "ab", true), ("**", "x", true),
  ])
  func `a star stands for anything`(pattern: String, name: String, matches: Bool) throws {
    let pattern = try #require(ModelPattern(pattern))
    #expect(pattern.matches(ModelPattern.lowercased(name)) == matches)
  }

  @Test(arguments: [("GPT-4*", "gpt-4*"), ("a**b***c", "a*b*c"), ("**", "*"), ("x", "x")])
  func `a pattern is written in one way`(pattern: String, canonical: String) {
    #expect(ModelPattern(pattern)?.description == canonical)
    #expect(ModelPattern(pattern) == ModelPattern(canonical))
  }

  @Test(arguments: ["", " ", "a b", "a\n", "ä", String(repeating: "a", count: 201)])
  func `what cannot be a name is no pattern`(pattern: String) {
    #expect(ModelPattern(pattern) == nil)
  }
}
