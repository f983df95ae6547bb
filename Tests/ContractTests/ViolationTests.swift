import JSON
import Support
import Testing

/// The tests' own measure is measured: what breaks the contract is noticed.
@Suite struct ViolationTests {
  static let organization = """
    {"id":"org_01jdexamp1e0000000000000rg","name":"Acme","slug":"acme","version":1,\
    "created_at":"2026-11-24T10:55:02.123456Z","updated_at":"2026-11-24T10:55:02.123456Z",\
    "archived_at":null,"plan_tier":"free","onboarding_state":"workspace_created"}
    """

  @Test func `a reply by the contract breaks nothing`() throws {
    #expect(try violations(Self.organization) == [])
  }

  @Test(arguments: [
    (#""name":"Acme""#, #""name":" Acme""#), (#""name":"Acme""#, #""name":7"#),
    (#""name":"Acme","#, ""), (#""version":1"#, #""version":0"#),
    (#""version":1"#, #""version":1,"more":true"#), (#"null"#, #""yesterday""#),
    (#"10:55:02.123456Z","updated"#, #"10:55:02Z","updated"#), ("org_01", "org_91"),
    (#""slug":"acme""#, #""slug":"ab""#), (#""slug":"acme""#, #""slug":"-acme-""#),
    (#"{"id""#, #"[{"id""#),
  ])
  func `a body that the schema does not allow is noticed`(part: String, other: String) throws {
    let body = Self.organization.replacing(part, with: other, maxReplacements: 1)
    #expect(body != Self.organization)
    #expect(try !violations(body).isEmpty)
  }

  @Test(arguments: ["X-Request-Id", "ETag"])
  func `a header that is missing is noticed`(name: String) throws {
    #expect(try violations(Self.organization, without: name).count == 1)
  }

  @Test func `a header of another form is noticed`() throws {
    #expect(try !violations(Self.organization, etag: #"W/"1""#).isEmpty)
  }

  @Test(arguments: [201, 418, 302])
  func `a status that the operation does not have is noticed`(status: Int) throws {
    #expect(try !violations(Self.organization, status: status).isEmpty)
  }

  @Test func `a body of another type is noticed`() throws {
    #expect(try !violations(Self.organization, type: "text/html").isEmpty)
  }

  @Test func `a rule that is not understood is no rule that holds`() {
    let schema = JSONSchema(document: .null)
    let rule = JSONValue.object(["multipleOf": .integer(1)])
    #expect(!schema.violations(.integer(1), of: rule).isEmpty)
  }

  @Test func `an item that is there twice is noticed`() {
    let schema = JSONSchema(document: .null)
    let rule = JSONValue.object(["uniqueItems": .bool(true)])
    #expect(schema.violations(.array([.integer(1), .integer(2)]), of: rule) == [])
    #expect(!schema.violations(.array([.integer(1), .integer(1)]), of: rule).isEmpty)
  }

  private func violations(
    _ body: String, status: Int = 200, type: String = "application/json",
    etag: String = #""1""#, without missing: String = ""
  ) throws -> [String] {
    let headers = [("Content-Type", type), ("X-Request-Id", "req-1"), ("ETag", etag)]
    let reply = HTTPReply(
      status: status, headers: headers.filter { $0.0 != missing }.map { (name: $0.0, value: $0.1) },
      body: Array(body.utf8))
    return try Contract.current.get().violations(
      "GET", "/v1/organizations/org_01jdexamp1e0000000000000rg", reply)
  }
}
