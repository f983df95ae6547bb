import Compression
import ConfigurationFeed
import Hummingbird
import NIOCore

/// The snapshot in one content coding, put together from parts that are compressed once: after a change only what changed is
/// compressed again, and however many ask for the same position, it is put together once.
actor CompressedSnapshot {
  private struct Part {
    let prefix: [UInt8]
    let piece: [UInt8]
    let compressed: Compressed
  }

  private enum Compressed {
    /// Of the piece.
    case gzip(GzipPart)
    /// A frame of the prefix and the piece.
    case zstd([UInt8])
  }

  private let coding: ContentCoding
  private var parts: [DocumentPart.ID: Part] = [:]
  private var newest: (position: Int64, bytes: ByteBuffer)?

  init(_ coding: ContentCoding) {
    self.coding = coding
  }

  /// The whole document: one gzip member (RFC 1952), or zstd frames one after the other (RFC 8878).
  nonisolated func bytes(of document: ConfigurationDocument) async -> ByteBuffer {
    // An event loop's connections do not wait for this.
    await withTaskExecutorPreference(globalConcurrentExecutor) { await assembled(document) }
  }

  private func assembled(_ document: ConfigurationDocument) -> ByteBuffer {
    if let newest, newest.position == document.position { return newest.bytes }
    let bytes =
      switch coding {
      case .gzip: gzip(document)
      case .zstd: zstd(document)
      }
    if newest.map({ $0.position < document.position }) ?? true {
      newest = (document.position, bytes)
    }
    return bytes
  }

  private func gzip(_ document: ConfigurationDocument) -> ByteBuffer {
    var member = GzipMember()
    var used: [DocumentPart.ID: Part] = [:]
    used.reserveCapacity(parts.count)
    for part in document.parts {
      member.append(stored: part.prefix)
      guard let id = part.id else { continue }
      // Equal pieces are mostly the same array, which costs no look at their bytes.
      let known = parts[id].flatMap { $0.piece == part.piece ? $0 : nil }
      let current =
        known ?? Part(prefix: [], piece: part.piece, compressed: .gzip(GzipPart(part.piece)))
      if case .gzip(let compressed) = current.compressed { member.append(compressed) }
      used[id] = current
    }
    parts = used
    return ByteBuffer(bytes: member.finished())
  }

  private func zstd(_ document: ConfigurationDocument) -> ByteBuffer {
    var bytes = ByteBuffer()
    var used: [DocumentPart.ID: Part] = [:]
    used.reserveCapacity(parts.count)
    // What is little stands at the beginning of the next frame: a frame of its own would be mostly its head.
    var prefix: [UInt8] = []
    for part in document.parts {
      prefix += part.prefix
      guard let id = part.id else { continue }
      let known = parts[id].flatMap { $0.piece == part.piece && $0.prefix == prefix ? $0 : nil }
      let current =
        known
        ?? Part(
          prefix: prefix, piece: part.piece,
          compressed: .zstd(Zstd.deflate(prefix + part.piece)))
      if case .zstd(let frame) = current.compressed { bytes.writeBytes(frame) }
      used[id] = current
      prefix = []
    }
    bytes.writeBytes(Zstd.deflate(prefix))
    parts = used
    return bytes
  }
}
