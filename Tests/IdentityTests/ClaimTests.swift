import JSON
import Testing

@testable import Identity

/// Tokens that the issuer did sign, but that are not for us, not now, or not well-formed.
struct ClaimTests {
  private let key: TestKey
  private let verifier: IdentityVerifier

  init() throws {
    key = TestKey.edDSA("a")
    verifier = try TestIssuer([key]).verifier()
  }

  @Test(arguments: [
    nil, JSONValue.null, "", "Signalbox", "signalbox ", .array([]), .array(["elsewhere"]),
    .array(["signalbox", .integer(1)]), .array([.array(["signalbox"])]),
    .object(["signalbox": .bool(true)]),
  ])
  func `a token for another audience is refused`(audience: JSONValue?) async throws {
    let token = try key.token(claims: ["aud": audience])
    #expect(await refusal(of: token, by: verifier).hasPrefix("aud"))
  }

  @Test(arguments: [
    nil, JSONValue.null, "", "https://id.example.com/", "https://ID.example.com", .integer(1),
    .array(["https://id.example.com"]),
  ])
  func `a token of another issuer is refused`(issuer: JSONValue?) async throws {
    let token = try key.token(claims: ["iss": issuer])
    #expect(await refusal(of: token, by: verifier) == "iss is not a configured issuer")
  }

  @Test(arguments: [
    nil, JSONValue.null, "1900000300", .integer(0), .integer(-1), .integer(TestIssuer.now - 60),
    .real(1e300), .real(-5.5), .bool(true),
  ])
  func `a token without an end, or behind it, is refused`(end: JSONValue?) async throws {
    let token = try key.token(claims: ["exp": end])
    #expect(await refusal(of: token, by: verifier).hasPrefix("exp"))
  }

  @Test(arguments: ["nbf", "iat"])
  func `a token from the future is refused`(claim: String) async throws {
    for time in [JSONValue.integer(TestIssuer.now + 61), .integer(.max), "now", .null] {
      let token = try key.token(claims: [claim: time])
      #expect(await refusal(of: token, by: verifier).hasPrefix(claim))
    }
  }

  @Test func `clocks may differ by the leeway and no more`() async throws {
    for claims: [String: JSONValue?] in [
      ["exp": .integer(TestIssuer.now - 59)], ["nbf": .integer(TestIssuer.now + 60)],
      ["iat": .integer(TestIssuer.now + 60)], ["exp": .real(Double(TestIssuer.now) - 58.5)],
    ] {
      _ = try await verifier.verify(key.token(claims: claims), at: TestIssuer.now)
    }
  }

  @Test(arguments: [
    nil, JSONValue.null, "", .integer(1), "a\nb", "a\u{0}b", "a\u{85}b",
    .string(String(repeating: "é", count: 128)),
  ])
  func `a token without a usable subject is refused`(subject: JSONValue?) async throws {
    let token = try key.token(claims: ["sub": subject])
    #expect(await refusal(of: token, by: verifier).hasPrefix("sub"))
  }

