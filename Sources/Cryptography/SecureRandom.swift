import COpenSSL

/// Random bytes from libcrypto's generator (`RAND_bytes`), which the operating system seeds.
package enum SecureRandom {
  /// Fit for keys and tokens. Ends the process if there is no randomness: nothing could be issued
  /// safely then.
  package static func bytes(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      fill(UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]))
      initialized = count
    }
  }

  static func fill(_ buffer: UnsafeMutableRawBufferPointer) {
    guard !buffer.isEmpty else { return }
    let bytes = buffer.bindMemory(to: UInt8.self)
    require(RAND_bytes(bytes.baseAddress, Int32(bytes.count)) == 1, "RAND_bytes")
  }
}

/// `SecureRandom` for the standard library's `random(in:using:)` and `shuffled(using:)`, 512 bytes
/// at a time: most of what eight cost is the call.
///
/// A class, since the copy of a struct would repeat the original's numbers.
package final class SecureRandomNumberGenerator: RandomNumberGenerator {
  private var pool: [UInt64] = []

  package init() {}

  package func next() -> UInt64 {
    if let next = pool.popLast() { return next }
    pool = [UInt64](unsafeUninitializedCapacity: 64) { buffer, count in
      SecureRandom.fill(
        UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: 64 * 8))
      count = 64
    }
    return pool.removeLast()
  }
}
