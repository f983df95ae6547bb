import CZstd

/// Zstandard (RFC 8878).
package enum Zstd {
  private static let step = 128 << 10
  /// RFC 9659: what a receiver of `Content-Encoding: zstd` must take, and need not exceed, is a window of 8 MiB.
  private static let largestWindow: Int32 = 23

  /// Inflates one or more frames. However little is sent, no more than `limit` bytes are made of it, and no frame has a
  /// window of more than 8 MiB.
  ///
  /// - Throws: ``CompressionError``.
  package static func inflate(
    _ compressed: UnsafeRawBufferPointer, limit: Int
  ) throws(CompressionError) -> [UInt8] {
    guard let context = ZSTD_createDCtx() else { fatalError("zstd: out of memory") }
    defer { ZSTD_freeDCtx(context) }
    let code = ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, largestWindow)
    precondition(ZSTD_isError(code) == 0, "a window that zstd knows")
    var input = ZSTD_inBuffer(src: compressed.baseAddress, size: compressed.count, pos: 0)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(min(limit, 4 * compressed.count))
    // How much more is wanted; 0 at the end of a frame.
    var hint = 1
    while true {
      let chunk = [UInt8](unsafeUninitializedCapacity: step) { buffer, count in
        var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: step, pos: 0)
        hint = ZSTD_decompressStream(context, &output, &input)
        count = output.pos
      }
      guard ZSTD_isError(hint) == 0 else { throw .malformed }
      bytes += chunk
      guard bytes.count <= limit else { throw .tooLarge }
      guard input.pos == input.size else { continue }
      // The frame has ended, and nothing of it is held back.
      if hint == 0 { return bytes }
      guard chunk.count == step else { throw .malformed }
    }
  }

  /// One frame, as small as the usual effort makes it, with a checksum.
  package static func deflate(_ bytes: [UInt8]) -> [UInt8] {
    guard let context = ZSTD_createCCtx() else { fatalError("zstd: out of memory") }
    defer { ZSTD_freeCCtx(context) }
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    let most = ZSTD_compressBound(bytes.count)
    return [UInt8](unsafeUninitializedCapacity: most) { buffer, count in
      count = ZSTD_compress2(context, buffer.baseAddress, most, bytes, bytes.count)
      precondition(ZSTD_isError(count) == 0, "zstd said how much there would be")
    }
  }
}
