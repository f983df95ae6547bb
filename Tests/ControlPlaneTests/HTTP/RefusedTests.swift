import ControlPlane
import HTTPTypes
import HummingbirdTesting
import NIOCore
import Testing

@Suite("4xx: what is refused before a feature sees it")
struct RefusedTests {
  @Test(
    "400: what is not HTTP is answered with a problem, and the connection closed",
    arguments: [
      "NONSENSE\r\n\r\n", "GET /livez HTTP/9.9\r\n\r\n", "GET /livez HTTP/1.1\r\nHo st: a\r\n\r\n",
      "BREW /livez HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
      "POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
      "POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
      "POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    ])
  func notHTTP(request: String) async throws {
    let server = LiveServer()
    try await server.run { _, port in
      let client = try RawClient(port: port)
      try await client.send(request)
      let reply = try #require(try await client.reply())
      #expect(reply.status == 400)
      #expect(reply.problem == "malformed-request")
      #expect(reply.headers["connection"] == "close")
      #expect(try await client.isClosed(within: .seconds(10)))
      #expect(try await client.reply() == nil)
    }
    #expect(server.handled.value == 0)
  }

  @Test("400: exactly one Host")
  func host() async throws {
    try await LiveServer().run { _, port in
      for hosts in ["", "Host: a\r\nHost: b\r\n"] {
        let client = try RawClient(port: port)
        try await client.send("GET /livez HTTP/1.1\r\n\(hosts)\r\n")
        #expect(try await client.reply()?.problem == "malformed-request")
      }
    }
  }

  @Test("400: a body cut short never reaches a handler")
  func cutShort() async throws {
    let server = LiveServer()
    try await server.run { _, port in
      let client = try RawClient(port: port)
      try await client.send(
        "POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
          + "Content-Length: 100\r\n\r\n{\"name\":\"x\"}")
      client.finishSending()
      #expect(try await client.isClosed(within: .seconds(10)))
    }
    #expect(server.handled.value == 0)
  }

  @Test("400: a broken request behind a good one does not spoil the good one's reply")
  func pipelinedNonsense() async throws {
    try await LiveServer().run { _, port in
      let client = try RawClient(port: port)
      try await client.send("GET /v1/things/x HTTP/1.1\r\nHost: a\r\n\r\nNONSENSE\r\n\r\n")
      #expect(try await client.reply()?.status == 200)
      #expect(try await client.reply()?.problem == "malformed-request")
      #expect(try await client.isClosed(within: .seconds(10)))
    }
  }

  @Test(
    "404: only the exact path is the resource, and an unknown path is not logged",
    arguments: [
      "/nope", "/v1/things/x/", "//v1/things/x", "/v1//things/x", "/v1/things/%78", "/v1/things/",
      "/v1/things/x/y", "/", "/V1/things/x", "/v1/things/:rotate/x", "/sk_live_secret",
    ])
  func notFound(path: String) async throws {
    let server = LiveServer()
    let log = try await server.run { client, _ in
      let reply = try await client.execute(uri: path, method: .get)
      #expect(reply.status == .notFound)
      #expect(reply.code == "not-found")
      #expect(!reply.text.contains("instance"))
    }
    #expect(log.contains(#""route":"unmatched","path":"unmatched","#))
    #expect(!log.contains("sk_live"))
    #expect(server.handled.value == 0)
  }

  @Test("404: a refusal of the router's own becomes a problem")
  func foreign() async throws {
    try await LiveServer().run { client, _ in
      let reply = try await client.execute(uri: "/v1/foreign", method: .get)
      #expect(reply.code == "not-found")
      #expect(reply.text.contains(#""instance":"/v1/foreign""#))
      #expect(!reply.text.contains("foreign\"}"))
    }
  }

  @Test("405: Allow lists the methods; a method nobody knows counts as _OTHER")
  func methodNotAllowed() async throws {
    let server = LiveServer()
    try await server.run { client, port in
      let reply = try await client.execute(uri: "/v1/things", method: .get)
      #expect(reply.code == "method-not-allowed")
      #expect(reply.headers[.allow] == "OPTIONS, POST")
      let raw = try RawClient(port: port)
      try await raw.send("PROPFIND /v1/things HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(try await raw.reply()?.problem == "method-not-allowed")
    }
    let text = String(decoding: server.metrics.text(), as: UTF8.self)
    #expect(
      text.contains(
        #"http_requests_total{method="_OTHER",route="unmatched",status="4xx"} 1"#))
    #expect(!text.contains("PROPFIND"))
  }

  @Test("406: Accept must leave room for JSON")
  func notAcceptable() async throws {
    try await LiveServer().run { client, _ in
      func status(_ accept: String) async throws -> Int {
        try await client.execute(
          uri: "/v1/things/x", method: .get, headers: [.accept: accept]
        ).status.code
      }
      for accept in [
        "application/json", "*/*", "application/*;q=0.1", "text/html, application/json;q=0.001",
        "APPLICATION/JSON", "application/problem+json", "*/*;q=0, application/json", "",
      ] {
        let accepted = try await status(accept)
        #expect(accepted == 200, "\(accept)")
      }
      for accept in [
        "text/html", "application/json;q=0", "application/json;q=0, */*", "application/*;q=0.000",
        "application/json;q=2", "image/*",
      ] {
        let refused = try await status(accept)
        #expect(refused == 406, "\(accept)")
      }
    }
  }

  @Test("412 and 428: a change names the version it changes")
  func preconditions() async throws {
    try await LiveServer().run { client, _ in
      func put(_ match: String?) async throws -> TestResponse {
        var headers: HTTPFields = [.contentType: "application/json"]
        headers[.ifMatch] = match
        return try await client.execute(
          uri: "/v1/things/x", method: .put, headers: headers, body: ByteBuffer(string: "{}"))
      }
      let absent = try await put(nil)
      #expect(absent.code == "precondition-required")
      let stale = try await put("\"6\"")
      #expect(stale.code == "precondition-failed")
      let weak = try await put("W/\"7\"")
      #expect(weak.code == "precondition-failed")
      let unquoted = try await put("7")
      #expect(unquoted.code == "malformed-header")
      let listed = try await put("\"6\", \"7\"")
      #expect(listed.status == .ok)
      let star = try await put("*")
      #expect(star.status == .ok)
    }
  }

  @Test("413: by Content-Length at once, and while streaming")
  func tooLarge() async throws {
    let server = LiveServer()
    try await server.run { client, port in
      let body = ByteBuffer(repeating: UInt8(ascii: " "), count: (1 << 20) + 1)
      let reply = try RawClient(port: port)
      try await reply.send(
        "POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
          + "Content-Length: \(body.readableBytes)\r\n\r\n")
      let refused = try #require(try await reply.reply())
      #expect(refused.problem == "body-too-large")
      #expect(refused.body.contains("\"limit\":1048576"))

      let chunked = try RawClient(port: port)
      try await chunked.send(
        "POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
          + "Transfer-Encoding: chunked\r\n\r\n")
      let chunk = "10000\r\n" + String(repeating: " ", count: 0x10000) + "\r\n"
      for _ in 0..<17 { try await chunked.send(chunk) }
      #expect(try await chunked.reply()?.problem == "body-too-large")
    }
    #expect(server.handled.value == 0)
  }

  @Test("415: a body is JSON in UTF-8, a patch may be a merge patch")
  func mediaType() async throws {
    try await LiveServer().run { client, _ in
      func status(_ method: HTTPRequest.Method, _ uri: String, _ headers: HTTPFields) async throws
        -> Int
      {
        try await client.execute(
          uri: uri, method: method, headers: headers, body: ByteBuffer(string: #"{"name":"a"}"#)
        ).status.code
      }
      for type in ["application/json; charset=UTF-8", "Application/JSON"] {
        let json = try await status(.post, "/v1/things", [.contentType: type])
        #expect(json == 201)
      }
      for type in [
        "text/plain", "application/merge-patch+json", "application/json; charset=latin1",
      ] {
        let other = try await status(.post, "/v1/things", [.contentType: type])
        #expect(other == 415)
      }
      let untyped = try await status(.post, "/v1/things", [:])
      #expect(untyped == 415)
      let gzip: HTTPFields = [.contentType: "application/json", .contentEncoding: "gzip"]
      let compressed = try await status(.post, "/v1/things", gzip)
      #expect(compressed == 415)
      let patch: HTTPFields = [.contentType: "application/merge-patch+json"]
      let patched = try await status(.patch, "/v1/things/x", patch)
      #expect(patched == 204)
    }
  }

  @Test("400 and 422: JSON syntax says where, the schema says everything")
  func payload() async throws {
    try await LiveServer().run { client, _ in
      func post(_ body: String, _ query: String = "") async throws -> TestResponse {
        try await client.execute(
          uri: "/v1/things\(query)", method: .post, headers: [.contentType: "application/json"],
          body: ByteBuffer(string: body))
      }
      let syntax = try await post("{\n \"name\": }")
      #expect(syntax.code == "malformed-json")
      #expect(syntax.text.contains("\"line\":2"))
      let empty = try await post("")
      #expect(empty.code == "malformed-json")
      let array = try await post("[]")
      #expect(array.code == "invalid-request")
      let schema = try await post(#"{"name":"", "a/b~":1}"#)
      #expect(schema.status == .unprocessableContent)
      #expect(schema.text.contains(#"{"pointer":"/name","code":"too-short""#))
      #expect(schema.text.contains(#"{"pointer":"/a~1b~0","code":"unknown""#))
      let query = try await post(#"{"name":"a"}"#, "?dry_run=yes&x=1")
      #expect(query.text.contains(#"{"parameter":"dry_run","code":"type""#))
      #expect(query.text.contains(#"{"parameter":"x","code":"unknown""#))
    }
  }

  @Test("401: what is not one bearer token is challenged")
  func bearer() async throws {
    try await LiveServer().run { client, _ in
      func me(_ authorization: String?) async throws -> TestResponse {
        var headers: HTTPFields = [:]
        headers[.authorization] = authorization
        return try await client.execute(uri: "/v1/me", method: .get, headers: headers)
      }
      let good = try await me("bearer a.b-c_d~e+f/g==")
      #expect(good.status == .noContent)
      let absent = try await me(nil)
      #expect(absent.code == "unauthenticated")
      #expect(absent.headers[.wwwAuthenticate] == "Bearer realm=\"signalbox\"")
      for bad in [
        "", "Bearer", "Bearer a b", "Basic YQ==", "Bearer =", "Bearer a,b", "Bearer é",
        "Bearer " + String(repeating: "a", count: (16 << 10) + 100),
      ] {
        let reply = try await me(bad)
        #expect(reply.status == .unauthorized, "\(bad.prefix(20))")
        #expect(!reply.text.contains("YQ=="))
      }
    }
  }

  @Test("431: a header that is too large")
  func headerTooLarge() async throws {
    try await LiveServer().run { _, port in
      let client = try RawClient(port: port)
      try await client.send("GET /livez HTTP/1.1\r\nHost: a\r\nX: ")
      try await client.send(String(repeating: "a", count: 40_000))
      #expect(try await client.reply()?.problem == "header-too-large")
      #expect(try await client.isClosed(within: .seconds(10)))
    }
  }
}
