import FoundationEssentials
import Glibc
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import Synchronization

@testable import ControlPlane

/// A real server with a handful of routes, for tests of the floor.
struct LiveServer {
  var limits = ConnectionLimits()
  var checks: [any ReadinessCheck] = []
  /// Whether large bodies are read only for callers with a token.
  var asksForToken = false
  let metrics = Metrics()
  let handled = Counter()

  struct Unforeseen: Error {
    let secret = "hunter2"
  }

  private func router() -> APIRouter {
    let router = APIRouter()
    router.authenticateHead = { [asksForToken] request, _, _ in
      if asksForToken { _ = try BearerToken(request.headers) }
      return UUID()
    }
    router.get("/v1/things/{thing}") { [handled] request, context in
      handled.add()
      let tag = ETag(version: 7)
      if try Preconditions(request.headers).isNotModified(tag) { return Reply.notModified(tag) }
      let id = context.pathParameters["thing"] ?? ""
      return Reply.json(Array(#"{"id":"\#(id)","tag":"{}"}"#.utf8), etag: tag)
    }
    router.put("/v1/things/{thing}") { request, context in
      try Preconditions(request.headers).requireMatch(ETag(version: 7))
      return Reply.json(Array(buffer: context.body), etag: ETag(version: 8), position: 42)
    }
    router.post("/v1/things") { [handled] request, context in
      handled.add()
      let query = QueryReader(request)
      _ = query.dryRun()
      try query.finish()
      let payload = try PayloadReader(context.body)
      let name = payload.string("name", TextRules(1...10))
      try payload.finish()
      context.exchange.annotate(actor: "usr_1")
      return Reply.json(
        Array(#"{"name":"\#(name ?? "")"}"#.utf8), .created, location: "/v1/things/1", position: 9)
    }
    router.get("/v1/regions") { _, _ in Reply.json(Array("{}".utf8)) }
    router.patch("/v1/things/{thing}") { _, _ in Reply.noContent() }
    router.post("/v1/things/{thing}:rotate") { _, _ in Reply.noContent(position: 3) }
    router.get("/v1/broken") { _, _ -> Reply in throw Unforeseen() }
    router.get("/v1/foreign") { _, _ -> Reply in throw HTTPError(.notFound, message: "foreign") }
    router.get("/v1/slow") { _, _ -> Reply in
      try await Task.sleep(for: .seconds(30))
      return Reply.noContent()
    }
    router.get("/v1/me") { request, _ in
      _ = try BearerToken(request.headers)
      return Reply.noContent()
    }
    router.get("/v1/stream") { _, _ in
      Response(
        status: .ok, headers: [.contentType: "text/event-stream"],
        body: ResponseBody { writer in
          for number in 0..<3 {
            try await writer.write(ByteBuffer(string: "id: \(number)\n\n"))
            try await Task.sleep(for: .milliseconds(400))
          }
          try await writer.finish(nil)
        })
    }
    return router
  }

  /// Runs the server while `body` does; `log` is everything the access log wrote.
  @discardableResult
  func run(_ body: @escaping @Sendable (any TestClientProtocol, Int) async throws -> Void)
    async throws -> String
  {
    var name = Array("/tmp/signalbox-log-XXXXXX".utf8CString)
    let log = mkstemp(&name)
    guard log >= 0 else { throw Unforeseen() }
    unlink(name)
    defer { close(log) }
    var configuration = HTTPServer.Configuration()
    configuration.limits = limits
    configuration.accessLog = log
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let readiness = Readiness(checks)
    let router = router()
    router.addOperations(readiness: readiness, metrics: metrics, catalogue: ProblemCatalogue())
    let server = HTTPServer(
      router: router, configuration: configuration, limiter: RateLimiter(isEnabled: false),
      metrics: metrics, readiness: readiness, logger: logger)
    try await server.application().test(.live) { client in
      try await body(client, client.port ?? 0)
    }
    server.log.flush()
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = pread(log, &bytes, bytes.count, 0)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
}

extension TestResponse {
  var text: String { String(buffer: body) }
  var code: String? {
    guard headers[.contentType] == "application/problem+json",
      let start = text.firstRange(of: "\"code\":\"")?.upperBound
    else { return nil }
    return String(text[start...].prefix { $0 != "\"" })
  }
}
