import Cryptography
import JSON
import Testing

@testable import Identity

/// Tokens whose header or signature an attacker made. Each test first sees that the key's good token is accepted.
struct ForgedTokenTests {
  private func setUp(_ key: TestKey) async throws -> (TestIssuer, IdentityVerifier) {
    let issuer = TestIssuer([key])
    let verifier = try issuer.verifier()
    _ = try await verifier.verify(key.token(), at: TestIssuer.now)
    return (issuer, verifier)
  }

  @Test(arguments: [
    "none", "None", "NONE", "nOnE", "", "HS256", "HS512", "RS512", "es256", "PS256",
  ])
  func `no algorithm but the pinned ones is accepted, whatever its signature`(name: String)
    async throws
  {
    let key = TestKey.es256("a")
    let (_, verifier) = try await setUp(key)
    let token = try key.token(header: ["alg": .string(name)])
    let unsigned = token.prefix(through: try #require(token.lastIndex(of: ".")))
    for forged in [token, String(unsigned)] {
      #expect(await refusal(of: forged, by: verifier).contains("alg is not one that is pinned"))
    }
  }

  @Test(arguments: [nil, JSONValue.null, .integer(1), .array(["ES256"])])
  func `an algorithm that is no string is refused`(algorithm: JSONValue?) async throws {
    let key = TestKey.es256("a")
    let (_, verifier) = try await setUp(key)
    let forged = try key.token(header: ["alg": algorithm])
    #expect(await refusal(of: forged, by: verifier) == "alg is no string")
  }

  @Test func `an HMAC made with the public key is no signature`() async throws {
    let key = try TestKey.rsa("a")
    let (_, verifier) = try await setUp(key)
    let secrets = try key.publicForms()
    for (secret, algorithm) in secrets.flatMap({ [($0, "HS256"), ($0, "RS256"), ($0, "ES256")] }) {
      let forger = TestKey(algorithm: algorithm, jwk: key.jwk) {
        HMACSHA256(key: secret).authenticationCode(for: $0)
      }
      _ = await refusal(of: try forger.token(), by: verifier)
    }
  }

  @Test func `an algorithm of another key type than the named key's is refused`() async throws {
    let key = TestKey.es256("a")
    let (_, verifier) = try await setUp(key)
    let forged = try key.token(header: ["alg": "EdDSA"])
    #expect(await refusal(of: forged, by: verifier) == "alg is not that of the key")
  }

  @Test func `RS256 is refused where only ES256 is pinned`() async throws {
    let key = try TestKey.rsa("a")
    let verifier = try TestIssuer([key]).verifier([TestIssuer.provider([.es256])])
    #expect(await refusal(of: try key.token(), by: verifier).contains("pinned"))
  }

  @Test(arguments: ["jku", "x5u", "jwk", "x5c", "crit"])
  func `a header that brings its own key or an extension is refused`(member: String) async throws {
    let key = TestKey.es256("a")
    let (issuer, verifier) = try await setUp(key)
    for value in ["https://evil.example/keys", .array(["exp"]), .object(key.jwk), JSONValue.null] {
      let forged = try key.token(header: [member: value])
      #expect(await refusal(of: forged, by: verifier) == "the header has \(member)")
    }
    #expect(issuer.fetches == ["\(TestIssuer.name)/keys"])
  }

  @Test(arguments: [nil, JSONValue.null, .integer(1), "", .array(["a"])])
  func `a token that names no key is refused, although there is only one`(name: JSONValue?)
    async throws
  {
    let key = TestKey.es256("a")
    let (_, verifier) = try await setUp(key)
    let forged = try key.token(header: ["kid": name])
    #expect(await refusal(of: forged, by: verifier) == "kid is no string, or empty")
  }

  @Test(arguments: ["b", "A", "a ", "a\u{0}"])
  func `an unknown key is refused, and no other takes its place`(name: String) async throws {
    let key = TestKey.es256("a")
    let (_, verifier) = try await setUp(key)
    let forged = try key.token(header: ["kid": .string(name)])
    #expect(await refusal(of: forged, by: verifier).contains("exactly one key"))
  }

  @Test func `the Kelvin sign is not the letter K`() async throws {
    let key = TestKey.es256("K")
    let (_, verifier) = try await setUp(key)
    let forged = try key.token(header: ["kid": "\u{212A}"])
    #expect(await refusal(of: forged, by: verifier).contains("exactly one key"))
  }

  @Test(arguments: [JSONValue.null, .integer(1), "JWE", "dpop+jwt", "logout+jwt", ""])
  func `a token of another type is refused`(type: JSONValue) async throws {
    let key = TestKey.es256("a")
    let (_, verifier) = try await setUp(key)
    let forged = try key.token(header: ["typ": type])
    #expect(await refusal(of: forged, by: verifier).contains("typ"))
  }

  @Test(arguments: ["RS256", "ES256", "EdDSA"])
  func `no bit of the signature or of the signed parts can be changed`(algorithm: String)
    async throws
  {
    let key = try TestKey.make(algorithm, "a")
    let (_, verifier) = try await setUp(key)
    let token = try key.token()
    let signed = String(token.prefix(upTo: try #require(token.lastIndex(of: "."))))
    let signature = try #require(Base64URL.decode(token.dropFirst(signed.utf8.count + 1)))
    for byte in [0, 1, signature.count / 2, signature.count - 1] {
      for bit in 0..<8 {
        var forged = signature
        forged[byte] ^= 1 << bit
        _ = await refusal(of: signed + "." + Base64URL.encode(forged), by: verifier)
      }
    }
    let cut: [[UInt8]] = [
      [], [0], signature.dropLast(), Array(signature.dropFirst()), signature + [0],
    ]
    for forged in cut {
      _ = await refusal(of: signed + "." + Base64URL.encode(forged), by: verifier)
    }
    let other = try key.token(claims: ["sub": "admin"])
    let altered = other.split(separator: ".")[..<2] + token.split(separator: ".")[2...]
    #expect(await refusal(of: altered.joined(separator: "."), by: verifier).contains("signature"))
  }

  @Test func `an ES256 signature in DER form is refused`() async throws {
    let key = TestKey.es256("a", inDER: true)
    let verifier = try TestIssuer([key]).verifier()
    #expect(await refusal(of: try key.token(), by: verifier).contains("signature"))
  }

  @Test func `another issuer's key is no good, even under the name of this issuer's`() async throws
  {
    let (ours, theirs) = (TestKey.es256("a"), TestKey.es256("a"))
    let issuer = TestIssuer([ours])
    let other = "https://other.example.com"
    issuer.publish(.object(["keys": .array([.object(theirs.jwk)])]), at: "\(other)/keys")
    let verifier = try issuer.verifier([
      TestIssuer.provider(),
      IdentityProvider(issuer: other, audiences: ["signalbox"], jwksURL: "\(other)/keys"),
    ])
    _ = try await verifier.verify(ours.token(), at: TestIssuer.now)
    _ = try await verifier.verify(theirs.token(claims: ["iss": .string(other)]), at: TestIssuer.now)
    #expect(await refusal(of: try theirs.token(), by: verifier).contains("signature"))
  }
}

extension TestKey {
  /// What an attacker may take for the secret of an HMAC: the RSA public key in DER, in PEM, and its modulus.
  fileprivate func publicForms() throws -> [[UInt8]] {
    let n = try #require(jwk["n"]?.string.flatMap { Base64URL.decode($0) })
    let e = try #require(jwk["e"]?.string.flatMap { Base64URL.decode($0) })
    let key = try RSAPublicKeyForms(n: n, e: e)
    return [key.der, Array(key.pem.utf8), Array((key.pem + "\n").utf8), n]
  }
}
