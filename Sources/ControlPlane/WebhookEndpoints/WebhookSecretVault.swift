package import Cryptography
package import Domain
import FoundationEssentials

/// Seals signing secrets before a command carries them, and opens them to sign. Under the keys of personal data: gateways,
/// which hold those of provider keys, must not be able to sign for us.
package struct WebhookSecretVault: Sendable {
  /// How many random bytes a secret is. Standard Webhooks asks for 24 to 64.
  static let secretSize = 32

  private let keys: KeyRing

  package init(keys: KeyRing) {
    self.keys = keys
  }

  /// - Throws: `CryptographyError` when libcrypto refuses.
  func seal(
    _ secret: [UInt8], of endpoint: WebhookEndpointID, in organization: OrganizationID
  ) throws(CryptographyError) -> SealedKey {
    // Taken before sealing; the ring itself never changes.
    let version = Int64(keys.current)
    return SealedKey(
      bytes: try keys.seal(secret, for: Self.place(endpoint, organization)), keyVersion: version)
  }

  /// - Throws: `CryptographyError.authenticationFailure` when it was tampered with, moved, or its key is not in the ring.
  func open(
    _ sealed: SealedKey, of endpoint: WebhookEndpointID, in organization: OrganizationID
  ) throws(CryptographyError) -> [UInt8] {
    try keys.open(
      sealed.bytes, version: Int32(clamping: sealed.keyVersion),
      for: Self.place(endpoint, organization))
  }

  /// Longer than the places of other keys that the ring seals: no box is good for two purposes.
  private static func place(
    _ endpoint: WebhookEndpointID, _ organization: OrganizationID
  ) -> [UInt8] {
    Array("webhook-secret".utf8) + organization.uuid.place + endpoint.uuid.place
  }
}
