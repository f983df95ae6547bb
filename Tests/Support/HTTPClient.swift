import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// The smallest HTTP/1.1 client that tests need: sends exactly what it is told, keeps connections open, and has as
/// many as there are requests at once.
package final class HTTPClient: Sendable {
  package let port: Int
  private struct Idle {
    let channel: any Channel
    let since = ContinuousClock.now
  }

  /// The server closes a connection that is idle for 30 s. On a busy machine a request can cross the close, so a connection
  /// that has rested for long is not used again.
  private static let maxIdle: Duration = .seconds(10)

  private let idle = Mutex<[Idle]>([])

  package init(port: Int) {
    self.port = port
  }

  /// Sends one request and reads the whole reply.
  ///
  /// - Throws: when the connection breaks before the reply is complete.
  package func send(
    _ method: String, _ target: String, headers: [(String, String)], body: [UInt8]?
  ) async throws -> HTTPReply {
    var fields = HTTPHeaders([("Host", "127.0.0.1:\(port)")] + headers)
    if let body { fields.replaceOrAdd(name: "Content-Length", value: "\(body.count)") }
    let head = HTTPRequestHead(
      version: .http1_1, method: HTTPMethod(rawValue: method), uri: target, headers: fields)
    let channel = try await connection()
    let promise = channel.eventLoop.makePromise(of: HTTPReply.self)
    channel.writeAndFlush(HTTPExchange(head: head, body: body, promise: promise), promise: nil)
    let reply = try await promise.futureResult.get()
    // The server reads no more than 64 KiB of what it has refused, and then closes.
    let isRead = reply.status < 400 || body?.count ?? 0 < 60_000
    if channel.isActive, isRead, reply["connection"] != "close" {
      idle.withLock { $0.append(Idle(channel: channel)) }
    }
    return reply
  }

  package func close() async throws {
    let kept = idle.withLock { kept in
      defer { kept = [] }
      return kept
    }
    for one in kept where one.channel.isActive { try await one.channel.close() }
  }

  private func connection() async throws -> any Channel {
    while let kept = idle.withLock({ $0.popLast() }) {
      guard kept.channel.isActive else { continue }
      if ContinuousClock.now - kept.since < Self.maxIdle { return kept.channel }
      kept.channel.close(promise: nil)
    }
    return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          try pipeline.addHTTPClientHandlers()
          try pipeline.addHandler(HTTPExchangeHandler())
        }
      }
      .connect(host: "127.0.0.1", port: port).get()
  }
}

/// A reply, whatever it is.
package struct HTTPReply: Sendable {
  package let status: Int
  package let headers: [(name: String, value: String)]
  package let body: [UInt8]

  package init(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// The first header field with this name.
  package subscript(name: String) -> String? {
    headers.first { $0.name.lowercased() == name.lowercased() }?.value
  }
}

private struct HTTPExchange {
  let head: HTTPRequestHead
  let body: [UInt8]?
  let promise: EventLoopPromise<HTTPReply>
}

private final class HTTPExchangeHandler: ChannelDuplexHandler {
  typealias InboundIn = HTTPClientResponsePart
  typealias OutboundIn = HTTPExchange
  typealias OutboundOut = HTTPClientRequestPart

  struct ConnectionClosed: Error {}

  private var promise: EventLoopPromise<HTTPReply>?
  private var head: HTTPResponseHead?
  private var body: [UInt8] = []

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    let exchange = unwrapOutboundIn(data)
    self.promise = exchange.promise
    context.write(wrapOutboundOut(.head(exchange.head)), promise: nil)
    if let body = exchange.body {
      context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
    }
    context.write(wrapOutboundOut(.end(nil)), promise: promise)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head):
      self.head = head
      body = []
    case .body(let part):
      body += part.readableBytesView
    case .end:
      guard let head else { return }
      let reply = HTTPReply(
        status: Int(head.status.code), headers: head.headers.map { ($0.name, $0.value) },
        body: body)
      promise?.succeed(reply)
      promise = nil
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    promise?.fail(ConnectionClosed())
    promise = nil
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    promise?.fail(error)
    promise = nil
    context.close(promise: nil)
  }
}
