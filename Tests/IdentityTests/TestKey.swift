import Crypto
import CryptoExtras
import Cryptography
import FoundationEssentials
import JSON

/// A key pair made by another implementation than the one that signs in `Identity`.
struct TestKey: Sendable {
  let algorithm: String
  /// As an issuer publishes it; tests change its members at will.
  var jwk: [String: JSONValue]
  let sign: @Sendable ([UInt8]) throws -> [UInt8]

  var name: String { jwk["kid"]?.string ?? "" }

  static func rsa(_ name: String, bits: Int = 2048) throws -> TestKey {
    let key = try _RSA.Signing.PrivateKey(unsafeKeySize: .init(bitCount: bits))
    let numbers = try key.publicKey.getKeyPrimitives()
    return TestKey(
      algorithm: "RS256",
      jwk: [
        "kty": "RSA", "kid": .string(name), "n": number(numbers.modulus),
        "e": number(numbers.publicExponent),
      ],
      sign: { Array(try key.signature(for: $0, padding: .insecurePKCS1v1_5).rawRepresentation) })
  }

  static func es256(_ name: String, inDER: Bool = false) -> TestKey {
    let key = P256.Signing.PrivateKey()
    let point = key.publicKey.rawRepresentation
    return TestKey(
      algorithm: "ES256",
      jwk: [
        "kty": "EC", "crv": "P-256", "kid": .string(name), "x": number(point.prefix(32)),
        "y": number(point.suffix(32)),
      ],
      sign: {
        let signature = try key.signature(for: $0)
        return Array(inDER ? signature.derRepresentation : signature.rawRepresentation)
      })
  }

  static func edDSA(_ name: String) -> TestKey {
    let key = Curve25519.Signing.PrivateKey()
    return TestKey(
      algorithm: "EdDSA",
      jwk: [
        "kty": "OKP", "crv": "Ed25519", "kid": .string(name),
        "x": number(key.publicKey.rawRepresentation),
      ],
      sign: { Array(try key.signature(for: $0)) })
  }

  static func make(_ algorithm: String, _ name: String) throws -> TestKey {
    switch algorithm {
    case "RS256": try rsa(name)
    case "ES256": es256(name)
    default: edDSA(name)
    }
  }

  func with(_ member: String, _ value: JSONValue?) -> TestKey {
    var key = self
    key.jwk[member] = value
    return key
  }

  /// Signs whatever header and payload say, be they JSON or not.
  func token(header: String, payload: String) throws -> String {
    let signed = [header, payload].map { Base64URL.encode(Array($0.utf8)) }.joined(separator: ".")
    return signed + "." + Base64URL.encode(try sign(Array(signed.utf8)))
  }

  /// A good token, with the changes; nil takes a member away.
  func token(
    header: [String: JSONValue?] = [:], claims: [String: JSONValue?] = [:]
  ) throws -> String {
    try token(
      header: text(
        ["alg": .string(algorithm), "kid": jwk["kid"], "typ": "at+jwt"].merging(header) { $1 }),
      payload: text(TestIssuer.claims.merging(claims) { $1 }))
  }

  private func text(_ members: [String: JSONValue?]) -> String {
    let object = JSONValue.object(members.compactMapValues { $0 })
    return String(decoding: object.canonicalBytes(), as: UTF8.self)
  }

  private static func number(_ bytes: Data) -> JSONValue { .string(Base64URL.encode(Array(bytes))) }
}

extension JSONValue: ExpressibleByStringLiteral {
  package init(stringLiteral value: String) { self = .string(value) }
}

/// The encodings of an RSA public key.
struct RSAPublicKeyForms {
  let der: [UInt8]
  let pem: String

  init(n: [UInt8], e: [UInt8]) throws {
    let key = try _RSA.Signing.PublicKey(n: n, e: e)
    der = Array(key.derRepresentation)
    pem = key.pemRepresentation
  }
}
