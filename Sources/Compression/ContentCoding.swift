/// How a body is compressed, by its name in `Content-Encoding` (RFC 9110 §8.4.1).
package enum ContentCoding: String, CaseIterable, Sendable {
  case zstd, gzip

  /// - Throws: ``CompressionError``.
  package func inflate(
    _ compressed: UnsafeRawBufferPointer, limit: Int
  ) throws(CompressionError) -> [UInt8] {
    switch self {
    case .zstd: try Zstd.inflate(compressed, limit: limit)
    case .gzip: try Gzip.inflate(compressed, limit: limit)
    }
  }

  package func deflate(_ bytes: [UInt8]) -> [UInt8] {
    switch self {
    case .zstd: Zstd.deflate(bytes)
    case .gzip: Gzip.deflate(bytes)
    }
  }
}
