import COpenSSL

/// HMAC (RFC 2104) with SHA-256: for webhook signatures, cursors, peppered key hashes.
///
/// A value holds one key, worked in once: what it authenticates costs two blocks less than with
/// a key that is given each time.
package final class HMACSHA256: Sendable {
  /// A context with the key, duplicated for each use and never changed, so threads may share it.
  nonisolated(unsafe) private let keyed: OpaquePointer

  /// A key of any length is accepted; one of 32 random bytes or more is as strong as the hash.
  package init(key: [UInt8]) {
    keyed = require(EVP_MAC_CTX_dup(Self.template), "EVP_MAC_CTX_dup")
    require(EVP_MAC_init(keyed, key, key.count, nil) == 1, "EVP_MAC_init")
  }

  deinit { EVP_MAC_CTX_free(keyed) }

  /// The 32-byte authentication code.
  package func authenticationCode(for message: some Sequence<UInt8>) -> [UInt8] {
    let context = require(EVP_MAC_CTX_dup(keyed), "EVP_MAC_CTX_dup")
    defer { EVP_MAC_CTX_free(context) }
    let isContiguous: Void? = message.withContiguousStorageIfAvailable {
      require(EVP_MAC_update(context, $0.baseAddress, $0.count) == 1, "EVP_MAC_update")
    }
    if isContiguous == nil {
      let bytes = Array(message)
      require(EVP_MAC_update(context, bytes, bytes.count) == 1, "EVP_MAC_update")
    }
    return [UInt8](unsafeUninitializedCapacity: 32) { code, count in
      require(EVP_MAC_final(context, code.baseAddress, &count, 32) == 1, "EVP_MAC_final")
    }
  }

  /// Whether `code` is the message's, in a time that tells nothing about where they differ.
  package func isValid(_ code: [UInt8], for message: some Sequence<UInt8>) -> Bool {
    constantTimeEquals(code, authenticationCode(for: message))
  }

  /// A context that knows its hash but no key, duplicated for each use: looking the algorithms up
  /// takes longer than authenticating a webhook. It is never changed, so threads may share it.
  nonisolated(unsafe) private static let template: OpaquePointer = {
    let algorithm = require(EVP_MAC_fetch(nil, "HMAC", nil), "EVP_MAC_fetch")
    defer { EVP_MAC_free(algorithm) }
    let context = require(EVP_MAC_CTX_new(algorithm), "EVP_MAC_CTX_new")
    // The length leaves out the final zero, but the library reads up to it nevertheless.
    var name = Array("SHA256\0".utf8)
    let status = name.withUnsafeMutableBytes { name in
      "digest".withCString { digest in
        let parameters = [
          OSSL_PARAM(
            key: digest, data_type: UInt32(OSSL_PARAM_UTF8_STRING), data: name.baseAddress,
            data_size: name.count - 1, return_size: 0),
          OSSL_PARAM(),  // the end
        ]
        return EVP_MAC_CTX_set_params(context, parameters)
      }
    }
    require(status == 1, "EVP_MAC_CTX_set_params")
    return context
  }()
}

/// Whether both are the same bytes, in a time that depends on nothing but their length. Of
/// different lengths: false (lengths are not secret).
package func constantTimeEquals(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
}
