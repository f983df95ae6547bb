import NIOCore
import NIOHTTP1
import NIOPosix
package import NIOSSL
import Synchronization

/// Receives webhooks on a port of this machine, keeps them, and answers as it is told.
package final class WebhookReceiver: Sendable {
  package struct Message: Sendable {
    package let path: String
    package let headers: [(name: String, value: String)]
    package let body: [UInt8]
    package let at: ContinuousClock.Instant

    package init(
      path: String, headers: [(name: String, value: String)], body: [UInt8],
      at: ContinuousClock.Instant
    ) {
      self.path = path
      self.headers = headers
      self.body = body
      self.at = at
    }

    /// The first header field with this name.
    package subscript(name: String) -> String? {
      headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    package var text: String { String(decoding: body, as: UTF8.self) }
  }

  package enum Answer: Sendable {
    case reply(Int, headers: [(String, String)] = [], body: [UInt8] = [])
    /// The head of an answer, and never its body.
    case head(Int)
    /// Takes the message and says nothing.
    case hang
    /// Closes the connection instead of an answer.
    case close

    package static let ok = Answer.reply(204)
  }

  package typealias Behaviour = @Sendable (Message) -> Answer

  private struct State {
    var messages: [Message] = []
    var behaviour: Behaviour
    var connections = 0
  }

  package let port: Int
  private let channel: any Channel
  private let state: Mutex<State>

  /// Starts one.
  ///
  /// - Parameter tls: nil for plain http.
  package static func start(
    tls: NIOSSLContext? = nil, _ behaviour: @escaping Behaviour = { _ in .ok }
  ) async throws -> WebhookReceiver {
    let box = Box()
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if let tls {
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
          }
          try channel.pipeline.syncOperations.configureHTTPServerPipeline()
          try channel.pipeline.syncOperations.addHandler(Handler(box))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let receiver = WebhookReceiver(channel, behaviour)
    box.receiver.withLock { $0 = receiver }
    return receiver
  }

  private init(_ channel: any Channel, _ behaviour: @escaping Behaviour) {
    self.channel = channel
    port = channel.localAddress?.port ?? 0
    state = Mutex(State(behaviour: behaviour))
  }

  /// What came so far, in the order in which it came.
  package var messages: [Message] { state.withLock { $0.messages } }
  /// How many connections there were.
  package var connections: Int { state.withLock { $0.connections } }

  /// Answers differently from now on.
  package func answer(_ behaviour: @escaping Behaviour) {
    state.withLock { $0.behaviour = behaviour }
  }

  package func url(_ path: String = "/hooks", host: String = "127.0.0.1") -> String {
    "http://\(host):\(port)\(path)"
  }

  /// Waits until this is so of what came, or time is over.
  @discardableResult
  package func wait(
    for time: Duration = .seconds(15), until isDone: ([Message]) -> Bool
  ) async throws -> Bool {
    let end = ContinuousClock.now + time
    while ContinuousClock.now < end {
      if isDone(messages) { return true }
      try await Task.sleep(for: .milliseconds(10))
    }
    return isDone(messages)
  }

  package func stop() async throws { try await channel.close() }

  fileprivate func take(_ message: Message) -> Answer {
    let behaviour = state.withLock { state in
      state.messages.append(message)
      return state.behaviour
    }
    return behaviour(message)
  }

  fileprivate func connected() { state.withLock { $0.connections += 1 } }

  fileprivate final class Box: Sendable {
    let receiver = Mutex<WebhookReceiver?>(nil)
  }
}

private final class Handler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let box: WebhookReceiver.Box
  private var head: HTTPRequestHead?
  private var body: [UInt8] = []

  init(_ box: WebhookReceiver.Box) {
    self.box = box
  }

  func channelActive(context: ChannelHandlerContext) {
    box.receiver.withLock { $0 }?.connected()
    context.fireChannelActive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head):
      self.head = head
      body = []
    case .body(let part): body += part.readableBytesView
    case .end:
      guard let head, let receiver = box.receiver.withLock({ $0 }) else { return }
      let message = WebhookReceiver.Message(
        path: head.uri, headers: head.headers.map { ($0.name, $0.value) }, body: body, at: .now)
      answer(receiver.take(message), context)
    }
  }

  private func answer(_ answer: WebhookReceiver.Answer, _ context: ChannelHandlerContext) {
    switch answer {
    case .hang: break
    case .close: context.close(promise: nil)
    case .head(let status):
      let head = HTTPResponseHead(
        version: .http1_1, status: .init(statusCode: status), headers: ["Content-Length": "10"])
      context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
    case .reply(let status, let headers, let body):
      var fields = HTTPHeaders(headers)
      if status != 204 { fields.replaceOrAdd(name: "Content-Length", value: "\(body.count)") }
      let head = HTTPResponseHead(
        version: .http1_1, status: .init(statusCode: status), headers: fields)
      context.write(wrapOutboundOut(.head(head)), promise: nil)
      if !body.isEmpty {
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
      }
      context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
  }
}
