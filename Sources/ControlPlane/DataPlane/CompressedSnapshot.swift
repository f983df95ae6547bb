import Compression
import ConfigurationFeed
import Hummingbird
import NIOCore

/// The snapshot as gzip, put together from parts that are compressed once: after a change only what changed is compressed
/// again, and however many ask for the same position, it is put together once.
actor CompressedSnapshot {
  private var parts: [DocumentPart.ID: (piece: [UInt8], compressed: GzipPart)] = [:]
  private var newest: (position: Int64, bytes: ByteBuffer)?

  /// The whole document as one gzip member (RFC 1952).
  nonisolated func gzip(_ document: ConfigurationDocument) async -> ByteBuffer {
    // An event loop's connections do not wait for this.
    await withTaskExecutorPreference(globalConcurrentExecutor) { await assembled(document) }
  }

  private func assembled(_ document: ConfigurationDocument) -> ByteBuffer {
    if let newest, newest.position == document.position { return newest.bytes }
    var member = GzipMember()
    var used: [DocumentPart.ID: (piece: [UInt8], compressed: GzipPart)] = [:]
    used.reserveCapacity(parts.count)
    for part in document.parts {
      member.append(stored: part.prefix)
      guard let id = part.id else { continue }
      // Equal pieces are mostly the same array, which costs no look at their bytes.
      let known = parts[id].flatMap { $0.piece == part.piece ? $0 : nil }
      let current = known ?? (part.piece, GzipPart(part.piece))
      member.append(current.compressed)
      used[id] = current
    }
    parts = used
    let bytes = ByteBuffer(bytes: member.finished())
    if newest.map({ $0.position < document.position }) ?? true {
      newest = (document.position, bytes)
    }
    return bytes
  }
}
