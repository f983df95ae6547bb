import COpenSSL

/// A public key of ECDSA over NIST P-256 with SHA-256 (FIPS 186-5), to verify what somebody else signed.
package final class P256PublicKey: Sendable {
  /// Never changed, so threads may share it.
  nonisolated(unsafe) private let key: OpaquePointer

  /// Reads a `PUBLIC KEY` block (RFC 7468, section 13).
  ///
  /// - Throws: `malformedKey` for anything else, a key of another kind or on another curve included.
  package convenience init(pem: String) throws(CryptographyError) {
    let lines = pem.split(whereSeparator: \.isNewline)
    guard lines.count > 2, lines.first == "-----BEGIN PUBLIC KEY-----",
      lines.last == "-----END PUBLIC KEY-----",
      let der = Base64.decode(lines.dropFirst().dropLast().joined())
    else { throw .malformedKey }
    try self.init(der: der)
  }

  /// Reads a SubjectPublicKeyInfo (RFC 5480).
  ///
  /// - Throws: `malformedKey` as above.
  package init(der: [UInt8]) throws(CryptographyError) {
    let (key, length) = der.withUnsafeBufferPointer { bytes in
      var end = bytes.baseAddress
      let key = d2i_PUBKEY(nil, &end, bytes.count)
      return (key, end.flatMap { end in bytes.baseAddress.map { end - $0 } })
    }
    guard let key else {
      ERR_clear_error()
      throw .malformedKey
    }
    guard length == der.count, Self.isP256(key) else {
      EVP_PKEY_free(key)
      throw .malformedKey
    }
    self.key = key
  }

  deinit { EVP_PKEY_free(key) }

  /// Whether this is the signature's key: an ECDSA-Sig-Value in DER (RFC 3279, section 2.2.3) over the message.
  package func isValid(_ signature: [UInt8], for message: [UInt8]) -> Bool {
    let context = require(EVP_MD_CTX_new(), "EVP_MD_CTX_new")
    defer { EVP_MD_CTX_free(context) }
    require(
      EVP_DigestVerifyInit_ex(context, nil, "SHA256", nil, nil, key, nil) == 1,
      "EVP_DigestVerifyInit_ex")
    let status = EVP_DigestVerify(context, signature, signature.count, message, message.count)
    // What is no signature at all leaves entries in the thread's error queue.
    if status != 1 { ERR_clear_error() }
    return status == 1
  }

  private static func isP256(_ key: OpaquePointer) -> Bool {
    guard EVP_PKEY_is_a(key, "EC") == 1 else { return false }
    var name = [CChar](repeating: 0, count: 64)
    guard EVP_PKEY_get_group_name(key, &name, name.count, nil) == 1 else {
      ERR_clear_error()
      return false
    }
    return name.prefix { $0 != 0 }.elementsEqual("prime256v1".utf8.map { CChar(bitPattern: $0) })
  }
}
