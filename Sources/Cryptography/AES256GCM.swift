import COpenSSL

/// AES-256 in Galois/Counter Mode (NIST SP 800-38D): secrecy and authenticity in one.
///
/// A sealed box is nonce (12 bytes) ‖ ciphertext (as long as the plaintext) ‖ tag (16 bytes). The
/// nonce is random, so one key may seal at most 2³² boxes (section 8.3); a data key per record, as
/// provider keys have, stays far below that.
package enum AES256GCM {
  package static let keySize = 32
  private static let nonceSize = 12
  private static let tagSize = 16

  /// Encrypts `plaintext` and authenticates it together with `associatedData`, which is not in the
  /// box: say there what the box belongs to, so that it cannot be moved elsewhere.
  package static func seal(
    _ plaintext: [UInt8], key: [UInt8], associatedData: [UInt8]
  ) throws(CryptographyError) -> [UInt8] {
    try seal(
      plaintext, key: key, associatedData: associatedData, nonce: SecureRandom.bytes(nonceSize))
  }

  /// A nonce must never be used twice with one key: only test vectors choose theirs.
  static func seal(
    _ plaintext: [UInt8], key: [UInt8], associatedData: [UInt8], nonce: [UInt8]
  ) throws(CryptographyError) -> [UInt8] {
    let context = try makeContext(key: key, nonce: nonce, encrypts: true)
    defer { EVP_CIPHER_CTX_free(context) }
    try authenticate(associatedData, in: context)
    var box = nonce
    box += try transform(plaintext[...], in: context)
    var length: Int32 = 0
    guard EVP_CipherFinal_ex(context, nil, &length) == 1 else {
      throw .last("EVP_CipherFinal_ex")
    }
    var tag = [UInt8](repeating: 0, count: tagSize)
    guard EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tagSize), &tag) == 1 else {
      throw .last("EVP_CTRL_AEAD_GET_TAG")
    }
    return box + tag
  }

  /// The plaintext of a box that `seal` made with the same key and associated data.
  ///
  /// - Throws: `authenticationFailure` for anything else, a truncated box included.
  package static func open(
    _ box: [UInt8], key: [UInt8], associatedData: [UInt8]
  ) throws(CryptographyError) -> [UInt8] {
    guard box.count >= nonceSize + tagSize else { throw .authenticationFailure }
    let context = try makeContext(key: key, nonce: Array(box[..<nonceSize]), encrypts: false)
    defer { EVP_CIPHER_CTX_free(context) }
    var tag = Array(box.suffix(tagSize))
    guard EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tagSize), &tag) == 1 else {
      throw .last("EVP_CTRL_AEAD_SET_TAG")
    }
    try authenticate(associatedData, in: context)
    let plaintext = try transform(box[nonceSize..<(box.count - tagSize)], in: context)
    var length: Int32 = 0
    // A wrong tag leaves nothing in the error queue; the plaintext goes no further than this.
    guard EVP_CipherFinal_ex(context, nil, &length) == 1 else { throw .authenticationFailure }
    return plaintext
  }

  private static func makeContext(
    key: [UInt8], nonce: [UInt8], encrypts: Bool
  ) throws(CryptographyError) -> OpaquePointer {
    guard key.count == keySize else { throw .keySize(expected: keySize, actual: key.count) }
    precondition(nonce.count == nonceSize)
    let context = require(EVP_CIPHER_CTX_new(), "EVP_CIPHER_CTX_new")
    guard EVP_CipherInit_ex2(context, algorithm, key, nonce, encrypts ? 1 : 0, nil) == 1 else {
      EVP_CIPHER_CTX_free(context)
      throw .last("EVP_CipherInit_ex2")
    }
    return context
  }

  private static func authenticate(
    _ associatedData: [UInt8], in context: OpaquePointer
  ) throws(CryptographyError) {
    var length: Int32 = 0
    // Without an output, libcrypto takes the input for associated data.
    guard
      EVP_CipherUpdate(context, nil, &length, associatedData, Int32(associatedData.count)) == 1
    else { throw .last("EVP_CipherUpdate") }
  }

  private static func transform(
    _ input: ArraySlice<UInt8>, in context: OpaquePointer
  ) throws(CryptographyError) -> [UInt8] {
    guard !input.isEmpty else { return [] }
    var output = [UInt8](repeating: 0, count: input.count)
    var length: Int32 = 0
    let status = input.withUnsafeBufferPointer {
      EVP_CipherUpdate(context, &output, &length, $0.baseAddress, Int32($0.count))
    }
    guard status == 1, Int(length) == input.count else { throw .last("EVP_CipherUpdate") }
    return output
  }

  nonisolated(unsafe) private static let algorithm = require(
    EVP_CIPHER_fetch(nil, "AES-256-GCM", nil), "EVP_CIPHER_fetch")
}
