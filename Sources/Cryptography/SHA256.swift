import COpenSSL

/// SHA-256 (FIPS 180-4).
package enum SHA256 {
  /// The hash of the parts, one after the other, without joining them in memory first.
  ///
  /// The boundaries between parts are not part of what is hashed: where they matter, lengths must
  /// be among the parts.
  package static func hash(_ parts: [UInt8]...) -> SHA256Digest {
    withContext { context in
      for part in parts { part.withUnsafeBytes { update(context, $0) } }
    }
  }

  /// The same, of any number of parts.
  package static func hash(of parts: some Sequence<[UInt8]>) -> SHA256Digest {
    withContext { context in
      for part in parts { part.withUnsafeBytes { update(context, $0) } }
    }
  }

  package static func hash(_ bytes: UnsafeRawBufferPointer) -> SHA256Digest {
    withContext { update($0, bytes) }
  }

  private static func update(_ context: OpaquePointer, _ bytes: UnsafeRawBufferPointer) {
    require(
      EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1, "EVP_DigestUpdate")
  }

  private static func withContext(_ body: (OpaquePointer) -> Void) -> SHA256Digest {
    let context = require(EVP_MD_CTX_new(), "EVP_MD_CTX_new")
    defer { EVP_MD_CTX_free(context) }
    require(EVP_DigestInit_ex2(context, algorithm, nil) == 1, "EVP_DigestInit_ex2")
    body(context)
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 32) { hash in
      require(EVP_DigestFinal_ex(context, hash.baseAddress, nil) == 1, "EVP_DigestFinal_ex")
      return SHA256Digest(UnsafeRawBufferPointer(hash))
    }
  }

  // Fetched once: finding the implementation takes longer than hashing an event.
  nonisolated(unsafe) private static let algorithm = require(
    EVP_MD_fetch(nil, "SHA256", nil), "EVP_MD_fetch")
}

/// The 32 bytes of a SHA-256 hash, stored inline.
///
/// `==` may stop at the first difference; where a hash stands for a secret, compare with
/// `constantTimeEquals`.
package struct SHA256Digest: Sendable, Hashable {
  // Big-endian words: the first byte of the hash is the highest of the first word.
  private let words: (UInt64, UInt64, UInt64, UInt64)

  /// `bytes` must be 32.
  fileprivate init(_ bytes: UnsafeRawBufferPointer) {
    func word(_ index: Int) -> UInt64 {
      UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self))
    }
    words = (word(0), word(1), word(2), word(3))
  }

  /// A stored hash; nil unless it has 32 bytes.
  package init?(bytes: [UInt8]) {
    guard bytes.count == 32 else { return nil }
    self = bytes.withUnsafeBytes { SHA256Digest($0) }
  }

  package var bytes: [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
      let raw = UnsafeMutableRawBufferPointer(buffer)
      raw.storeBytes(of: words.0.bigEndian, toByteOffset: 0, as: UInt64.self)
      raw.storeBytes(of: words.1.bigEndian, toByteOffset: 8, as: UInt64.self)
      raw.storeBytes(of: words.2.bigEndian, toByteOffset: 16, as: UInt64.self)
      raw.storeBytes(of: words.3.bigEndian, toByteOffset: 24, as: UInt64.self)
      count = 32
    }
  }

  /// 64 hexadecimal digits in lower case.
  package var hexString: String {
    func digit(_ value: UInt8) -> UInt8 {
      value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
    return String(unsafeUninitializedCapacity: 64) { text in
      for (index, byte) in bytes.enumerated() {
        text[2 * index] = digit(byte >> 4)
        text[2 * index + 1] = digit(byte & 15)
      }
      return 64
    }
  }

  package static func == (left: SHA256Digest, right: SHA256Digest) -> Bool {
    left.words == right.words
  }

  package func hash(into hasher: inout Hasher) {
    // Any eight bytes of a cryptographic hash tell as much as all of them.
    hasher.combine(words.0)
  }
}
