import FoundationEssentials
import HTTPTypes
import HummingbirdTesting
import Testing

@testable import ControlPlane

@Suite("Bodies are read within limits, and large ones only for callers who are known")
struct BodyTests {
  private static let head =
    "POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"

  @Test(
    "a large body without a token is refused before any of it is read",
    arguments: ["Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n"])
  func withoutToken(length: String) async throws {
    var server = LiveServer()
    server.asksForToken = true
    try await server.run { _, port in
      let client = try RawClient(port: port)
      try await client.send(Self.head + length + "\r\n")
      let reply = try #require(try await client.reply())
      #expect(reply.status == 401)
      #expect(reply.problem == "unauthenticated")
      #expect(reply.headers["www-authenticate"]?.hasPrefix("Bearer") == true)
    }
    #expect(server.handled.value == 0)
  }

  @Test("a caller who waits for 100-continue and has no token gets 401 in its place")
  func withoutTokenExpecting() async throws {
    var server = LiveServer()
    server.asksForToken = true
    try await server.run { _, port in
      let client = try RawClient(port: port)
      try await client.send(
        Self.head + "Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
      #expect(try await client.reply()?.status == 401)
    }
  }

  @Test("a large body with a token is read, and so is a small one without")
  func read() async throws {
    var server = LiveServer()
    server.asksForToken = true
    try await server.run { _, port in
      let client = try RawClient(port: port)
      let large = "{\"name\":\"x\"\(String(repeating: " ", count: 100_000))}"
      try await client.send(
        Self.head + "Authorization: Bearer good\r\nContent-Length: \(large.utf8.count)\r\n\r\n"
          + large)
      #expect(try await client.reply()?.status == 201)
      try await client.send(Self.head + "Content-Length: 12\r\n\r\n{\"name\":\"y\"}")
      #expect(try await client.reply()?.status == 201)
    }
  }

  @Test("a chunked body that came with its head holds up no request behind it")
  func chunkedWithHead() async throws {
    try await LiveServer().run { _, port in
      let client = try RawClient(port: port)
      for _ in 0..<3 {
        try await client.send(
          "PUT /v1/me HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        #expect(try await client.reply()?.status == 405)
        try await client.send("GET /v1/things/x HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try await client.reply()?.status == 200)
      }
    }
  }

  @Test("the budget is shared: no caller takes more than a share, and everything comes back")
  func budget() throws {
    let budget = BodyBudget(limit: 100, share: 60)
    let (ada, ben) = (UUID(), UUID())
    var first: BodyReservation? = BodyReservation(budget, caller: ada)
    try first?.grow(to: 50)
    try first?.grow(to: 40)
    #expect(budget.bytes == 50)
    let second = BodyReservation(budget, caller: ada)
    #expect(throws: Problem.self) { try second.grow(to: 11) }
    try second.grow(to: 10)
    let third = BodyReservation(budget, caller: ben)
    #expect(throws: Problem.self) { try third.grow(to: 41) }
    try third.grow(to: 40)
    #expect(budget.bytes == 100)
    first = nil
    #expect(budget.bytes == 50)
    try third.grow(to: 60)
    #expect(throws: Problem.self) { try third.grow(to: .max) }
  }

  // MARK: What every reply says

  @Test(
    "every reply forbids guessing its type, and caches keep only what is the same for everybody")
  func fields() async throws {
    try await LiveServer().run { client, port in
      for path in ["/v1/things/x", "/v1/broken", "/nope", "/livez"] {
        let reply = try await client.execute(uri: path, method: .get)
        #expect(reply.headers[.xContentTypeOptions] == "nosniff", "\(path)")
        // What is the same for everybody and says nothing of anybody may be kept.
        #expect((reply.headers[.cacheControl] == "no-store") == (path != "/livez"), "\(path)")
      }
      #expect(
        try await client.execute(uri: "/v1/regions", method: .get).headers[.cacheControl] == nil)
      let raw = try RawClient(port: port)
      try await raw.send("NONSENSE\r\n\r\n")
      #expect(try await raw.reply()?.headers["x-content-type-options"] == "nosniff")
    }
  }

  @Test("HEAD of a stream tells no length and sends no body, and the connection goes on")
  func headOfStream() async throws {
    try await LiveServer().run { _, port in
      let client = try RawClient(port: port)
      try await client.send("HEAD /v1/stream HTTP/1.1\r\nHost: a\r\n\r\n")
      let reply = try #require(try await client.reply(toHead: true))
      #expect(reply.status == 200)
      #expect(reply.headers["content-length"] == nil)
      #expect(reply.headers["content-type"] == "text/event-stream")
      try await client.send("GET /v1/things/x HTTP/1.1\r\nHost: a\r\n\r\n")
      let next = try #require(try await client.reply())
      #expect(next.status == 200)
      #expect(next.body.contains("\"id\":\"x\""))
    }
  }

  @Test(
    "JSON in UTF-8 may be called utf8, in whatever case",
    arguments: ["utf-8", "UTF-8", "utf8", "UTF8", "\"utf-8\"", "\"utf8\""])
  func charset(name: String) async throws {
    #expect(MediaTypes.isJSON("application/json; charset=\(name)", allowMergePatch: false))
    #expect(MediaTypes.isJSON("application/json;Charset=\(name)", allowMergePatch: false))
    #expect(!MediaTypes.isJSON("application/json; charset=latin1", allowMergePatch: false))
  }

  @Test("a token may have 16 KiB, and no more")
  func tokenLength() throws {
    func token(_ count: Int) throws(Problem) -> BearerToken {
      try BearerToken([.authorization: "Bearer " + String(repeating: "a", count: count)])
    }
    #expect(try token(16 << 10).value.utf8.count == 16 << 10)
    #expect(throws: Problem.self) { try token((16 << 10) + 100) }
  }

  @Test("the places of one address are counted, those of trusted proxies are not")
  func addresses() throws {
    let addresses = ConnectionsByAddress(
      limit: 2, trustedProxies: try TrustedProxies("192.0.2.0/24"))
    #expect(addresses.enter("203.0.113.1") && addresses.enter("203.0.113.1"))
    #expect(!addresses.enter("203.0.113.1"))
    #expect(addresses.enter("203.0.113.2"))
    addresses.leave("203.0.113.1")
    #expect(addresses.enter("203.0.113.1"))
    for _ in 0..<10 { #expect(addresses.enter("192.0.2.7")) }
  }

  @Test("only names and addresses of this machine are local")
  func localHosts() {
    for name in [
      "localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:80", "a.localhost",
    ] { #expect(LocalHost.isLocal(authority: name), "\(name)") }
    for name in [
      "", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "128.0.0.1", "[::2]",
      "[::1", "0.0.0.0", "::1:80:1", "10.0.0.1:8080",
    ] { #expect(!LocalHost.isLocal(authority: name), "\(name)") }
  }
}
