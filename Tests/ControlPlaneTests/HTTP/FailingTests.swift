import ControlPlane
import HTTPTypes
import HummingbirdTesting
import Testing

@Suite("5xx: what goes wrong on our side")
struct FailingTests {
  struct Down: ReadinessCheck {
    let name = "database"
    func failure() async -> String? { "cannot be reached" }
  }

  @Test("500: an unforeseen error shows nothing of itself")
  func unforeseen() async throws {
    let log = try await LiveServer().run { client, _ in
      let reply = try await client.execute(uri: "/v1/broken", method: .get)
      #expect(reply.status == .internalServerError)
      #expect(reply.code == "internal-error")
      #expect(!reply.text.contains("hunter2") && !reply.text.contains("Unforeseen"))
    }
    #expect(log.contains("\"status\":500") && !log.contains("hunter2"))
  }

  @Test("503: a handler that is not done in time is cancelled and answered for")
  func deadline() async throws {
    var server = LiveServer()
    server.limits.handler = .milliseconds(300)
    let log = try await server.run { _, port in
      let client = try RawClient(port: port)
      let start = ContinuousClock.now
      try await client.send("GET /v1/slow HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\n\r\n")
      let reply = try #require(try await client.reply())
      #expect(reply.status == 503)
      #expect(reply.problem == "deadline-exceeded")
      #expect(reply.headers["retry-after"] == "1")
      #expect(reply.headers["x-request-id"] == "mine")
      #expect(ContinuousClock.now - start < .seconds(2))
      #expect(try await client.isClosed(within: .seconds(10)))
      try await Task.sleep(for: .milliseconds(200))
    }
    #expect(log.contains(#""request_id":"mine""#))
    #expect(log.contains(#""route":"/v1/slow","path":"/v1/slow","status":503"#))
    let text = String(decoding: server.metrics.text(), as: UTF8.self)
    #expect(text.contains(#"http_connections_cut_total{reason="handler_deadline"} 1"#))
    #expect(text.contains("http_requests_in_flight 0"))
  }

  @Test("503: readiness names what fails, liveness does not care")
  func notReady() async throws {
    var server = LiveServer()
    server.checks = [Down()]
    try await server.run { client, _ in
      let reply = try await client.execute(uri: "/readyz", method: .get)
      #expect(reply.code == "not-ready")
      #expect(
        reply.text.contains(
          #"{"check":"database","code":"failing","detail":"cannot be reached"}"#))
      let alive = try await client.execute(uri: "/livez", method: .get)
      #expect(alive.status == .ok)
    }
  }
}
