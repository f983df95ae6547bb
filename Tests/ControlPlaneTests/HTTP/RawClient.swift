import Glibc
import Testing

/// A socket that says exactly what it is told to, for requests no proper client would send. It
/// never blocks a thread: the server under test runs on the same few.
final class RawClient {
  /// A reply as it came over the wire.
  struct Reply {
    var status: Int
    var headers: [String: String]
    var body: String
  }

  private let descriptor: CInt
  private var received: [UInt8] = []

  /// - Parameter receiveBuffer: how many bytes the kernel takes for this client before it reads them; nil for the usual number.
  init(port: Int, receiveBuffer: CInt? = nil) throws {
    descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    if var receiveBuffer {
      setsockopt(
        descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, socklen_t(MemoryLayout<CInt>.size))
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(connected == 0)
  }

  /// Whether the server has closed the connection, as far as was read.
  private var isEnded = false

  deinit { Glibc.close(descriptor) }

  /// False when the server no longer takes bytes.
  @discardableResult
  func send(_ text: String) async throws -> Bool { try await send(Array(text.utf8)) }

  @discardableResult
  func send(_ bytes: [UInt8]) async throws -> Bool {
    var rest = bytes[...]
    let end = ContinuousClock.now + Self.patience
    while !rest.isEmpty, ContinuousClock.now < end {
      let count = rest.withUnsafeBytes {
        Glibc.send(
          descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
      }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        try await Task.sleep(for: .milliseconds(1))
      } else {
        return false
      }
    }
    return rest.isEmpty
  }

  /// Tells the server that nothing more comes, as `shutdown(SHUT_WR)` does.
  func finishSending() { shutdown(descriptor, CInt(SHUT_WR)) }

  /// Whether the server closes within the time; what it sends before is kept for `reply()`.
  func isClosed(within duration: Duration) async throws -> Bool {
    let end = ContinuousClock.now + duration
    while try await receive(until: end) {}
    return isEnded
  }

  /// The next reply; nil when the connection ends, or ten seconds pass, without one.
  func reply(toHead: Bool = false) async throws -> Reply? {
    let end = ContinuousClock.now + Self.patience
    while true {
      if let reply = parse(toHead) { return reply }
      if try await !receive(until: end) { return parse(toHead) }
    }
  }

  /// What has come, or comes within the time, as it is.
  func bytes(until end: ContinuousClock.Instant) async throws -> [UInt8] {
    if received.isEmpty { _ = try await receive(until: end) }
    defer { received = [] }
    return received
  }

  private static let patience: Duration = .seconds(10)

  /// Waits for bytes; false at the end of the connection or of the time. Looks once more when the time is over: beside
  /// hundreds of other tests this one may not have had a turn meanwhile.
  private func receive(until end: ContinuousClock.Instant) async throws -> Bool {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let isOver = ContinuousClock.now >= end
      let count = recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT))
      if count > 0 {
        received += buffer[..<count]
        return true
      }
      isEnded = count == 0 || errno != EAGAIN
      if isEnded || isOver { return false }
      try await Task.sleep(for: .milliseconds(1))
    }
  }

  private func parse(_ toHead: Bool) -> Reply? {
    let separator = Array("\r\n\r\n".utf8)
    guard received.count >= 4,
      let end = received.indices.dropLast(3).first(where: {
        received[$0..<($0 + 4)] == separator[...]
      })
    else { return nil }
    let lines = String(decoding: received[..<end], as: UTF8.self).split(separator: "\r\n")
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      headers[parts[0].lowercased()] = parts[1].drop { $0 == " " }.description
    }
    let length = toHead ? 0 : Int(headers["content-length"] ?? "0") ?? 0
    guard received.count >= end + 4 + length else { return nil }
    let body = String(decoding: received[(end + 4)..<(end + 4 + length)], as: UTF8.self)
    received.removeFirst(end + 4 + length)
    let status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    return Reply(status: status ?? 0, headers: headers, body: body)
  }
}

extension RawClient.Reply {
  /// The problem's code, read from `type`, after checking that it is a problem in every respect.
  var problem: String? {
    guard headers["content-type"] == "application/problem+json",
      let start = body.firstRange(of: "\"type\":\"/problems/")?.upperBound
    else { return nil }
    let code = String(body[start...].prefix { $0 != "\"" })
    guard body.contains("\"status\":\(status)"), body.contains("\"code\":\"\(code)\""),
      let id = headers["x-request-id"], body.contains("\"request_id\":\"\(id)\"")
    else { return nil }
    return code
  }
}
