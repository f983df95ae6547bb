import Glibc
import Synchronization

/// Stands in for an upstream provider: answers everything the same, and keeps what it was sent.
final class Upstream: Sendable {
  let port: UInt16
  private let listener: Int32
  private let received = Mutex<[String]>([])

  init() throws {
    port = freePort()
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in(loopback: port)
    guard address.withPointer({ bind(listener, $0, $1) }) == 0, listen(listener, 16) == 0 else {
      close(listener)
      throw HTTPConnection.Failure.refused
    }
  }

  /// Every request so far, head and body.
  var requests: [String] { received.withLock { $0 } }

  /// Answers until it is stopped.
  func run() async {
    await onThread {
      while true {
        let connection = accept(self.listener, nil, nil)
        guard connection >= 0 else { return }
        self.answer(connection)
        close(connection)
      }
    }
  }

  func stop() {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  private func answer(_ connection: Int32) {
    var text = ""
    var chunk = [UInt8](repeating: 0, count: 4096)
    while !Self.isComplete(text) {
      let count = recv(connection, &chunk, chunk.count, 0)
      guard count > 0 else { return }
      text += String(decoding: chunk[..<count], as: UTF8.self)
    }
    received.withLock { $0.append(text) }
    let body = #"{"usage":{"prompt_tokens":3,"completion_tokens":5}}"#
    let reply = Array(
      """
      HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r
      Content-Length: \(body.utf8.count)\r\n\r\n\(body)
      """.utf8)
    _ = send(connection, reply, reply.count, Int32(MSG_NOSIGNAL))
  }

  private static func isComplete(_ text: String) -> Bool {
    guard let end = text.firstRange(of: "\r\n\r\n") else { return false }
    let head = text[..<end.lowerBound].lowercased()
    let length = head.firstMatch(of: /content-length: ([0-9]+)/).flatMap { Int($0.output.1) }
    return text[end.upperBound...].utf8.count >= length ?? 0
  }
}
