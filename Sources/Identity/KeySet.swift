import Cryptography
import FoundationEssentials
import JSON
import JWTKit

/// The algorithms that can be pinned (RFC 7518, section 3.1; RFC 8037). The raw values are those of `alg`.
package enum SignatureAlgorithm: String, Sendable, CaseIterable {
  case rs256 = "RS256"
  case es256 = "ES256"
  case edDSA = "EdDSA"
}

/// A public key that verifies signatures of exactly one algorithm.
struct VerificationKey: Sendable {
  /// The hash of the key's name and numbers.
  typealias ID = SHA256Digest

  let id: ID
  let name: String
  let algorithm: SignatureAlgorithm
  private let verifier: any JWTAlgorithm

  /// The key that a JWK (RFC 7517) describes; nil unless it is meant, and fit, for one of our algorithms. Private
  /// members are not looked at.
  init?(_ jwk: JSONValue, named name: String) async {
    guard jwk["use"] == nil || jwk["use"] == .string("sig") else { return nil }
    if let operations = jwk["key_ops"] {
      guard operations.array?.contains(.string("verify")) == true else { return nil }
    }
    let identifier = JWKIdentifier(string: name)
    let key: JWK
    switch (jwk["kty"]?.string, jwk["crv"]?.string) {
    case ("RSA", _):
      guard let n = Self.number("n", of: jwk), let e = Self.number("e", of: jwk),
        n.bytes.count * 8 - (n.bytes.first?.leadingZeroBitCount ?? 0) >= 2048
      else { return nil }
      algorithm = .rs256
      key = .rsa(.rs256, identifier: identifier, modulus: n.text, exponent: e.text)
    case ("EC", "P-256"):
      guard let x = Self.number("x", of: jwk), let y = Self.number("y", of: jwk) else { return nil }
      algorithm = .es256
      key = .ecdsa(.es256, identifier: identifier, x: x.text, y: y.text, curve: .p256)
    case ("OKP", "Ed25519"):
      guard let x = Self.number("x", of: jwk) else { return nil }
      algorithm = .edDSA
      key = .octetKeyPair(.eddsa, identifier: identifier, x: x.text, y: nil, curve: .ed25519)
    default: return nil
    }
    guard jwk["alg"] == nil || jwk["alg"] == .string(algorithm.rawValue) else { return nil }
    // A collection takes its first key for any name that it does not know, so this one holds a single key.
    let collection = JWTKeyCollection()
    guard (try? await collection.add(jwk: key)) != nil,
      let verifier = try? await collection.getKey(for: identifier)
    else { return nil }
    self.verifier = verifier
    self.name = name
    id = Self.id(of: jwk, named: name)
  }

  func isValid(_ signature: [UInt8], for message: [UInt8]) -> Bool {
    (try? verifier.verify(signature, signs: message)) ?? false
  }

  private static func number(_ member: String, of jwk: JSONValue) -> (text: String, bytes: [UInt8])?
  {
    guard let text = jwk[member]?.string, let bytes = Base64URL.decode(text), !bytes.isEmpty else {
      return nil
    }
    return (text, Array(bytes.drop { $0 == 0 }))
  }

  private static func id(of jwk: JSONValue, named name: String) -> ID {
    var identity = JSONObject()
    identity.set("kid", name)
    for member in ["kty", "crv", "n", "e", "x", "y"] {
      if let value = jwk[member] { identity.set(key: member, value) }
    }
    return SHA256.hash(identity.canonicalBytes())
  }
}

/// The keys of one issuer, by name.
struct KeySet: Sendable {
  private let keys: [String: VerificationKey]
  let ids: Set<VerificationKey.ID>

  /// Reads a JWK Set (RFC 7517, section 5). Keys that are no use to us are left out, and so are all keys that share
  /// their name with another one: which of them a token means cannot be known.
  ///
  /// - Throws: `KeyDocumentError` when it is no JWK Set at all.
  init(parsing document: [UInt8]) async throws(KeyDocumentError) {
    guard let members = try KeyDocumentError.object(document)["keys"]?.array else {
      throw .malformed("keys is not an array")
    }
    let names = members.compactMap { $0["kid"]?.string }
    let counts = Dictionary(names.map { ($0, 1) }, uniquingKeysWith: +)
    var keys: [String: VerificationKey] = [:]
    for jwk in members {
      guard let name = jwk["kid"]?.string, counts[name] == 1 else { continue }
      keys[name] = await VerificationKey(jwk, named: name)
    }
    self.keys = keys
    ids = Set(keys.values.map(\.id))
  }

  subscript(name: String) -> VerificationKey? {
    guard let key = keys[name], key.name.isExactly(name) else { return nil }
    return key
  }
}
