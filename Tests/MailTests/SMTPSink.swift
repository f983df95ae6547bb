import Foundation
import Glibc
import Synchronization

@testable import Mail

/// A mail server on this host that records what it is told, and answers as it is scripted.
final class SMTPSink: Sendable {
  /// What came over the wire, in the order in which it came.
  struct Record: Sendable {
    /// The lines outside of mails, without their CRLF.
    var commands: [String] = []
    /// Mails as they are meant: without the dots that the transfer adds.
    var mails: [[UInt8]] = []
    var connections = 0
  }

  private struct State {
    var record = Record()
    var replies: [String: [String?]]
  }

  let port: UInt16
  private let listener: Int32
  private let extensions: [String]
  private let delay: Duration
  private let state: Mutex<State>

  /// - Parameters:
  ///   - replies: what is answered to a command in its place, one time after the other, instead of
  ///     what accepts it; nil answers nothing. `CONNECT` is the greeting, `.` the end of a mail.
  ///   - extensions: what EHLO offers.
  ///   - delay: before every reply.
  init(replies: [String: [String?]] = [:], extensions: [String] = [], delay: Duration = .zero) {
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listener = listener
    withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        precondition(bind(listener, $0, length) == 0 && listen(listener, 16) == 0, "bind")
        getsockname(listener, $0, &length)
      }
    }
    port = UInt16(bigEndian: address.sin_port)
    self.extensions = extensions
    self.delay = delay
    state = Mutex(State(replies: replies))
    Thread.detachNewThread { [self] in
      while case let client = accept(listener, nil, nil), client >= 0 {
        state.withLock { $0.record.connections += 1 }
        serve(client)
        Glibc.close(client)
      }
      Glibc.close(listener)
    }
  }

  /// Ends the thread, which keeps this value alive, as soon as its client is gone.
  func close() { shutdown(listener, Int32(SHUT_RDWR)) }

  var record: Record { state.withLock { $0.record } }

  private func serve(_ client: Int32) {
    var lines = LineReader(client)
    answer("CONNECT", "220 sink", client)
    while let line = lines.next() {
      let command = String(decoding: line, as: UTF8.self)
      state.withLock { $0.record.commands.append(command) }
      switch String(command.prefix { $0 != " " }).uppercased() {
      case "EHLO":
        let texts = ["sink"] + extensions
        let reply = texts.enumerated().map { index, text in
          "250\(index == texts.count - 1 ? " " : "-")\(text)"
        }
        answer("EHLO", reply.joined(separator: "\r\n"), client)
      case "DATA":
        guard answer("DATA", "354 go on", client).hasPrefix("3") else { continue }
        var mail: [UInt8] = []
        while let line = lines.next(), line != Array(".".utf8) {
          mail += (line.first == UInt8(ascii: ".") ? Array(line.dropFirst()) : line) + [13, 10]
        }
        state.withLock { $0.record.mails.append(mail) }
        answer(".", "250 taken", client)
      case "QUIT":
        answer("QUIT", "221 bye", client)
        return
      case "AUTH": answer("AUTH", "235 welcome", client)
      case let verb: answer(verb, "250 fine", client)
      }
    }
  }

  @discardableResult
  private func answer(_ command: String, _ accepting: String, _ client: Int32) -> String {
    let reply = state.withLock { state -> String? in
      guard state.replies[command]?.isEmpty == false else { return accepting }
      return state.replies[command]?.removeFirst()
    }
    guard let reply else { return "" }
    if delay > .zero { usleep(UInt32(delay / .microseconds(1))) }
    let bytes = Array((reply + "\r\n").utf8)
    _ = Glibc.send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    return reply
  }
}

extension SMTPSink {
  /// A mailer that knows this sink, with timeouts that a test can wait for.
  func mailer(
    options: String = "", user: String = "", timeout: Duration = .seconds(10)
  ) throws -> SMTPMailer {
    let url = "smtp://\(user)127.0.0.1:\(port)?from=noreply@example.com\(options)"
    var configuration = try SMTPConfiguration(parsing: url)
    configuration.timeout = timeout
    return SMTPMailer(configuration)
  }
}

/// Lines that end in CRLF, and in nothing else.
private struct LineReader {
  private let socket: Int32
  private var buffer: [UInt8] = []

  init(_ socket: Int32) { self.socket = socket }

  /// - Returns: nil when the client is gone.
  mutating func next() -> [UInt8]? {
    while true {
      let end = buffer.indices.dropLast().first { buffer[$0] == 13 && buffer[$0 + 1] == 10 }
      if let end {
        defer { buffer.removeFirst(end + 2) }
        return Array(buffer[..<end])
      }
      var chunk = [UInt8](repeating: 0, count: 4096)
      let count = recv(socket, &chunk, chunk.count, 0)
      guard count > 0 else { return nil }
      buffer += chunk[..<count]
    }
  }
}
