import Compression
import ConfigurationFeed
import Domain
import FoundationEssentials
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import ServiceLifecycle

/// `/v1/dataplane`: what gateways run (a snapshot, then a stream of changes), and what they say they run.
struct DataPlaneRoutes: RouteGroup {
  let door: any GatewayDoor
  let configuration: LiveConfiguration
  let reports: GatewayReports
  private let gzip = CompressedSnapshot(.gzip)
  private let zstd = CompressedSnapshot(.zstd)

  init(door: any GatewayDoor, configuration: LiveConfiguration, reports: GatewayReports) {
    self.door = door
    self.configuration = configuration
    self.reports = reports
  }

  func add(to router: APIRouter) {
    router.get("/v1/dataplane/snapshot", use: snapshot)
    router.get("/v1/dataplane/stream", use: stream)
    router.post("/v1/dataplane/ack", use: acknowledge)
  }

  private func snapshot(request: Request, context: APIContext) async throws -> Response {
    let gateway = try await door.gateway(request, context, whileDatabaseIsAway: true)
    try QueryReader(request).finish()
    let (document, status) = try await configuration.document(
      upTo: gateway.reads?.position, deadline: context.deadline)
    let etag = ETag(version: document.position)
    if try Preconditions(request.headers).isNotModified(etag) {
      var response = Reply.notModified(etag).response
      response.headers[.vary] = "Accept-Encoding"
      return response
    }
    var fields: HTTPFields = [
      .contentType: "application/json", .eTag: etag.description, .position: "\(document.position)",
    ]
    fields[.vary] = "Accept-Encoding"
    if status.isStale { fields[.stale] = "true" }
    if let coding = request.headers[.acceptEncoding].flatMap(MediaTypes.preferredCoding) {
      fields[.contentEncoding] = coding.rawValue
      let body = await (coding == .zstd ? zstd : gzip).bytes(of: document)
      return Response(status: .ok, headers: fields, body: ResponseBody(byteBuffer: body))
    }
    return Response(
      status: .ok, headers: fields,
      body: ResponseBody { writer in
        for part in DocumentBuffers(document.parts) { try await writer.write(part) }
        try await writer.finish(nil)
      })
  }

  private func stream(request: Request, context: APIContext) async throws -> Response {
    let gateway = try await door.gateway(request, context, whileDatabaseIsAway: true)
    try QueryReader(request).finish()
    _ = try await configuration.document(
      upTo: gateway.reads?.position, deadline: context.deadline)
    if gateway.reads != nil { configuration.admit(gateway.id) }
    // What is no position is treated as no cursor: the gateway is told to take a snapshot.
    let cursor: Int64? =
      if case .position(let position) = LastEventID(request.headers) { position } else { nil }
    let stream = ConfigurationStream(
      configuration: configuration, gateway: gateway.id, cursor: cursor)
    return Response(
      status: .ok,
      headers: [
        .contentType: "text/event-stream", .cacheControl: "no-store",
        // Some proxies would hold back what they take for a short page.
        .accelBuffering: "no",
      ],
      body: ResponseBody { [configuration] writer in
        try await withGracefulShutdownHandler {
          try await stream.write(to: &writer)
        } onGracefulShutdown: {
          configuration.hangUp()
        }
        try await writer.finish(nil)
      })
  }

  private func acknowledge(request: Request, context: APIContext) async throws -> Reply {
    let gateway = try await door.gateway(request, context)
    try QueryReader(request).finish()
    reports.note(try AcknowledgementPayload(context.body).report, of: gateway.id)
    var body = JSONObject()
    body.set("position", gateway.reads?.position)
    return .json(body.bytes())
  }
}

/// Small parts made into larger ones: each is a write.
private struct DocumentBuffers: Sequence, IteratorProtocol {
  private static let size = 65_536

  private var parts: DocumentParts

  init(_ parts: DocumentParts) {
    self.parts = parts
  }

  mutating func next() -> ByteBuffer? {
    var buffer = ByteBuffer()
    while buffer.readableBytes < Self.size, let part = parts.next() {
      buffer.writeBytes(part.prefix)
      buffer.writeBytes(part.piece)
    }
    return buffer.readableBytes > 0 ? buffer : nil
  }
}

extension HTTPField.Name {
  /// That the database is away, and what is sent may be old.
  fileprivate static let stale = HTTPField.Name("Signalbox-Stale")!
}
