import Cryptography

/// The key-encryption keys, by version: the newest seals, all open. They come from a file or the environment, and are
/// never in the database that they protect unless nothing else was configured.
package struct KeyRing: Sendable {
  /// Why a list of keys cannot be used; repeats none of them.
  package struct Invalid: Error, CustomStringConvertible {
    package let description: String
  }

  private let keys: [Int32: [UInt8]]
  /// The version that seals.
  package let current: Int32

  /// Reads `1:<key>,2:<key>`, or one a line: versions from 1, and 32 bytes each in base64url.
  ///
  /// - Throws: ``Invalid``.
  package init(_ list: String) throws(Invalid) {
    var keys: [Int32: [UInt8]] = [:]
    for entry in list.split(whereSeparator: { $0 == "," || $0.isWhitespace }) {
      let parts = entry.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, let version = Int32(parts[0]), version > 0 else {
        throw Invalid(description: "each key is written as VERSION:KEY, with a version from 1")
      }
      guard let key = Base64URL.decode(parts[1]), key.count == AES256GCM.keySize else {
        throw Invalid(
          description: "key \(version) is not 32 bytes in base64url without padding")
      }
      guard keys.updateValue(key, forKey: version) == nil else {
        throw Invalid(description: "version \(version) occurs twice")
      }
    }
    guard let current = keys.keys.max() else { throw Invalid(description: "there is no key") }
    self.keys = keys
    self.current = current
  }

  /// One key, of version 1.
  package init(key: [UInt8]) {
    precondition(key.count == AES256GCM.keySize, "a key-encryption key has 32 bytes")
    keys = [1: key]
    current = 1
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
