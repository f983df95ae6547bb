import Compression
import ConfigurationFeed
import JSON
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A control plane as far as gateways see it, which does what a test says: also what a real one would never do.
final class StandIn: Sendable {
  /// How a request is answered.
  enum Reply: Sendable {
    case status(UInt, [UInt8] = [])
    /// The connection is closed without an answer.
    case drop
    /// Part of the answer, and then the connection is closed.
    case torn([UInt8])
    /// Never.
    case silence
  }

  struct Script: Sendable {
    var snapshot = Reply.status(200, ConfigurationDocument().bytes())
    /// How it is compressed, if the gateway takes that.
    var snapshotCoding: ContentCoding?
    /// What is said of it, whatever it is.
    var snapshotLabel: String?
    var snapshotTag: String?
    /// What bodies of evidence may be compressed with.
    var codings = ContentCoding.allCases
    /// What is sent first on each stream; nil answers 503.
    var greeting: [UInt8]? = []
    var streamStatus: UInt = 200
    var acknowledgement = Reply.status(204)
    /// By the number of the batch, from 0, and its ids.
    var evidence: @Sendable (Int, [String]) -> Reply = { _, _ in .status(200, Array("{}".utf8)) }
  }

  struct State {
    var script = Script()
    var streams: [any Channel] = []
    /// What `Last-Event-ID` was on each stream that was opened.
    var cursors: [String?] = []
    var snapshots = 0
    /// How often a snapshot was not sent because the gateway knew it.
    var notModified = 0
    /// How each batch of evidence was compressed.
    var codings: [String?] = []
    var acknowledgements: [JSONValue] = []
    /// The ids of each batch that came, also of those that were not accepted.
    var evidence: [[String]] = []
    /// The ids that were accepted, once for each time.
    var accepted: [String] = []
    var unauthorized = 0
    var connections: [any Channel] = []
  }

  static let token = "sbg_test"

  let state = Mutex(State())
  private let listener = Mutex<(any Channel)?>(nil)
  private let boundPort = Mutex(0)

  var port: Int { boundPort.withLock { $0 } }
  var url: String { "http://127.0.0.1:\(port)" }

