import JSON
import Testing

@testable import Identity

struct ProviderTests {
  @Test(arguments: [
    ("", "the file is not strict JSON"),
    ("[]", "is not an object"),
    ("{}", "providers is not a non-empty array"),
    (#"{"providers":[]}"#, "providers is not a non-empty array"),
    (#"{"providers":[1]}"#, "providers[0] is not an object"),
    (#"{"providers":[],"provider":[]}"#, "provider is unknown"),
    (#"{"providers":[{"audience":"a"}]}"#, "providers[0].issuer is not a string"),
    (#"{"providers":[{"issuer":"https://a","aud":"a"}]}"#, "providers[0].aud is unknown"),
    (#"{"providers":[{"issuer":"https://a"}]}"#, "providers[0].audience is not an array"),
    (#"{"providers":[{"issuer":"https://a","audience":[]}]}"#, "providers[0].audience is empty"),
    (#"{"providers":[{"issuer":"https://a","audience":["a",1]}]}"#, "providers[0].audience is not"),
    (#"{"providers":[{"issuer":"","audience":"a"}]}"#, "providers[0].issuer is empty"),
    (#"{"providers":[{"issuer":"a","audience":"a"}]}"#, "providers[0].issuer is not an https URL"),
    (
      #"{"providers":[{"issuer":"a","audience":"a","jwks_url":null}]}"#,
      "providers[0].jwks_url is not a string"
    ),
    (
      #"{"providers":[{"issuer":"a","audience":"a","jwks_url":"http://b"}]}"#,
      "providers[0].jwks_url is not an https URL"
    ),
    (
      #"{"providers":[{"issuer":"https://a","audience":"a","algorithms":["RS256","HS256"]}]}"#,
      "providers[0].algorithms may hold only"
    ),
    (
      #"{"providers":[{"issuer":"https://a","audience":"a","algorithms":[]}]}"#,
      "providers[0].algorithms is empty"
    ),
    (
      #"{"providers":[{"issuer":"https://a","audience":"a","trusts_emails":true}]}"#,
      "providers[0].trusts_emails is unknown; known are algorithms, audience, issuer, jwks_url, "
        + "token_types, trusts_email"
    ),
    (
      #"{"providers":[{"issuer":"https://a","audience":"a","trusts_email":"true"}]}"#,
      "providers[0].trusts_email is not true or false"
    ),
    (
      #"{"providers":[{"issuer":"https://a","audience":"a","token_types":"JWT"}]}"#,
      "providers[0].token_types is not an array"
    ),
    (
      #"{"providers":[{"issuer":"https://a","audience":"a","token_types":[]}]}"#,
      "providers[0].token_types is empty"
    ),
    (
      #"{"providers":[{"issuer":"https://a","audience":"a","token_types":["JWT",""]}]}"#,
      "providers[0].token_types may hold only"
    ),
    (
      #"{"providers":[{"issuer":"https://a","audience":"a","token_types":["JWT","application/jwt"]}]}"#,
      "providers[0].token_types holds jwt twice"
    ),
    (
      #"{"providers":[{"issuer":"https://a","audience":"a"},{"issuer":"https://a","audience":"b"}]}"#,
      "providers[1].issuer is taken already"
    ),
    (
      #"{"providers":[{"issuer":"urn:signalbox:dev","audience":"a","jwks_url":"https://b"}]}"#,
      "providers[0].issuer is taken already"
    ),
  ])
  func `what is wrong with the file is said, and where`(file: String, message: String) {
    let error = #expect(throws: IdentityConfigurationError.self) {
      try IdentityProvider.list(parsing: Array(file.utf8))
    }
    #expect(error?.description.hasPrefix(message) == true, "\(error?.description ?? "")")
  }

  @Test(arguments: [
    "", "a", "http://a", "http://localhost.evil.example", "http://127.0.0.1.evil.example",
    "http://localhost@evil.example", "https://user@a", "https://user:word@a", "https://", "https:a",
    "https://a#b", "https://a b", "https://é", "ftp://localhost", "file:///etc/passwd",
    "http://10.0.0.1", "http://[::2]", "http://0.0.0.0", "\nhttps://a",
  ])
  func `a URL that is not https, nor on this machine, is refused`(url: String) {
    #expect(Reach(of: url) == nil)
  }

  @Test func `https is fine, and http on this machine`() {
    for url in ["https://a", "HTTPS://a.example:8443/keys?x=1", "https://[2001:db8::1]/"] {
      #expect(Reach(of: url) == .anywhere)
    }
    for url in ["http://localhost", "http://127.0.0.1:8080/keys", "http://[::1]:80/"] {
      #expect(Reach(of: url) == .loopback)
    }
  }

  @Test func `a file is read`() throws {
    let file = """
      {"providers": [
        {"issuer": "https://a", "audience": "x"},
        {"issuer": "anything", "audience": ["x", "y"], "jwks_url": "http://localhost/keys",
         "algorithms": ["ES256"], "trusts_email": true, "token_types": ["JWT", "at+jwt", null]}]}
      """
    let providers = try IdentityProvider.list(parsing: Array(file.utf8))
    #expect(providers.map(\.issuer) == ["https://a", "anything"])
    #expect(providers.map(\.audiences) == [["x"], ["x", "y"]])
    #expect(providers.map(\.algorithms) == [[.rs256, .es256, .edDSA], [.es256]])
    #expect(providers.map(\.leeway) == [60, 60])
    #expect(providers.map(\.trustsEmail) == [false, true])
    #expect(providers.map(\.tokenTypes) == [["at+jwt"], ["jwt", "at+jwt", nil]])
  }

  // MARK: Discovery

  private let key = TestKey.es256("a")

  private func discover(
    as issuer: String = TestIssuer.name, _ metadata: [String: JSONValue]
  ) throws -> (TestIssuer, IdentityVerifier) {
    let published = TestIssuer([key])
    let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
    published.publish(.object(metadata), at: base + "/.well-known/openid-configuration")
    published.publish(
      .object(["keys": .array([.object(key.jwk)])]), at: "http://127.0.0.1:9/keys")
    let provider = try IdentityProvider(issuer: issuer, audiences: ["signalbox"])
    return (published, try published.verifier([provider]))
  }

  @Test(arguments: [
    nil, JSONValue.null, "https://evil.example", .string(TestIssuer.name + "/"),
    .array([.string(TestIssuer.name)]),
  ])
  func `a discovery document of another issuer is refused`(issuer: JSONValue?) async throws {
    var metadata: [String: JSONValue] = ["jwks_uri": .string(TestIssuer.name + "/keys")]
    metadata["issuer"] = issuer
    let (published, verifier) = try discover(metadata)
    await #expect(throws: IdentityError.unavailable) {
      try await verifier.verify(key.token(), at: TestIssuer.now)
    }
    #expect(published.fetchCount == 1)
  }

  @Test(arguments: [
    nil, JSONValue.integer(1), "http://id.example.com/keys", "http://127.0.0.1:9/keys",
    "file:///etc/passwd",
  ])
  func `an issuer elsewhere cannot have us read what is not on the web`(url: JSONValue?)
    async throws
  {
    var metadata: [String: JSONValue] = ["issuer": .string(TestIssuer.name)]
    metadata["jwks_uri"] = url
    let (published, verifier) = try discover(metadata)
    await #expect(throws: IdentityError.unavailable) {
      try await verifier.verify(key.token(), at: TestIssuer.now)
    }
    #expect(published.fetchCount == 1)
  }

  @Test(arguments: ["https://id.example.com", "https://id.example.com/", "http://localhost:9"])
  func `keys are found by discovery`(name: String) async throws {
    let url = name.hasPrefix("http:") ? "http://127.0.0.1:9/keys" : TestIssuer.name + "/keys"
    let (published, verifier) = try discover(
      as: name, ["issuer": .string(name), "jwks_uri": .string(url)])
    let token = try key.token(claims: ["iss": .string(name)])
    #expect(try await verifier.verify(token, at: TestIssuer.now).issuer == name)
    #expect(published.fetches.last == url)
    #expect(published.fetches.first?.hasSuffix("m//.well-known/openid-configuration") == false)
  }
}
