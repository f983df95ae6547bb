import Cryptography
import Domain
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

/// What the database keeps of a token, and what of it opens anything.
@Suite struct TokenHashTests {
  static let token = "sbx_000000000000000000000000000000AbCdEf"

  @Test func `a hash is the HMAC under the pepper, and another one under another pepper`() {
    let (one, other) = ([UInt8](repeating: 1, count: 32), [UInt8](repeating: 2, count: 32))
    let hash = TokenHasher(pepper: one).hash(Self.token)
    #expect(hash == HMACSHA256(key: one).authenticationCode(for: Self.token.utf8))
    #expect(hash != TokenHasher(pepper: other).hash(Self.token))
    #expect(hash != SHA256.hash(Array(Self.token.utf8)).bytes)
    #expect(
      TokenHasher(pepper: one).derivedKey(for: "tokens")
        != TokenHasher(pepper: other).derivedKey(for: "tokens"))
  }

  @Test func `one wrong character is told without the database`() {
    for format in TokenFormat.all {
      let token = format.generate()
      #expect(format.matches(token))
      let last = token.last == "0" ? "1" : "0"
      #expect(!format.matches(token.dropLast() + last))
      #expect(!format.matches(String(token.dropLast())))
      #expect(!format.matches(token + "0"))
    }
  }

  /// The first half of a hash only names the token. Another token whose hash begins alike must not pass for it.
  @Test func `half a hash opens nothing`() async throws {
    let plane = try await TestControlPlane.shared
    let owner = try await plane.makeUser().client
    let organization = try await owner.makeOrganization()
    let token = try await owner.makeServiceToken(in: organization)
    let hash = plane.hash(of: token)
    let changed = hash.prefix(16) + hash.dropFirst(16).map { ~$0 }
    let rows = try await plane.database.withSession { session throws in
      try session.execute(
        "UPDATE service_tokens SET hash = \(Array(changed)) WHERE hash = \(hash)", deadline: .soon
      ).affected
    }
    #expect(rows == 1)
    #expect(try await owner.with(token: token).get(organization).status == 401)
  }
}

/// When a token ends, also one that was found good a moment ago.
@Suite struct TokenLifeTests {
  @Test func `a service token ends when it was to`() async throws {
    let plane = try await TestControlPlane.shared
    let owner = try await plane.makeUser().client
    let organization = try await owner.makeOrganization()
    let client = owner.with(
      token: try await owner.makeServiceToken(in: organization, lasting: 1_500_000))
    #expect(try await client.get(organization).status == 200)
    try await Task.sleep(for: .milliseconds(1600))
    #expect(try await client.get(organization).status == 401)
  }

  @Test func `a personal token ends when it was to`() async throws {
    let plane = try await TestControlPlane.shared
    let user = try await plane.makeUser().client
    let end = Timestamp.now.advanced(by: 5_000_000).rfc3339
    let made = try await user.post("/v1/me/tokens", #"{"name":"A","expires_at":"\#(end)"}"#)
    let client = user.with(token: try #require(made.json["token"]?.string, "\(made.text)"))
    #expect(try await client.get("/v1/me").status == 200)
    try await Task.sleep(for: .milliseconds(5100))
    #expect(try await client.get("/v1/me").status == 401)
  }

  @Test func `a personal token that is revoked is refused at once`() async throws {
    let plane = try await TestControlPlane.shared
    let user = try await plane.makeUser().client
    let made = try await user.post("/v1/me/tokens", #"{"name":"A"}"#)
    let id = try #require(made.json["id"]?.string, "\(made.text)")
    let client = user.with(token: try #require(made.json["token"]?.string))
    #expect(try await client.get("/v1/me").status == 200)
    #expect(try await user.send("DELETE", "/v1/me/tokens/\(id)").status == 204)
    #expect(try await client.get("/v1/me").status == 401)
    #expect(try await client.post("/v1/organizations", #"{"name":"B"}"#).status == 401)
  }

  @Test func `the secret before a rotation ends with its grace, and the new one does not`()
    async throws
  {
    let plane = try await TestControlPlane.shared
    let owner = try await plane.makeUser().client
    let organization = try await owner.makeOrganization()
    let former = owner.with(token: try await owner.makeServiceToken(in: organization))
    let listed = try await owner.get("\(organization)/service-tokens").json
    let id = try #require(listed["data"]?.array?.first?["id"]?.string)
    let rotated = try await owner.post(
      try Self.rotation(of: id, in: organization), #"{"grace_seconds":1}"#)
    let fresh = owner.with(token: try #require(rotated.json["token"]?.string, "\(rotated.text)"))
    #expect(try await former.get(organization).status == 200)
    try await Task.sleep(for: .milliseconds(1100))
    #expect(try await former.get(organization).status == 401)
    #expect(try await fresh.get(organization).status == 200)
  }

  /// From the contract, which says how the verb is written.
  private static func rotation(of id: String, in organization: String) throws -> String {
    let operations = try Contract.current.get().operations
    let operation = try #require(operations.first { $0.id == "rotateServiceToken" })
    return operation.path.replacing("/v1/organizations/{organization}", with: organization)
      .replacing("{token}", with: id)
  }
}

extension TestClient {
  /// Makes a viewer's token and returns it.
  fileprivate func makeServiceToken(
    in organization: String, lasting microseconds: Int64 = 3_600_000_000
  ) async throws -> String {
    let end = Timestamp.now.advanced(by: microseconds).rfc3339
    let made = try await post(
      "\(organization)/service-tokens", #"{"name":"CI","role":"viewer","expires_at":"\#(end)"}"#)
    return try #require(made.json["token"]?.string, "\(made.text)")
  }
}
