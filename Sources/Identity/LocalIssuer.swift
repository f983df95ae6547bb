import Cryptography
import FoundationEssentials
import JSON
import JWTKit

/// An issuer inside this process, for development: signs in whoever asks, without asking who they are.
///
/// Its tokens go the way of all others, through `IdentityVerifier` with `provider`.
package struct LocalIssuer: Sendable {
  package static let issuer = "urn:signalbox:dev"
  package static let audience = "signalbox"

  /// What verifies its tokens.
  package let provider: IdentityProvider
  private let keyName: String
  private let signer: any JWTAlgorithm

  /// - Parameter privateKey: the 32 bytes of an Ed25519 key (RFC 8032, section 5.1.5). Tokens outlive a restart
  ///   only if it is the same.
  /// - Throws: when it has another length.
  package init(privateKey: [UInt8] = SecureRandom.bytes(32)) async throws {
    let key = try EdDSA.PrivateKey(d: Base64URL.encode(privateKey), curve: .ed25519)
    let publicKey = Array(key.publicKey.rawRepresentation)
    keyName = SHA256.hash(publicKey).hexString
    signer = try await JWTKeyCollection().add(eddsa: key).getKey()
    var jwk = JSONObject()
    jwk.set("kty", "OKP")
    jwk.set("crv", "Ed25519")
    jwk.set("alg", SignatureAlgorithm.edDSA.rawValue)
    jwk.set("use", "sig")
    jwk.set("kid", keyName)
    jwk.set("x", Base64URL.encode(publicKey))
    var keySet = JSONObject()
    keySet.set("keys", [jwk])
    provider = IdentityProvider(
      issuer: Self.issuer, audience: Self.audience, algorithm: .edDSA, fixedKeys: keySet.bytes())
  }

  /// A token for whoever has that e-mail address; its spelling in capitals or small letters makes no other subject.
  ///
  /// - Parameters:
  ///   - unixSeconds: when it is issued.
  ///   - lifetime: in seconds.
  /// - Throws: nothing of its own; what the signature's implementation throws.
  package func issue(
    email: String, name: String?, at unixSeconds: Int64, lifetime: Int64
  ) throws -> String {
    var header = JSONObject()
    header.set("alg", signer.name)
    header.set("kid", keyName)
    header.set("typ", "at+jwt")
    var claims = JSONObject()
    claims.set("iss", Self.issuer)
    claims.set("sub", SHA256.hash(Array(email.lowercased().utf8)).hexString)
    claims.set("aud", Self.audience)
    claims.set("iat", unixSeconds)
    claims.set("exp", unixSeconds + lifetime)
    claims.set("jti", Base64URL.encode(SecureRandom.bytes(16)))
    claims.set("email", email)
    claims.set("email_verified", true)
    if let name { claims.set("name", name) }
    let signed = Base64URL.encode(header.bytes()) + "." + Base64URL.encode(claims.bytes())
    return signed + "." + Base64URL.encode(try signer.sign(Array(signed.utf8)))
  }
}
