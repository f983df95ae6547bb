import ControlPlane
import Testing

@Suite("Slow senders and endless bodies are cut", .serialized)
struct SlowSenderTests {
  private var quick: LiveServer {
    var server = LiveServer()
    server.limits.header = .milliseconds(600)
    server.limits.body = .milliseconds(600)
    server.limits.idle = .milliseconds(600)
    server.limits.drainTime = .milliseconds(400)
    return server
  }

  private func cuts(_ server: LiveServer, _ reason: String) -> Bool {
    // The test client's own connection may have been cut as well.
    let text = String(decoding: server.metrics.text(), as: UTF8.self)
    return text.contains("http_connections_cut_total{reason=\"\(reason)\"} ")
      && !text.contains("http_connections_cut_total{reason=\"\(reason)\"} 0\n")
  }

  @Test("a connection that says nothing")
  func silent() async throws {
    let server = quick
    try await server.run { _, port in
      let client = try RawClient(port: port)
      #expect(try await client.isClosed(within: .seconds(10)))
    }
  }

  @Test("connections that do nothing make room when nearly all places are taken, and only then")
  func crowded() async throws {
    var server = LiveServer()
    server.limits.crowdedFrom = 4
    server.limits.crowdedHeader = .milliseconds(300)
    server.limits.crowdedIdle = .milliseconds(300)
    try await server.run { _, port in
      let used = try RawClient(port: port)
      try await used.send("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(try await used.reply()?.status == 200)
      let silent = try RawClient(port: port)
      #expect(try await !silent.isClosed(within: .milliseconds(1500)))
      let others = try (0..<4).map { _ in try RawClient(port: port) }
      #expect(try await used.isClosed(within: .seconds(10)))
      #expect(try await silent.reply()?.problem == "request-timeout")
      #expect(try await silent.isClosed(within: .seconds(10)))
      _ = others
    }
    #expect(cuts(server, "crowded"))
  }

  @Test("a header that drips, on a fresh connection and on a used one", arguments: [false, true])
  func dripHeader(isUsed: Bool) async throws {
    let server = quick
    try await server.run { _, port in
      let client = try RawClient(port: port)
      if isUsed {
        try await client.send("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try await client.reply()?.status == 200)
      }
      try await client.send("GET /livez HTTP/1.1\r\n")
      let start = ContinuousClock.now
      while ContinuousClock.now - start < .seconds(2), try await client.send("X: a\r\n") {
        try await Task.sleep(for: .milliseconds(50))
      }
      #expect(try await client.reply()?.problem == "request-timeout")
      #expect(try await client.isClosed(within: .seconds(10)))
    }
    #expect(cuts(server, "slow_header"))
  }

  @Test("a body that drips")
  func dripBody() async throws {
    let server = quick
    try await server.run { _, port in
      let client = try RawClient(port: port)
      try await client.send(
        "POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
          + "Content-Length: 1000\r\n\r\n")
      let start = ContinuousClock.now
      while ContinuousClock.now - start < .seconds(2), try await client.send(" ") {
        try await Task.sleep(for: .milliseconds(50))
      }
      #expect(try await client.reply()?.problem == "request-timeout")
      #expect(try await client.isClosed(within: .seconds(10)))
    }
    #expect(cuts(server, "slow_body"))
    #expect(server.handled.value == 0)
  }

  @Test("an idle connection, quietly")
  func idle() async throws {
    let server = quick
    try await server.run { _, port in
      let client = try RawClient(port: port)
      try await client.send("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(try await client.reply()?.status == 200)
      #expect(try await client.isClosed(within: .seconds(10)))
      #expect(try await client.reply() == nil)
    }
    #expect(cuts(server, "idle"))
  }

  @Test("a body that goes on after 413: no more than 64 KiB of it is read")
  func endless() async throws {
    var server = quick
    server.limits.drainTime = .seconds(5)
    try await server.run { _, port in
      let client = try RawClient(port: port)
      try await client.send(
        "POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
          + "Content-Length: 1000000000\r\n\r\n")
      #expect(try await client.reply()?.problem == "body-too-large")
      let block = [UInt8](repeating: 0x20, count: 32 << 10)
      var sent = 0
      while sent < 500, try await client.send(block) { sent += 1 }
      #expect(sent < 500)
      #expect(try await client.isClosed(within: .seconds(10)))
    }
    #expect(cuts(server, "drain"))
  }

  @Test("a refused body that stops is not waited for")
  func abandoned() async throws {
    let server = quick
    try await server.run { _, port in
      let client = try RawClient(port: port)
      try await client.send("GET /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
      #expect(try await client.reply()?.status == 404)
      #expect(try await client.isClosed(within: .seconds(10)))
    }
    #expect(cuts(server, "drain"))
  }

  @Test("a small body of a refused request is drained, and the connection goes on")
  func drained() async throws {
    try await LiveServer().run { _, port in
      let client = try RawClient(port: port)
      try await client.send("GET /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
      #expect(try await client.reply()?.status == 404)
      try await client.send("12345GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(try await client.reply()?.status == 200)
    }
  }

  @Test("hundreds of silent connections do not slow a good one")
  func crowd() async throws {
    try await LiveServer().run { _, port in
      let crowd = try (0..<400).map { _ in try RawClient(port: port) }
      for client in crowd { try await client.send("GET /livez HTT") }
      let good = try RawClient(port: port)
      let start = ContinuousClock.now
      for _ in 0..<50 {
        try await good.send("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try await good.reply()?.status == 200)
      }
      #expect(ContinuousClock.now - start < .seconds(2))
      withExtendedLifetime(crowd) {}
    }
  }
}