  @Test func `duplicate members are refused, in the header and in the payload`() async throws {
    let header = #"{"alg":"EdDSA","kid":"a","typ":"at+jwt"}"#
    let end = TestIssuer.now + 300
    let payload =
      #"{"iss":"\#(TestIssuer.name)","sub":"u","aud":"signalbox","exp":\#(end)}"#
    _ = try await verifier.verify(key.token(header: header, payload: payload), at: TestIssuer.now)
    for (header, payload) in [
      (#"{"alg":"none","alg":"EdDSA","kid":"a","typ":"at+jwt"}"#, payload),
      (#"{"alg":"EdDSA","kid":"b","kid":"a","typ":"at+jwt"}"#, payload),
      (#"{"alg":"EdDSA","kid":"a","\u0061lg":"none"}"#, payload),
      (header, payload.replacing("{", with: #"{"sub":"admin","#)),
      (header, payload.replacing("}", with: #","exp":9999999999}"#)),
      (header, payload.replacing("}", with: #","x":{"y":1,"y":2}}"#)),
    ] {
      let token = try key.token(header: header, payload: payload)
      #expect(await refusal(of: token, by: verifier).contains("two members of the same name"))
    }
  }

  @Test(arguments: ["", "{", "[]", "\"a\"", "null", "\u{FEFF}{}", "{} {}", "{'alg':'EdDSA'}"])
  func `parts that are no JSON objects are refused`(text: String) async throws {
    let good = #"{"alg":"EdDSA","kid":"a","typ":"at+jwt"}"#
    for (header, payload) in [(text, "{}"), (good, text)] {
      let token = try key.token(header: header, payload: payload)
      await #expect(throws: IdentityError.self) {
        try await verifier.verify(token, at: TestIssuer.now)
      }
    }
  }

  @Test func `a token longer than 16 KiB is refused before it is read`() async throws {
    let token = try key.token(claims: ["x": .string(String(repeating: "x", count: 13_000))])
    #expect(await refusal(of: token, by: verifier) == "longer than 16384 bytes")
    let garbage = String(repeating: "\u{0}", count: 16_385)
    #expect(await refusal(of: garbage, by: verifier).contains("16384"))
    let shorter = try key.token(claims: ["x": .string(String(repeating: "x", count: 10_000))])
    _ = try await verifier.verify(shorter, at: TestIssuer.now)
  }

  @Test func `base64url has one spelling`() async throws {
    let token = try key.token()
    let parts = token.split(separator: ".").map(String.init)
    for forged in [
      token + "=", token + "==", token + "\n", " " + token, "Bearer " + token,
      parts[0] + "=." + parts[1] + "." + parts[2],
      token.replacing("-", with: "+").replacing("_", with: "/") + "+",
    ] {
      await #expect(throws: IdentityError.notAToken) {
        try await verifier.verify(forged, at: TestIssuer.now)
      }
    }
    // 64 bytes take 86 characters, of whose last only two bits count: another spelling of the same signature.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    let character = try #require(token.last)
    let last = try #require(alphabet.firstIndex(of: character))
    let forged = token.dropLast() + String(alphabet[alphabet.index(after: last)])
    #expect(await refusal(of: String(forged), by: verifier).contains("canonical"))
  }

  @Test(arguments: [
    "", ".", "..", "a.b", "a.b.c.d", "..c", ".b.c", "a..c", "a.b.c.", "a b.c.d", "sbp_abcdef",
    "é.b.c", "a.b.c=",
  ])
  func `what has not the form of a JWT is told apart without reading it`(text: String) async throws
  {
    #expect(!IdentityVerifier.looksLikeJWT(text))
    await #expect(throws: IdentityError.notAToken) {
      try await verifier.verify(text, at: TestIssuer.now)
    }
  }

  @Test func `an e-mail address that the issuer does not vouch for is no e-mail address`()
    async throws
  {
    for (claim, expected): (JSONValue?, String?) in [
      (.bool(false), nil), ("false", nil), (.null, nil), (.integer(1), nil),
      (nil, nil), (.bool(true), "Ada@Example.com"), ("true", "Ada@Example.com"),
    ] {
      let token = try key.token(claims: ["email_verified": claim])
      #expect(try await verifier.verify(token, at: TestIssuer.now).email == expected)
    }
    let token = try key.token(
      claims: ["email": "a\nb", "name": .null, "email_verified": .bool(true)])
    #expect(try await verifier.verify(token, at: TestIssuer.now).email == nil)
  }

  @Test func `only an issuer that is trusted with addresses need not say that it verified them`()
    async throws
  {
    let trusting = try TestIssuer([key]).verifier([TestIssuer.provider(trustsEmail: true)])
    for (claim, expected): (JSONValue?, String?) in [
      (nil, "Ada@Example.com"), (.bool(true), "Ada@Example.com"), (.bool(false), nil),
      ("false", nil), (.null, nil),
    ] {
      let token = try key.token(claims: ["email_verified": claim])
      #expect(try await trusting.verify(token, at: TestIssuer.now).email == expected)
    }
  }
}
