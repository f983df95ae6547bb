import Domain
import NIOPosix
import Support
import Synchronization
import Testing

@testable import ControlPlane

/// What goes over the wire, and where it goes.
@Suite struct WebhookClientTests {
  static func request(_ url: String, _ body: String = "{}") throws -> WebhookRequest {
    WebhookRequest(url: try WebhookURL(url), headers: [("X-A", "b")], body: Array(body.utf8))
  }

  static func send(
    _ client: WebhookClient, _ url: String, _ body: String = "{}"
  ) async throws -> WebhookAnswer {
    var connection: WebhookConnection?
    defer { connection?.close() }
    return try await client.send(request(url, body), over: &connection)
  }

  /// Allows nothing but the internet, on the receiver's port.
  private static func strict(_ receiver: WebhookReceiver) -> TargetPolicy {
    TargetPolicy(ports: [UInt16(clamping: receiver.port)])
  }

  // MARK: Refused

  /// A name that led to the internet when it was looked at leads to this machine when it is connected to.
  @Test func `a name that changes its mind is connected to where it was looked at, or not at all`()
    async throws
  {
    let receiver = try await WebhookReceiver.start()
    let names = ChangingNames([["203.0.113.1"], ["127.0.0.1"], ["169.254.169.254", "10.1.1.1"]])
    let client = WebhookClient(policy: Self.strict(receiver), resolver: names)
    for _ in 0..<3 {
      await #expect(throws: WebhookFailure.targetRefused) {
        try await Self.send(client, "https://rebound.example.com:\(receiver.port)/")
      }
    }
    #expect(names.count == 3, "each attempt looks once, and nothing looks again")
    #expect(receiver.connections == 0)
  }

  @Test func `of a name's addresses only those of the internet are tried`() async throws {
    let receiver = try await WebhookReceiver.start()
    // 192.0.2.0/24 leads nowhere, but is not allowed either: what is left has to be tried, and nothing else.
    let names = ChangingNames([["127.0.0.1", "192.0.2.1", "::1"]])
    let client = WebhookClient(policy: Self.strict(receiver), resolver: names)
    await #expect(throws: WebhookFailure.targetRefused) {
      try await Self.send(client, "https://both.example.com:\(receiver.port)/")
    }
    #expect(receiver.connections == 0)
  }

  @Test(arguments: ["127.0.0.1", "[::1]", "localhost", "[::ffff:127.0.0.1]"])
  func `this machine is refused whatever it is called`(host: String) async throws {
    let receiver = try await WebhookReceiver.start()
    let client = WebhookClient(policy: Self.strict(receiver))
    await #expect(throws: WebhookFailure.targetRefused) {
      try await Self.send(client, "https://\(host):\(receiver.port)/")
    }
    #expect(receiver.connections == 0)
  }

  @Test func `a name that leads nowhere says so`() async throws {
    let client = WebhookClient(policy: TargetPolicy(), resolver: ChangingNames([]))
    await #expect(throws: WebhookFailure.hostNotFound) {
      try await Self.send(client, "https://nowhere.example.com/")
    }
  }

  @Test func `a name server that does not answer costs one attempt its time`() async throws {
    let client = WebhookClient(
      policy: TargetPolicy(), resolver: SilentNames(), timeLimit: .milliseconds(200))
    let start = ContinuousClock.now
    await #expect(throws: WebhookFailure.timeout) {
      try await Self.send(client, "https://silent.example.com/")
    }
    #expect(ContinuousClock.now - start < .seconds(10))
  }

  // MARK: Sent

  static func open(timeLimit: Duration = .seconds(15)) -> WebhookClient {
    WebhookClient(
      policy: TargetPolicy(allowsPrivate: true), resolver: ChangingNames([["127.0.0.1"]]),
      timeLimit: timeLimit)
  }

  @Test func `the connection goes to the address, and the request names the host`() async throws {
    let receiver = try await WebhookReceiver.start()
    let answer = try await Self.send(
      Self.open(), receiver.url("/hooks?a=%20b", host: "named.example.com"), #"{"a":1}"#)
    #expect(answer == WebhookAnswer(status: 204, excerpt: []))
    let message = try #require(receiver.messages.first)
    #expect(message["host"] == "named.example.com:\(receiver.port)")
    #expect(message.path == "/hooks?a=%20b")
    #expect(message["x-a"] == "b")
    #expect(message.text == #"{"a":1}"#)
  }

  @Test func `a redirect is an answer, and nobody goes there`() async throws {
    let other = try await WebhookReceiver.start()
    let receiver = try await WebhookReceiver.start { _ in
      .reply(307, headers: [("Location", other.url())])
    }
    #expect(try await Self.send(Self.open(), receiver.url()).status == 307)
    #expect(other.connections == 0)
  }

  @Test func `no more than a KiB of an answer is read, and not inflated`() async throws {
    let receiver = try await WebhookReceiver.start { _ in
      .reply(
        200, headers: [("Content-Encoding", "gzip")],
        body: [UInt8](repeating: 0x1F, count: 5_000_000))
    }
    let answer = try await Self.send(Self.open(), receiver.url())
    #expect(answer.excerpt == [UInt8](repeating: 0x1F, count: 1024))
  }

  @Test func `a status counts although its body never comes`() async throws {
    let receiver = try await WebhookReceiver.start { _ in .head(200) }
    let start = ContinuousClock.now
    #expect(try await Self.send(Self.open(), receiver.url()).status == 200)
    #expect(ContinuousClock.now - start < .seconds(12))
  }

  @Test func `whoever says nothing is given up in time, and whoever hangs up at once`() async throws
  {
    let receiver = try await WebhookReceiver.start { _ in .hang }
    let client = Self.open(timeLimit: .milliseconds(300))
    let start = ContinuousClock.now
    await #expect(throws: WebhookFailure.timeout) {
      try await Self.send(client, receiver.url())
    }
    #expect((.milliseconds(250)..<(.seconds(10))).contains(ContinuousClock.now - start))
    receiver.answer { _ in .close }
    await #expect(throws: WebhookFailure.connectionLost) {
      try await Self.send(client, receiver.url())
    }
    try await receiver.stop()
    await #expect(throws: WebhookFailure.connectionFailed) {
      try await Self.send(client, receiver.url())
    }
  }

  @Test func `https is spoken, and nothing else taken for it`() async throws {
    let receiver = try await WebhookReceiver.start()
    let client = Self.open(timeLimit: .seconds(3))
    await #expect(throws: WebhookFailure.self) {
      try await Self.send(client, "https://named.example.com:\(receiver.port)/")
    }
    #expect(receiver.messages.isEmpty)
  }

  @Test func `one connection carries what is sent one after the other`() async throws {
    let receiver = try await WebhookReceiver.start()
    let client = Self.open()
    var connection: WebhookConnection?
    for _ in 0..<5 {
      #expect(
        try await client.send(Self.request(receiver.url()), over: &connection).status == 204)
    }
    #expect(receiver.connections == 1)
    // A connection that was closed meanwhile is no failure.
    receiver.answer { [count = Mutex(0)] _ in
      count.withLock { count in
        count += 1
        return count == 1 ? .close : .ok
      }
    }
    #expect(try await client.send(Self.request(receiver.url()), over: &connection).status == 204)
    #expect(receiver.connections == 2)
    connection?.close()
  }
}

/// A name whose addresses are others each time; the last ones stay.
final class ChangingNames: HostResolver {
  private let answers: [[String]]
  private let asked = Mutex(0)

  init(_ answers: [[String]]) {
    self.answers = answers
  }

  /// How often somebody asked.
  var count: Int { asked.withLock { $0 } }

  func addresses(of name: String) async throws(HostNotFound) -> [IPAddress] {
    let number = asked.withLock { asked in
      defer { asked += 1 }
      return asked
    }
    guard !answers.isEmpty else { throw HostNotFound() }
    return answers[min(number, answers.count - 1)].compactMap { IPAddress($0) }
  }
}

private struct SilentNames: HostResolver {
  func addresses(of name: String) async throws(HostNotFound) -> [IPAddress] {
    try? await Task.sleep(for: .seconds(20))
    throw HostNotFound()
  }
}
