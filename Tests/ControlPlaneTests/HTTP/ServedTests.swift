import ControlPlane
import HTTPTypes
import HummingbirdTesting
import NIOCore
import Testing

@Suite("2xx and 304: what is served")
struct ServedTests {
  @Test("a GET is answered with its bytes, its ETag and a request id")
  func get() async throws {
    let log = try await LiveServer().run { client, _ in
      let reply = try await client.execute(uri: "/v1/things/x?limit=3", method: .get)
      #expect(reply.status == .ok)
      #expect(reply.text == #"{"id":"x","tag":"{}"}"#)
      #expect(reply.headers[.eTag] == "\"7\"")
      #expect(reply.headers[.contentType] == "application/json")
      #expect(reply.headers[.requestID]?.count == 32)
    }
    #expect(log.contains(#""method":"GET","route":"/v1/things/{thing}","path":"/v1/things/x","#))
    #expect(log.contains(#""status":200,"duration_us":"#))
    #expect(!log.contains("limit"))
  }

  @Test("a valid X-Request-Id is echoed, an invalid one replaced")
  func requestID() async throws {
    try await LiveServer().run { client, _ in
      let mine = try await client.execute(
        uri: "/livez", method: .get, headers: [.requestID: "A-b_c.9"])
      #expect(mine.headers[.requestID] == "A-b_c.9")
      for bad in ["", "a b", "é", String(repeating: "a", count: 129), "a\"b"] {
        let reply = try await client.execute(
          uri: "/livez", method: .get, headers: [.requestID: bad])
        #expect(reply.headers[.requestID]?.count == 32, "\(bad)")
      }
    }
  }

  @Test("traceparent reaches the log when valid and is ignored when not")
  func trace() async throws {
    let trace = "0af7651916cd43dd8448eb211c80319c"
    let log = try await LiveServer().run { client, _ in
      for value in ["00-\(trace)-b7ad6b7169203331-01", "00-\(trace)-b7ad6b7169203331-0"] {
        let reply = try await client.execute(
          uri: "/livez", method: .get, headers: [HTTPField.Name("traceparent")!: value])
        #expect(reply.status == .ok)
      }
    }
    #expect(log.ranges(of: "\"trace_id\":\"\(trace)\"").count == 1)
  }

  @Test("HEAD has the header of GET and no body, also when it fails")
  func head() async throws {
    try await LiveServer().run { _, port in
      let client = try RawClient(port: port)
      try await client.send("HEAD /v1/things/x HTTP/1.1\r\nHost: a\r\n\r\n")
      let reply = try #require(try await client.reply(toHead: true))
      #expect(reply.status == 200)
      #expect(reply.headers["content-length"] == "21")
      try await client.send("HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(try await client.reply(toHead: true)?.status == 404)
      try await client.send("GET /v1/things/y HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(try await client.reply()?.body == #"{"id":"y","tag":"{}"}"#)
    }
  }

  @Test("OPTIONS answers with what is allowed")
  func options() async throws {
    try await LiveServer().run { client, _ in
      let reply = try await client.execute(uri: "/v1/things/x", method: .options)
      #expect(reply.status == .noContent)
      #expect(reply.headers[.allow] == "GET, HEAD, OPTIONS, PATCH, PUT")
    }
  }

  @Test("a change says where it is, and the log says who made it")
  func change() async throws {
    let log = try await LiveServer().run { client, _ in
      let reply = try await client.execute(
        uri: "/v1/things", method: .post, headers: [.contentType: "application/json"],
        body: ByteBuffer(string: #"{"name":"é"}"#))
      #expect(reply.status == .created)
      #expect(reply.headers[.position] == "9")
      #expect(reply.headers[.location] == "/v1/things/1")
      let verb = try await client.execute(uri: "/v1/things/x:rotate", method: .post)
      #expect(verb.status == .noContent)
      #expect(verb.headers[.contentLength] == nil)
    }
    #expect(log.contains(#""actor":"usr_1","position":9}"#))
    #expect(log.contains(#""route":"/v1/things/{thing}:rotate""#))
  }

  @Test("If-None-Match with the current version is 304 without a body")
  func notModified() async throws {
    try await LiveServer().run { client, _ in
      for value in ["\"7\"", "W/\"7\"", "\"a,b\", \"7\"", "*"] {
        let reply = try await client.execute(
          uri: "/v1/things/x", method: .get, headers: [.ifNoneMatch: value])
        #expect(reply.status == .notModified, "\(value)")
        #expect(reply.body.readableBytes == 0)
        #expect(reply.headers[.eTag] == "\"7\"")
      }
      let stale = try await client.execute(
        uri: "/v1/things/x", method: .get, headers: [.ifNoneMatch: "\"6\""])
      #expect(stale.status == .ok)
    }
  }

  @Test("pipelined requests are answered in order")
  func pipelined() async throws {
    try await LiveServer().run { _, port in
      let client = try RawClient(port: port)
      let requests = (0..<20).map { "GET /v1/things/n\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }
      try await client.send(requests.joined())
      for number in 0..<20 {
        #expect(try await client.reply()?.body.contains("\"n\(number)\"") == true)
      }
    }
  }

  @Test("a client that expects 100-continue is told to go on")
  func expectContinue() async throws {
    try await LiveServer().run { _, port in
      let client = try RawClient(port: port)
      try await client.send(
        "PUT /v1/things/x HTTP/1.1\r\nHost: a\r\nIf-Match: *\r\nExpect: 100-continue\r\n"
          + "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n")
      #expect(try await client.reply()?.status == 100)
      try await client.send("{}")
      #expect(try await client.reply()?.body == "{}")
    }
  }

  @Test("HTTP/1.0 and Connection: close are answered and closed")
  func closing() async throws {
    try await LiveServer().run { _, port in
      for request in [
        "GET /livez HTTP/1.0\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n",
      ] {
        let client = try RawClient(port: port)
        try await client.send(request)
        let reply = try #require(try await client.reply())
        #expect(reply.status == 200)
        #expect(reply.headers["connection"] == "close")
        #expect(try await client.isClosed(within: .seconds(10)))
      }
    }
  }

  @Test("every problem has its documentation where its type points")
  func documentation() async throws {
    try await LiveServer().run { client, _ in
      for kind in ProblemCatalogue().all {
        let page = try await client.execute(uri: "/problems/\(kind.code)", method: .get)
        #expect(page.status == .ok)
        #expect(page.text.hasPrefix("# \(kind.title)\n"))
      }
      let unknown = try await client.execute(uri: "/problems/x", method: .get)
      #expect(unknown.code == "not-found")
    }
  }

  @Test("a stream may last longer than the handler's time")
  func stream() async throws {
    var server = LiveServer()
    server.limits.handler = .milliseconds(300)
    server.limits.idle = .milliseconds(300)
    try await server.run { client, _ in
      let reply = try await client.execute(uri: "/v1/stream", method: .get)
      #expect(reply.text == "id: 0\n\nid: 1\n\nid: 2\n\n")
    }
  }
}
