import FoundationEssentials
import Support
import Testing

@testable import Domain

@Suite struct ExactTextTests {
  /// Pairs that `String` takes for the same text, and nobody else does.
  static let pairs: [(String, String)] = [
    ("Cafe\u{301}", "Caf\u{E9}"), ("\u{212A}", "K"), ("\u{212B}", "\u{C5}"), ("\u{37E}", ";"),
    ("\u{1100}\u{1161}", "\u{AC00}"), ("q\u{307}\u{323}", "q\u{323}\u{307}"),
  ]

  @Test(arguments: pairs)
  func `texts with other bytes are other texts`(one: String, other: String) {
    #expect(one == other, "the pair shows nothing")
    #expect(ExactText(one) != ExactText(other))
    #expect(Set([ExactText(one), ExactText(other)]).count == 2)
    #expect((ExactText(one) < ExactText(other)) != (ExactText(other) < ExactText(one)))
    #expect(ExactText(one) == ExactText(String(Array(one))))
    #expect(ExactText(one).hashValue == ExactText(String(Array(one))).hashValue)
  }

  @Test func `the order is that of the bytes`() {
    let texts: [ExactText] = ["", "A", "B", "a", "aa", "\u{E9}", "\u{FFFD}", "\u{10000}"]
    #expect(texts.reversed().sorted() == texts)
  }

  @Test(arguments: pairs)
  func `a text comes back as it went out, as a plain string`(one: String, other: String) throws {
    for text in [one, other] {
      let written = try JSONEncoder().encode([ExactText(text)])
      #expect(try JSONDecoder().decode([String].self, from: written).first?.isExactly(text) == true)
      #expect(try JSONDecoder().decode([ExactText].self, from: written) == [ExactText(text)])
    }
  }

  // MARK: What deciders do about it

  @Test(arguments: pairs)
  func `a name that is spelled otherwise is a change`(one: String, other: String) {
    let (former, next) = (ExactText(one), ExactText(other))
    given(.created, .ownerAdded, .organization(.renamed(.init(name: former, slug: "acme"))))
      .when(.organization(.rename(name: next, slug: nil)), by: .user(owner))
      .then(.organization(.renamed(.init(name: next, slug: "acme"))))
    let project = given(
      .created, .ownerAdded, .projectCreated,
      .project(.renamed(.init(projectID: assistant, name: former))))
    project.when(
      .project(.change(assistant, name: next, thresholds: ThresholdChanges())), by: .user(owner)
    ).then(.project(.renamed(.init(projectID: assistant, name: next))))
    project.when(
      .project(.change(assistant, name: former, thresholds: ThresholdChanges())),
      by: .user(owner)
    ).thenNothing()
  }

  @Test(arguments: pairs)
  func `a reason that is spelled otherwise is recorded`(one: String, other: String) {
    given(.created, .ownerAdded, .projectCreated, .panicModeEnabled(ExactText(one)))
      .when(
        .project(.setPanicMode(assistant, enabled: true, reason: ExactText(other))),
        by: .user(owner)
      ).then(.panicModeEnabled(ExactText(other)))
  }
}
