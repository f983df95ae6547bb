package import Cryptography

/// The keys that seal the keys of personal data. They come from a file or the environment, and are never in the database
/// that they protect unless nothing else was configured.
package struct KeyRing: Sendable {
  package typealias Invalid = KeyEncryptionKeys.Invalid

  private let keys: KeyEncryptionKeys
  /// The version that seals.
  package var current: Int32 { keys.newest }

  /// Reads `1:<key>,2:<key>`, or one a line: versions from 1, and 32 bytes each in base64url.
  ///
  /// - Throws: ``Invalid``.
  package init(_ list: String) throws(Invalid) {
    keys = try KeyEncryptionKeys(list)
  }

  /// One key, of version 1.
  package init(key: [UInt8]) {
    keys = KeyEncryptionKeys(key: key)
  }

  /// Seals another key under the newest of these.
  func seal(_ key: [UInt8], for purpose: [UInt8]) throws(CryptographyError) -> [UInt8] {
    try AES256GCM.seal(key, key: keys[current] ?? [], associatedData: purpose)
  }

  /// Opens what ``seal(_:for:)`` made with the key of that version.
  ///
  /// - Throws: `CryptographyError.authenticationFailure` also when there is no such version.
  func open(
    _ box: [UInt8], version: Int32, for purpose: [UInt8]
  ) throws(CryptographyError) -> [UInt8] {
    guard let key = keys[version] else { throw .authenticationFailure }
    return try AES256GCM.open(box, key: key, associatedData: purpose)
  }
}
