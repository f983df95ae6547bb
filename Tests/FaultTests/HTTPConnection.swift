import Glibc

/// One keep-alive connection of a client that blocks, and that knows whether a request can have been
/// read: no library's retries or pools may come between the ledger and the wire.
struct HTTPConnection: ~Copyable {
  struct Response: Sendable {
    let status: Int
    /// Names in lowercase.
    let headers: [String: String]
    let body: [UInt8]
  }

  enum Failure: Error, Equatable {
    /// Nobody listens.
    case refused
    /// The connection ended, or was reset, before the answer was complete.
    case closed
    /// No answer in time.
    case silent
  }

  private let socket: Int32
  private var buffer: [UInt8] = []
  /// Whether the last answer asked for another connection.
  private(set) var isSpent = false

  init(port: UInt16) throws(Failure) {
    socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    precondition(socket >= 0, "socket: errno \(errno)")
    var address = sockaddr_in(loopback: port)
    let connected = address.withPointer { connect(socket, $0, $1) }
    guard connected == 0 else { throw .refused }
    var one: Int32 = 1
    setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
  }

  deinit { close(socket) }

  /// Sends one request and waits for its answer.
  ///
  /// - Parameter head: request line and header fields, without the empty line at the end.
  mutating func send(
    head: String, body: [UInt8], patience: Duration
  ) throws(Failure) -> Response {
    let deadline = ContinuousClock.now + patience
    let length = body.isEmpty ? "" : "Content-Length: \(body.count)\r\n"
    try write(Array("\(head)Host: localhost\r\n\(length)\r\n".utf8) + body)
    var end = try awaitHead(deadline)
    let lines = String(decoding: buffer[..<end], as: UTF8.self).split(separator: "\r\n")
    end += 4
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      headers[parts[0].lowercased()] = parts.count < 2 ? "" : String(parts[1].drop { $0 == " " })
    }
    let status = Int(lines[0].split(separator: " ")[1]) ?? 0
    let count = headers["content-length"].flatMap { Int($0) } ?? 0
    while buffer.count < end + count { try read(deadline) }
    let content = Array(buffer[end..<end + count])
    buffer.removeFirst(end + count)
    isSpent = headers["connection"]?.lowercased() == "close"
    return Response(status: status, headers: headers, body: content)
  }

  private mutating func awaitHead(_ deadline: ContinuousClock.Instant) throws(Failure) -> Int {
    while true {
      if let end = buffer.indices.first(where: {
        buffer[$0...].starts(with: Array("\r\n\r\n".utf8))
      }) {
        return end
      }
      try read(deadline)
    }
  }

  private mutating func read(_ deadline: ContinuousClock.Instant) throws(Failure) {
    let left = (deadline - .now).components
    let milliseconds = left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000
    var descriptor = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    guard milliseconds > 0, poll(&descriptor, 1, Int32(milliseconds)) > 0 else { throw .silent }
    var chunk = [UInt8](repeating: 0, count: 16_384)
    let count = recv(socket, &chunk, chunk.count, 0)
    guard count > 0 else { throw .closed }
    buffer += chunk[..<count]
  }

  private func write(_ bytes: [UInt8]) throws(Failure) {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(socket, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw .closed }
      sent += count
    }
  }
}

extension sockaddr_in {
  init(loopback port: UInt16) {
    self.init()
    sin_family = sa_family_t(AF_INET)
    sin_port = port.bigEndian
    sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
  }

  mutating func withPointer<Value>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Value) -> Value {
    withUnsafePointer(to: &self) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}
