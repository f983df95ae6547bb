import Cryptography
import JSON
import Testing

@testable import Identity

struct AcceptedTokenTests {
  @Test(arguments: ["RS256", "ES256", "EdDSA"])
  func `a good token proves who its subject is`(algorithm: String) async throws {
    let key = try TestKey.make(algorithm, "2026-11")
    let others = try ["RS256", "ES256", "EdDSA"].map { try TestKey.make($0, $0) }
    let issuer = TestIssuer(others + [key.with("use", "sig").with("alg", .string(algorithm))])
    let token = try key.token(claims: ["name": "Ada", "jti": "j", "email_verified": .bool(true)])
    #expect(IdentityVerifier.looksLikeJWT(token))

    let verifier = try issuer.verifier()
    let identity = try await verifier.verify(token, at: TestIssuer.now)

    #expect(identity.issuer == TestIssuer.name)
    #expect(identity.subject == "user-1")
    #expect(identity.email == "Ada@Example.com")
    #expect(identity.name == "Ada")
    #expect(identity.expiresAt == TestIssuer.now + 300)
    #expect(identity.issuedAt == TestIssuer.now)
    #expect(identity.tokenID == "j")
    #expect(verifier.isCurrent(identity))
  }

  @Test(arguments: ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT"])
  func `the type of access tokens is accepted, as media types are compared`(
    type: String
  ) async throws {
    let key = TestKey.es256("a")
    let token = try key.token(header: ["typ": .string(type), "x5t": "ignored"])
    _ = try await TestIssuer([key]).verifier().verify(token, at: TestIssuer.now)
  }

  /// An ID token says who signed in to another application; with it, that application could act as its users here.
  @Test(arguments: [nil, "JWT", "jwt", "application/JWT", "id+jwt", "logout+jwt", "at+jwt/x"])
  func `another type, or none, is accepted only of an issuer that is configured so`(
    type: String?
  ) async throws {
    let key = TestKey.es256("a")
    let token = try key.token(header: ["typ": type.map { .string($0) }])
    #expect(await refusal(of: token, by: try TestIssuer([key]).verifier()).hasPrefix("typ"))
    let file = """
      {"providers": [{"issuer": "\(TestIssuer.name)", "audience": "signalbox",
        "jwks_url": "\(TestIssuer.name)/keys",
        "token_types": [\(type.map { "\"\($0)\"" } ?? "null")]}]}
      """
    let configured = try TestIssuer([key])
      .verifier(IdentityProvider.list(parsing: Array(file.utf8)))
    _ = try await configured.verify(token, at: TestIssuer.now)
    let usual = try key.token()
    #expect(await refusal(of: usual, by: configured).hasPrefix("typ"))
  }

  @Test(arguments: [JSONValue.string("other"), .array(["x", "signalbox"])])
  func `one of the audiences suffices`(audience: JSONValue) async throws {
    let key = TestKey.es256("a")
    let token = try key.token(claims: ["aud": audience, "nbf": .integer(TestIssuer.now)])
    _ = try await TestIssuer([key]).verifier().verify(token, at: TestIssuer.now)
  }

  @Test func `the development issuer's tokens take the same way as all others`() async throws {
    let seed = SecureRandom.bytes(32)
    let local = try await LocalIssuer(privateKey: seed)
    let verifier = try TestIssuer().verifier([TestIssuer.provider(), local.provider])
    let token = try local.issue(
      email: "Ada@Example.com", name: "Ada", at: TestIssuer.now, lifetime: 3600)

    let identity = try await verifier.verify(token, at: TestIssuer.now)
    #expect(identity.issuer == "urn:signalbox:dev")
    #expect(identity.email == "Ada@Example.com")
    #expect(identity.name == "Ada")
    #expect(identity.expiresAt == TestIssuer.now + 3600)
    #expect(identity.subject == SHA256.hash(Array("ada@example.com".utf8)).hexString)

    // Kept over a restart with the same key, in whatever capitals the address is written.
    let restarted = try await LocalIssuer(privateKey: seed)
    let again = try restarted.issue(
      email: "ada@example.com", name: nil, at: TestIssuer.now, lifetime: 60)
    let second = try await verifier.verify(again, at: TestIssuer.now)
    #expect(second.subject == identity.subject)
    #expect(second.tokenID != identity.tokenID)
    #expect(verifier.isCurrent(identity))

    let stranger = try await LocalIssuer()
    let forged = try stranger.issue(email: "a@b.c", name: nil, at: TestIssuer.now, lifetime: 60)
    #expect(await refusal(of: forged, by: verifier).contains("exactly one key"))
    #expect(await refusal(of: token, by: verifier, at: TestIssuer.now + 3661).hasPrefix("exp"))
    await #expect(throws: (any Error).self) { try await LocalIssuer(privateKey: [1, 2, 3]) }
  }
}
