import Cryptography
import JSON
import Testing

@testable import Identity

/// What an issuer publishes.
struct KeySetTests {
  private let old = TestKey.es256("old")
  private let new = TestKey.es256("new")

  @Test func `a document that is no key set is as good as none`() async throws {
    let documents: [JSONValue] = [.null, .array([]), .object([:]), .object(["keys": "none"])]
    for document in documents {
      let issuer = TestIssuer()
      issuer.publish(document)
      let verifier = try issuer.verifier()
      await #expect(throws: IdentityError.unavailable) {
        try await verifier.verify(old.token(), at: TestIssuer.now)
      }
    }
  }

  @Test func `a name that two keys have is the name of neither`() async throws {
    let verifier = try TestIssuer([
      old, new.with("kid", "old"),
      TestKey.edDSA("other"), old.with("kid", "other").with("use", "enc"),
    ]).verifier()
    for token in [try old.token(), try new.token(header: ["kid": "old"])] {
      #expect(await refusal(of: token, by: verifier).contains("exactly one key"))
    }
  }

  @Test func `keys that are not for our signatures are left out, and do no harm`() async throws {
    let rsa = try TestKey.rsa("rsa")
    let secret = TestKey(
      algorithm: "HS256", jwk: ["kty": "oct", "kid": "oct", "k": "c2VjcmV0"], sign: { _ in [] })
    let unfit: [TestKey] = [
      old.with("use", "enc"), old.with("use", .null), old.with("key_ops", .array(["encrypt"])),
      old.with("alg", "ES384"), old.with("crv", "P-384"), old.with("crv", nil), old.with("x", nil),
      old.with("x", "AAAA"), old.with("y", old.jwk["x"]), old.with("kty", "RSA"),
      rsa.with("alg", "PS256"), rsa.with("alg", "RSA-OAEP"), rsa.with("n", "AQAB"),
      try TestKey.rsa("weak", bits: 1024), TestKey.edDSA("ed").with("crv", "X25519"), secret,
    ]
    for key in unfit {
      let verifier = try TestIssuer([key, new]).verifier()
      _ = try await verifier.verify(new.token(), at: TestIssuer.now)
      let algorithm = key.algorithm == "HS256" ? "RS256" : key.algorithm
      let token = try key.token(header: ["alg": .string(algorithm)])
      #expect(await refusal(of: token, by: verifier).contains("exactly one key"), "\(key.jwk)")
    }
  }

  @Test func `an RSA key of 2047 bits is too short by one`() async throws {
    let key = try TestKey.rsa("a")
    var n = try #require(key.jwk["n"]?.string.flatMap { Base64URL.decode($0) })
    _ = try await TestIssuer([key]).verifier().verify(key.token(), at: TestIssuer.now)
    n[0] &= 0x7F
    let short = key.with("n", .string(Base64URL.encode(n)))
    let verifier = try TestIssuer([short]).verifier()
    #expect(await refusal(of: try short.token(), by: verifier).contains("exactly one key"))
    // Zeros in front do not lengthen it.
    let padded = key.with("n", .string(Base64URL.encode([0] + n)))
    let other = try TestIssuer([padded]).verifier()
    #expect(await refusal(of: try padded.token(), by: other).contains("exactly one key"))
  }
}
