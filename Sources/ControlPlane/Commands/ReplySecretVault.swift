import Cryptography
import Domain
import FoundationEssentials

/// Seals the secret that a reply shows, so that a repetition with the same Idempotency-Key can show it again.
///
/// Secrets are random. The sealed copy is kept in the reply's idempotency record and nowhere else, so that nothing can make
/// the secret again once the record is gone: a key that is repeated after 24 hours gets a new secret.
struct ReplySecretVault: Sendable {
  /// 32 bytes.
  private let key: [UInt8]

  init(hasher: TokenHasher) {
    key = hasher.derivedKey(for: "reply-secrets")
  }

  /// The same claim, with the secret sealed for its record.
  ///
  /// - Throws: `CryptographyError` when libcrypto refuses.
  func seal(
    _ secret: String, into claim: IdempotencyClaim
  ) throws(CryptographyError) -> IdempotencyClaim {
    var claim = claim
    claim.sealedSecret = try AES256GCM.seal(
      Array(secret.utf8), key: key, associatedData: Self.associatedData(claim))
    return claim
  }

  /// The secret that a stored reply showed.
  ///
  /// - Throws: `CryptographyError.authenticationFailure` when the record holds none, was tampered with, or is another
  ///   claim's.
  func open(_ box: [UInt8]?, of claim: IdempotencyClaim?) throws(CryptographyError) -> String {
    guard let box, let claim else { throw .authenticationFailure }
    let secret = try AES256GCM.open(box, key: key, associatedData: Self.associatedData(claim))
    return String(decoding: secret, as: UTF8.self)
  }

  /// Whose key it is, for which request: a box that is moved to another record does not open.
  private static func associatedData(_ claim: IdempotencyClaim) -> [UInt8] {
    claim.id.principalID.place + claim.requestHash + Array(claim.id.key.utf8)
  }
}