  /// Listens, the second time on the same port.
  func start() async throws {
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { channel in
        self.state.withLock { $0.connections.append(channel) }
        return channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline()
          try channel.pipeline.syncOperations.addHandler(Handler(self))
        }
      }
      .bind(host: "127.0.0.1", port: port).get()
    boundPort.withLock { $0 = channel.localAddress?.port ?? 0 }
    listener.withLock { $0 = channel }
  }

  /// Ends all connections, and takes no more.
  func stop() async throws {
    try await listener.withLock { channel in
      defer { channel = nil }
      return channel
    }?.close()
    dropConnections()
  }

  func dropConnections() {
    let connections = state.withLock { state in
      defer { (state.connections, state.streams) = ([], []) }
      return state.connections
    }
    for connection in connections { connection.close(promise: nil) }
  }

  func script(_ change: (inout Script) -> Void) {
    state.withLock { change(&$0.script) }
  }

  /// Sends to all streams that are open.
  func send(_ bytes: [UInt8]) {
    for stream in state.withLock({ $0.streams }) {
      let part = HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: bytes)))
      stream.writeAndFlush(part, promise: nil)
    }
  }

  func send(_ event: ServerSentEvent) { send(event.bytes) }

  func sendChange(_ patch: String, at position: Int64) {
    send(ServerSentEvent(id: "\(position)", event: "change", data: patch))
  }

  static func status(_ position: Int64, isStale: Bool = false) -> [UInt8] {
    ServerSentEvent(event: "status", data: #"{"stale":\#(isStale),"position":\#(position)}"#).bytes
  }

  func endStreams() {
    let streams = state.withLock { state in
      defer { state.streams = [] }
      return state.streams
    }
    for stream in streams { stream.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil) }
  }

  // MARK: Answering

  fileprivate enum Action {
    case reply(Reply)
    case stream(status: UInt, greeting: [UInt8])
  }

  fileprivate func action(
    _ head: HTTPRequestHead, _ body: [UInt8], _ channel: any Channel
  ) -> Action {
    state.withLock { state in
      guard head.headers.first(name: "Authorization") == "Bearer \(Self.token)" else {
        state.unauthorized += 1
        return .reply(.status(401))
      }
      switch (head.method, head.uri) {
      case (.GET, "/v1/dataplane/snapshot"):
        if let tag = state.script.snapshotTag,
          head.headers.first(name: "If-None-Match") == tag
        {
          state.notModified += 1
          return .reply(.status(304))
        }
        state.snapshots += 1
        return .reply(state.script.snapshot)
      case (.GET, "/v1/dataplane/stream"):
        state.cursors.append(head.headers.first(name: "Last-Event-ID"))
        guard let greeting = state.script.greeting else { return .reply(.status(503)) }
        if state.script.streamStatus == 200 { state.streams.append(channel) }
        return .stream(status: state.script.streamStatus, greeting: greeting)
      case (.POST, "/v1/dataplane/ack"):
        if let value = try? JSONValue.parse(body) { state.acknowledgements.append(value) }
        return .reply(state.script.acknowledgement)
      case (.POST, "/v1/dataplane/request-logs"):
        let name = head.headers.first(name: "Content-Encoding")
        state.codings.append(name)
        var body = body
        if let name {
          guard let coding = state.script.codings.first(where: { $0.rawValue == name }),
            let inflated = try? body.withUnsafeBytes({ bytes throws(CompressionError) in
              try coding.inflate(bytes, limit: 32 << 20)
            })
          else { return .reply(.status(415)) }
          body = inflated
        }
        let records = (try? JSONValue.parse(body))?.array ?? []
        let ids = records.compactMap { $0["id"]?.string }
        let reply = state.script.evidence(state.evidence.count, ids)
        state.evidence.append(ids)
        switch reply {
        case .status(200, _), .torn: state.accepted += ids
        case .status, .drop, .silence: break
        }
        return .reply(reply)
      default: return .reply(.status(404))
      }
    }
  }

  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let standIn: StandIn
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []

    init(_ standIn: StandIn) {
      self.standIn = standIn
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data) {
      case .head(let head): (self.head, body) = (head, [])
      case .body(let part): body += part.readableBytesView
      case .end:
        guard let head else { return }
        switch standIn.action(head, body, context.channel) {
        case .stream(let status, let greeting):
          write(status, ["Content-Type": "text/event-stream"], greeting, ends: false, context)
        case .reply(.status(let status, var body)):
          var headers: HTTPHeaders = [:]
          let script = standIn.state.withLock { $0.script }
          if head.uri == "/v1/dataplane/snapshot", status == 200 {
            let accepted = head.headers.first(name: "Accept-Encoding") ?? ""
            if let tag = script.snapshotTag { headers.add(name: "ETag", value: tag) }
            if let label = script.snapshotLabel {
              headers.add(name: "Content-Encoding", value: label)
            }
            if let coding = script.snapshotCoding, accepted.contains(coding.rawValue) {
              headers.add(name: "Content-Encoding", value: coding.rawValue)
              body = coding.deflate(body)
            }
          }
          headers.add(name: "Content-Length", value: "\(body.count)")
          write(status, headers, body, ends: true, context)
        case .reply(.torn(let body)):
          write(200, ["Content-Length": "\(body.count + 1)"], body, ends: false, context)
          context.close(promise: nil)
        case .reply(.drop): context.close(promise: nil)
        case .reply(.silence): break
        }
      }
    }

    private func write(
      _ status: UInt, _ headers: HTTPHeaders, _ body: [UInt8], ends: Bool,
      _ context: ChannelHandlerContext
    ) {
      let head = HTTPResponseHead(
        version: .http1_1, status: HTTPResponseStatus(statusCode: Int(status)), headers: headers)
      context.write(wrapOutboundOut(.head(head)), promise: nil)
      if !body.isEmpty {
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
      }
      if ends { context.write(wrapOutboundOut(.end(nil)), promise: nil) }
      context.flush()
    }
  }
}
