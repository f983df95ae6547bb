/// A secret in an envelope: encrypted under a data key of its own, which is wrapped by a key-encryption key. Sealed by a
/// control plane, opened by whoever holds that key. `ops/sealed-provider-keys.md` specifies the bytes for others.
///
/// | bytes | what |
/// |---|---|
/// | 1 | the format, 1 |
/// | 4 | the version of the key-encryption key, big-endian |
/// | 60 | the data key: AES-256-GCM under the key-encryption key, authenticated with the 5 bytes before and the context |
/// | 28 + n | the secret: AES-256-GCM under the data key, authenticated with the context |
///
/// The context says where the secret belongs and is not in the envelope: in another place neither box opens.
package struct SealedSecret: Hashable, Sendable {
  /// Why an envelope does not open. Which of its bytes are wrong is not known, and must not be told.
  package enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// Too short, or not the one way of writing it in base64url.
    case malformed
    /// Made by a program that is newer than this one.
    case unknownFormat(UInt8)
    /// The key-encryption key of this version is not in the ring.
    case unknownKeyVersion(Int64)
    /// Tampered with, moved from its place, or sealed under another key of the same version.
    case notAuthentic

    package var description: String {
      switch self {
      case .malformed: "the sealed value is malformed"
      case .unknownFormat(let format):
        "the sealed value is of format \(format), which is not known here"
      case .unknownKeyVersion(let version):
        "the sealed value needs key-encryption key \(version), which is not in the ring"
      case .notAuthentic:
        "the sealed value was tampered with, belongs elsewhere, or was sealed under another key"
      }
    }
  }

  private static let format: UInt8 = 1
  private static let headSize = 5
  private static let overhead = 28
  private static let wrappedKeySize = AES256GCM.keySize + overhead
  private static let bodyStart = headSize + wrappedKeySize

  /// The envelope.
  package let bytes: [UInt8]
  /// Of the key-encryption key that opens it.
  package let keyVersion: Int32

  /// Reads an envelope, without opening it.
  package init(bytes: [UInt8]) throws(Failure) {
    guard let format = bytes.first else { throw .malformed }
    guard format == Self.format else { throw .unknownFormat(format) }
    guard bytes.count >= Self.bodyStart + Self.overhead else { throw .malformed }
    let version = bytes[1..<Self.headSize].reduce(Int64(0)) { $0 << 8 | Int64($1) }
    guard let keyVersion = Int32(exactly: version) else { throw .unknownKeyVersion(version) }
    self.bytes = bytes
    self.keyVersion = keyVersion
  }

  /// Reads an envelope in base64url, without opening it.
  package init(_ text: String) throws(Failure) {
    guard let bytes = Base64URL.decode(text) else { throw .malformed }
    try self.init(bytes: bytes)
  }

  /// The envelope in base64url.
  package var text: String { Base64URL.encode(bytes) }

  /// Seals a secret under a new data key, and that under the newest key of the ring.
  package static func seal(
    _ secret: [UInt8], for context: [UInt8], under keys: KeyEncryptionKeys
  ) throws(CryptographyError) -> SealedSecret {
    let dataKey = SecureRandom.bytes(AES256GCM.keySize)
    let body = try AES256GCM.seal(secret, key: dataKey, associatedData: context)
    return try wrap(dataKey, body[...], for: context, under: keys)
  }

  /// The secret.
  package func open(
    for context: [UInt8], with keys: KeyEncryptionKeys
  ) throws(Failure) -> [UInt8] {
    let dataKey = try dataKey(for: context, with: keys)
    return try Self.authentic { () throws(CryptographyError) in
      try AES256GCM.open(
        Array(bytes[Self.bodyStart...]), key: dataKey, associatedData: context)
    }
  }

  /// The same secret under the same data key, which is wrapped by the newest key of the ring. The secret itself is not
  /// opened.
  ///
  /// - Throws: ``Failure`` when the envelope does not open; `CryptographyError` when libcrypto refuses.
  package func rewrapped(
    for context: [UInt8], under keys: KeyEncryptionKeys
  ) throws -> SealedSecret {
    guard keyVersion != keys.newest else { return self }
    return try Self.wrap(
      dataKey(for: context, with: keys), bytes[Self.bodyStart...], for: context, under: keys)
  }

  private func dataKey(
    for context: [UInt8], with keys: KeyEncryptionKeys
  ) throws(Failure) -> [UInt8] {
    guard let key = keys[keyVersion] else { throw .unknownKeyVersion(Int64(keyVersion)) }
    return try Self.authentic { () throws(CryptographyError) in
      try AES256GCM.open(
        Array(bytes[Self.headSize..<Self.bodyStart]), key: key,
        associatedData: bytes[..<Self.headSize] + context)
    }
  }

  private static func wrap(
    _ dataKey: [UInt8], _ body: ArraySlice<UInt8>, for context: [UInt8],
    under keys: KeyEncryptionKeys
  ) throws(CryptographyError) -> SealedSecret {
    guard let key = keys[keys.newest] else { preconditionFailure("a ring has its newest key") }
    let head = [format] + withUnsafeBytes(of: keys.newest.bigEndian) { Array($0) }
    let wrapped = try AES256GCM.seal(dataKey, key: key, associatedData: head + context)
    return SealedSecret(bytes: head + wrapped + body, keyVersion: keys.newest)
  }

  private init(bytes: [UInt8], keyVersion: Int32) {
    self.bytes = bytes
    self.keyVersion = keyVersion
  }

  private static func authentic(
    _ open: () throws(CryptographyError) -> [UInt8]
  ) throws(Failure) -> [UInt8] {
    do throws(CryptographyError) { return try open() } catch { throw .notAuthentic }
  }
}

/// Where a provider key belongs: the context that its envelope is bound to.
///
/// Organization (16 bytes) ‖ project (16 bytes) ‖ provider (UTF-8). The first two have one length, so no two places
/// share their bytes.
package struct ProviderKeyContext: Hashable, Sendable {
  package let bytes: [UInt8]

  /// - Parameters:
  ///   - organization: the 16 bytes of its UUID.
  ///   - project: the 16 bytes of its UUID.
  package init(organization: [UInt8], project: [UInt8], provider: String) {
    precondition(organization.count == 16 && project.count == 16, "a UUID has 16 bytes")
    bytes = organization + project + Array(provider.utf8)
  }
}
