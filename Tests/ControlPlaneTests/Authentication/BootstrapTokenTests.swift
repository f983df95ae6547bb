import Testing

@testable import ControlPlane

@Suite struct BootstrapTokenTests {
  private static let body = String(repeating: "a1", count: 20)

  @Test(arguments: ["", "development", String(repeating: "a", count: 23)])
  func `what can be guessed is refused`(text: String) {
    let error = #expect(throws: BootstrapToken.Invalid.self) { try BootstrapToken(text) }
    #expect(text.isEmpty || error?.description.contains("at least 24 characters") == true)
  }

  @Test(arguments: ["sbx_", "sbg_", "sbi_", "pk_live_", "pk_test_", "eyJ"])
  func `what looks like another kind of token is refused`(prefix: String) {
    let error = #expect(throws: BootstrapToken.Invalid.self) {
      try BootstrapToken(prefix + Self.body)
    }
    #expect(error?.description.contains("another kind") == true || prefix == "eyJ")
    #expect(error?.description.contains(Self.body) == false)
  }

  @Test func `what has the form of a JWT is refused`() {
    #expect(throws: BootstrapToken.Invalid.self) {
      try BootstrapToken("\(Self.body).\(Self.body).\(Self.body)")
    }
  }

  @Test(arguments: ["a b", "ä", "a\nb", "a\"b"])
  func `what no header can carry is refused`(text: String) {
    #expect(throws: BootstrapToken.Invalid.self) { try BootstrapToken(text + Self.body) }
  }

  @Test(arguments: [String(repeating: "a", count: 24), "sbp_" + body, body + "=="])
  func `anything else is taken as it is`(text: String) throws {
    #expect(try BootstrapToken(text).text == text)
  }
}
