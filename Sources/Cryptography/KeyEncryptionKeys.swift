/// A ring of key-encryption keys, by version: the newest one seals, all of them open. A key wraps other keys and never
/// data, so that it can be replaced without touching the data.
package struct KeyEncryptionKeys: Sendable {
  /// Why a list of keys cannot be used; repeats none of them.
  package struct Invalid: Error, CustomStringConvertible {
    package let description: String
  }

  private let keys: [Int32: [UInt8]]
  /// The version that seals.
  package let newest: Int32

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
    guard let newest = keys.keys.max() else { throw Invalid(description: "there is no key") }
    self.keys = keys
    self.newest = newest
  }

  /// One key, of version 1.
  package init(key: [UInt8]) {
    precondition(key.count == AES256GCM.keySize, "a key-encryption key has 32 bytes")
    keys = [1: key]
    newest = 1
  }

  private init(_ keys: [Int32: [UInt8]], newest: Int32) {
    self.keys = keys
    self.newest = newest
  }

  /// The versions that there are, the oldest first.
  package var versions: [Int32] { keys.keys.sorted() }

  /// The key of a version; nil when it is not in the ring.
  package subscript(version: Int32) -> [UInt8]? { keys[version] }

  /// This ring with another one's keys of versions that this one lacks. What seals stays the same.
  package func opening(alsoWith other: KeyEncryptionKeys) -> KeyEncryptionKeys {
    KeyEncryptionKeys(keys.merging(other.keys) { mine, _ in mine }, newest: newest)
  }
}
