import ConfigurationFeed
import Support
import Testing

/// A gateway of a few lines: a snapshot, then every change of the stream applied to it.
final class TestGateway {
  private let client: TestClient
  private var connection: RawClient?
  private var body: [UInt8] = []
  private var parser = EventStreamParser()
  private(set) var document: ConfigurationDocument
  /// All events so far, oldest first.
  private(set) var events: [ServerSentEvent] = []

  /// - Parameter client: with a gateway's token.
  init(_ client: TestClient) async throws {
    self.client = client
    let snapshot = try await client.get("/v1/dataplane/snapshot")
    try #require(snapshot.status == 200, "\(snapshot.text)")
    document = try ConfigurationDocument(parsing: snapshot.body)
    #expect(snapshot["etag"] == #""\#(document.position)""#)
  }

  /// Connects, here or to another replica, and goes on behind what it has.
  func follow(on replica: TestClient? = nil, from cursor: String? = nil) async throws {
    let connection = try RawClient(port: (replica ?? client).http.port)
    try await connection.send(
      """
      GET /v1/dataplane/stream HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r
      Authorization: Bearer \(client.token ?? "")\r
      Last-Event-ID: \(cursor ?? "\(document.position)")\r\n\r\n
      """)
    let reply = try #require(try await connection.reply(toHead: true))
    #expect(reply.status == 200)
    #expect(reply.headers["content-type"] == "text/event-stream")
    (self.connection, body, parser) = (connection, [], EventStreamParser())
  }

  func snapshot() async throws -> HTTPReply { try await client.get("/v1/dataplane/snapshot") }

  /// Whether the other side hangs up within the time.
  func isCut(within time: Duration) async throws -> Bool {
    let connection = try #require(connection)
    var rest: [UInt8] = []
    let end = ContinuousClock.now + time
    while ContinuousClock.now < end {
      rest += try await connection.bytes(until: .now + .milliseconds(100))
      // The last chunk.
      if String(decoding: rest, as: UTF8.self).hasSuffix("0\r\n\r\n") { return true }
    }
    return false
  }

  /// Follows one replica after the other, hanging up each time.
  func roam(among replicas: [TestClient], for time: Duration) async throws {
    let end = ContinuousClock.now + time
    while ContinuousClock.now < end {
      for replica in replicas {
        try await follow(on: replica)
        try await take(for: .milliseconds(120)) { _ in false }
        hangUp()
      }
    }
  }

  func hangUp() { connection = nil }

  /// Takes what comes until this is so, or time is over.
  @discardableResult
  func take(
    for time: Duration = .seconds(10), until isDone: (TestGateway) -> Bool
  ) async throws -> Bool {
    let end = ContinuousClock.now + time
    while !isDone(self), ContinuousClock.now < end {
      guard let connection else { return isDone(self) }
      body += try await connection.bytes(until: min(end, .now + .milliseconds(100)))
      for event in try parser.append(unchunked()) {
        events.append(event)
        guard event.event == "change", let position = event.id.flatMap({ Int64($0) }) else {
          continue
        }
        try document.apply(Array(event.data.utf8), at: position)
      }
    }
    return isDone(self)
  }

  /// RFC 9112 §7.1, without extensions and trailers.
  private func unchunked() -> [UInt8] {
    var result: [UInt8] = []
    while let end = body.firstIndex(of: 0x0A) {
      let size = Int(String(decoding: body[..<(end - 1)], as: UTF8.self), radix: 16) ?? 0
      let next = end + 1 + size + 2
      guard body.count >= next else { break }
      result += body[(end + 1)..<(end + 1 + size)]
      body.removeFirst(next)
    }
    return result
  }
}
