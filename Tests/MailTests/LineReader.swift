import Glibc

/// What a socket brings, in lines.
struct LineReader {
  let socket: Int32
  var buffer: [UInt8] = []

  init(socket: Int32) {
    self.socket = socket
    // A test that goes wrong has to come to an end.
    var limit = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  /// Without its CRLF; nil at the end.
  mutating func line() -> String? {
    while true {
      if let end = buffer.firstIndex(of: 10) {
        defer { buffer.removeFirst(end + 1) }
        return String(decoding: buffer[..<(end > 0 ? end - 1 : 0)], as: UTF8.self)
      }
      guard fill() else { return nil }
    }
  }

  mutating func fill() -> Bool {
    var chunk = [UInt8](repeating: 0, count: 4096)
    let count = recv(socket, &chunk, chunk.count, 0)
    if count > 0 { buffer += chunk[..<count] }
    return count > 0
  }
}
