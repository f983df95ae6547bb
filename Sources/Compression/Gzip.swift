import CZlib

/// Gzip (RFC 1952).
package enum Gzip {
  private static let step = 64 << 10

  /// Inflates one or more members, as RFC 1952 §2.2 has them. However little is sent, no more than `limit` bytes are made
  /// of it.
  ///
  /// - Throws: ``CompressionError``.
  package static func inflate(
    _ compressed: UnsafeRawBufferPointer, limit: Int
  ) throws(CompressionError) -> [UInt8] {
    var stream = z_stream()
    // 15 bits of window, and 16 to say: gzip and nothing else.
    guard
      inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
    else { throw .malformed }
    defer { inflateEnd(&stream) }
    // zlib does not write what it reads.
    stream.next_in = UnsafeMutableRawPointer(mutating: compressed.baseAddress)?
      .assumingMemoryBound(to: UInt8.self)
    stream.avail_in = UInt32(compressed.count)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(min(limit, 4 * compressed.count))
    var status = Z_OK
    while true {
      guard bytes.count <= limit else { throw .tooLarge }
      let chunk = [UInt8](unsafeUninitializedCapacity: step) { buffer, count in
        stream.next_out = buffer.baseAddress
        stream.avail_out = UInt32(step)
        status = CZlib.inflate(&stream, Z_NO_FLUSH)
        count = step - Int(stream.avail_out)
      }
      bytes += chunk
      switch status {
      case Z_STREAM_END:
        guard stream.avail_in > 0 else {
          guard bytes.count <= limit else { throw .tooLarge }
          return bytes
        }
        guard inflateReset(&stream) == Z_OK else { throw .malformed }
      case Z_OK: continue
      // Nothing can be done any more: the last member is not whole.
      default: throw .malformed
      }
    }
  }

  /// One member, as small as the usual effort makes it.
  package static func deflate(_ bytes: [UInt8]) -> [UInt8] {
    var stream = z_stream()
    let status = deflateInit2_(
      &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else { fatalError("zlib: out of memory") }
    defer { deflateEnd(&stream) }
    return bytes.withUnsafeBytes { source in
      stream.next_in = UnsafeMutableRawPointer(mutating: source.baseAddress)?
        .assumingMemoryBound(to: UInt8.self)
      stream.avail_in = UInt32(source.count)
      let most = Int(deflateBound(&stream, UInt(source.count)))
      return [UInt8](unsafeUninitializedCapacity: most) { buffer, count in
        stream.next_out = buffer.baseAddress
        stream.avail_out = UInt32(most)
        let status = CZlib.deflate(&stream, Z_FINISH)
        precondition(status == Z_STREAM_END, "zlib said how much there would be")
        count = most - Int(stream.avail_out)
      }
    }
  }
}
