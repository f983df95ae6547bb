import FoundationEssentials
import JSON
import Support
import Testing

@testable import ControlPlane

/// Names are kept as they were sent, and show what they are.
@Suite struct NameTests {
  @Test(arguments: [
    "\u{200B}", "\u{3164}", "\u{115F}\u{1160}", "\u{FFA0}", "\u{2800}", "\u{200D}", "\u{301}",
    "\u{FE0F}", "\u{E0041}", "\u{2060}\u{2060}", "\u{AD}",
  ])
  func `a name that shows nothing is refused`(name: String) {
    let failure = Self.failure(name)
    #expect(["invisible", "hidden-character"].contains(failure), "\(failure ?? "taken")")
  }

  @Test(arguments: [
    // Turn the direction of text.
    "\u{202A}", "\u{202B}", "\u{202C}", "\u{202D}", "\u{202E}", "\u{2066}", "\u{2067}", "\u{2068}",
    "\u{2069}", "\u{200E}", "\u{200F}", "\u{61C}",
    // Hide: a name with one of them looks like the name without.
    "\u{200B}", "\u{2060}", "\u{FEFF}", "\u{AD}", "\u{2061}", "\u{180E}",
    // Break lines, mean nothing, or nothing that is agreed on.
    "\u{2028}", "\u{2029}", "\u{E000}", "\u{10FFFD}", "\u{378}",
  ])
  func `a character that hides or misleads is refused inside a name`(character: String) {
    #expect(Self.failure("Ac\(character)me") == "hidden-character")
  }

  @Test(arguments: [" Acme", "Acme ", "\u{3000}Acme", "Acme\u{2003}", "\u{A0}", " "])
  func `spaces of no kind stand at the ends`(name: String) {
    #expect(Self.failure(name) == "outer-space")
  }

  @Test(arguments: [
    "Acme", "Acme Corporation, Inc.", "Zürich", "Cafe\u{301}", "東京", "مثال", "שלום", "नमस्ते",
    "क्\u{200D}ष", "نامه\u{200C}ای", "👩\u{200D}💻", "❤\u{FE0F}", "🏴\u{E0067}\u{E0062}\u{E007F}",
    "Dr\u{A0}No", "…", "-", "ﷺ",
  ])
  func `what people call things is taken`(name: String) {
    #expect(Self.failure(name) == nil)
  }

  @Test func `the reply says which character it was`() async throws {
    let client = try await TestControlPlane.shared.client
    for (name, code) in [("\u{3164}", "invisible"), ("Ac\u{202E}me", "hidden-character")] {
      let reply = try await client.post("/v1/organizations", #"{"name":"\#(name)"}"#)
      #expect(reply.status == 422)
      #expect(try reply.places == ["/name"])
      #expect(try reply.json["errors"]?.array?.first?["code"]?.string == code)
    }
    let named = try await client.post("/v1/organizations", #"{"name":"Ac\#u{202E}me"}"#)
    #expect(named.text.contains("U+202E"))
  }

  @Test func `a name is changed to another spelling of itself`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeOrganization("Cafe\u{301}")
    let before = try #require(try await client.get(path)["etag"])
    let reply = try await client.patch(path, #"{"name":"Caf\#u{E9}"}"#)
    #expect(reply.status == 200)
    #expect(reply["etag"] != before, "nothing has changed")
    #expect(reply["signalbox-position"] != nil)
    let read = try await client.get(path)
    #expect(read.text.utf8.contains(subsequence: "Caf\u{E9}".utf8))
    #expect(!read.text.utf8.contains(subsequence: "Cafe\u{301}".utf8))
    // The same once more is no change.
    let again = try await client.patch(path, #"{"name":"Caf\#u{E9}"}"#)
    #expect(again["etag"] == reply["etag"])
    #expect(again["signalbox-position"] == nil)
    // The audit tells one from the other.
    let audit = try await client.get("\(path)/audit-events?action=organization.renamed").text
    #expect(audit.utf8.contains(subsequence: "Cafe\u{301}".utf8))
    #expect(audit.utf8.contains(subsequence: "Caf\u{E9}".utf8))
  }

  private static func failure(_ name: String) -> String? {
    if case .failure(let failure) = TextRules.name.check(name) { failure.code } else { nil }
  }
}

extension Collection<UInt8> {
  fileprivate func contains(subsequence: some Collection<UInt8>) -> Bool {
    indices.contains { self[$0...].starts(with: subsequence) }
  }
}
