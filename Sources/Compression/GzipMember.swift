import CZlib

/// Bytes compressed by themselves, so that they can stand anywhere in a gzip member: they end on a byte, and refer to
/// nothing before them.
package struct GzipPart: Sendable {
  fileprivate let deflated: [UInt8]
  fileprivate let checksum: UInt
  fileprivate let count: Int

  package init(_ bytes: [UInt8]) {
    var stream = z_stream()
    let status = deflateInit2_(
      &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else { fatalError("zlib: out of memory") }
    defer { deflateEnd(&stream) }
    count = bytes.count
    (deflated, checksum) = bytes.withUnsafeBufferPointer { source in
      // zlib does not write what it reads.
      stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
      stream.avail_in = UInt32(source.count)
      // And a few bytes that end the part.
      let most = Int(deflateBound(&stream, UInt(source.count))) + 16
      let deflated = [UInt8](unsafeUninitializedCapacity: most) { buffer, count in
        stream.next_out = buffer.baseAddress
        stream.avail_out = UInt32(most)
        let status = CZlib.deflate(&stream, Z_FULL_FLUSH)
        precondition(status == Z_OK && stream.avail_in == 0, "zlib said how much there would be")
        count = most - Int(stream.avail_out)
      }
      return (deflated, crc32(0, source.baseAddress, UInt32(source.count)))
    }
  }
}

/// A gzip member (RFC 1952) that is put together from parts.
package struct GzipMember: Sendable {
  // RFC 1952 §2.3: deflate, no flags, no time, no hint, unknown system.
  private var bytes: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]
  private var checksum: UInt = 0
  private var count = 0

  package init() {}

  package mutating func append(_ part: GzipPart) {
    bytes += part.deflated
    checksum = crc32_combine(checksum, part.checksum, part.count)
    count += part.count
  }

  /// As they are, for what is not worth compressing (RFC 1951 §3.2.4).
  package mutating func append(stored text: [UInt8]) {
    var rest = text[...]
    while !rest.isEmpty {
      let block = rest.prefix(Int(UInt16.max))
      rest = rest.dropFirst(block.count)
      let length = UInt16(block.count)
      bytes.append(0)
      for word in [length, ~length] {
        bytes.append(UInt8(truncatingIfNeeded: word))
        bytes.append(UInt8(truncatingIfNeeded: word >> 8))
      }
      bytes += block
    }
    checksum = text.withUnsafeBufferPointer {
      crc32(checksum, $0.baseAddress, UInt32($0.count))
    }
    count += text.count
  }

  /// The whole member.
  package consuming func finished() -> [UInt8] {
    // An empty last block with fixed codes (RFC 1951 §3.2.6).
    bytes += [3, 0]
    for word in [UInt32(truncatingIfNeeded: checksum), UInt32(truncatingIfNeeded: count)] {
      bytes += (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
    }
    return bytes
  }
}
