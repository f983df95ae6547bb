package import Cryptography
package import Domain
import FoundationEssentials

/// Seals provider keys before a command carries them: nothing behind it ever sees one in clear.
package struct ProviderKeyVault: Sendable {
  /// What seals; gateways hold these keys too.
  package let keys: KeyEncryptionKeys
  private let fingerprints: HMACSHA256

  /// - Parameter hasher: fingerprints are keyed with a secret derived from its pepper, so that nobody can try out keys on a
  ///   copy of the database.
  package init(keys: KeyEncryptionKeys, hasher: TokenHasher) {
    self.keys = keys
    fingerprints = HMACSHA256(key: hasher.derivedKey(for: "provider-key-fingerprints"))
  }

  /// What is kept of a key, in the one place where it opens.
  ///
  /// - Throws: `CryptographyError`.
  func secret(
    _ key: String, of project: ProjectID, in organization: OrganizationID, for provider: Provider
  ) throws(CryptographyError) -> ProviderKey.Secret {
    let context = ProviderKeyContext(organization, project, provider)
    let sealed = try SealedSecret.seal(Array(key.utf8), for: context.bytes, under: keys)
    return ProviderKey.Secret(
      sealed: SealedKey(sealed), fingerprint: fingerprint(of: key), lastFour: String(key.suffix(4)))
  }

  /// The first 64 bits of a keyed hash, as four groups that people can compare: `1f0c-93ab-77d2-e604`.
  func fingerprint(of key: String) -> String {
    let digits = fingerprints.authenticationCode(for: key.utf8).prefix(8).map { byte in
      let text = String(byte, radix: 16)
      return text.count == 1 ? "0" + text : text
    }
    return stride(from: 0, to: 8, by: 2).map { digits[$0] + digits[$0 + 1] }.joined(separator: "-")
  }
}

extension ProviderKeyContext {
  /// The place of a project's key for a provider.
  package init(_ organization: OrganizationID, _ project: ProjectID, _ provider: Provider) {
    self.init(
      organization: organization.uuid.place, project: project.uuid.place,
      provider: provider.description)
  }
}

extension SealedKey {
  package init(_ sealed: SealedSecret) {
    self.init(envelope: sealed.text, keyVersion: Int64(sealed.keyVersion))
  }
}

extension ProviderKeyID {
  /// A project has one key for a provider, and so it has one id: a UUID of version 8 (RFC 9562, section 5.8), made of the
  /// first bits of SHA-256 over the project's UUID and the provider's name.
  package init(of project: ProjectID, for provider: Provider) {
    var bytes = Array(
      SHA256.hash(project.uuid.place, Array(provider.description.utf8)).bytes.prefix(16))
    bytes[6] = 0x80 | bytes[6] & 0x0f
    bytes[8] = 0x80 | bytes[8] & 0x3f
    self.init(UUID(leading: bytes))
  }
}
