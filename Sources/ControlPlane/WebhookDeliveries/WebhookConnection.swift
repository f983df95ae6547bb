import NIOCore
import NIOHTTP1
import NIOTLS

/// An open connection to one place.
package struct WebhookConnection: Sendable {
  private let channel: any Channel
  private let url: WebhookURL

  init(_ channel: any Channel, _ url: WebhookURL) {
    self.channel = channel
    self.url = url
  }

  /// Whether it leads where a URL does, and is not known to be closed.
  func isGood(for other: WebhookURL) -> Bool {
    channel.isActive && url.authority == other.authority && url.isSecure == other.isSecure
  }

  package func close() { channel.close(promise: nil) }

  /// Sends a request and takes what is answered, and tells whether the connection can be used again.
  func exchange(
    _ request: WebhookRequest, deadline: ContinuousClock.Instant
  ) async throws(WebhookFailure) -> (WebhookAnswer, isReusable: Bool) {
    var fields = HTTPHeaders([("Host", request.url.authority)])
    for (name, value) in request.headers { fields.add(name: name, value: value) }
    fields.add(name: "Content-Length", value: "\(request.body.count)")
    let promise = channel.eventLoop.makePromise(of: WebhookExchange.Outcome.self)
    let exchange = WebhookExchange(
      head: HTTPRequestHead(
        version: .http1_1, method: .POST, uri: request.url.target, headers: fields),
      body: ByteBuffer(bytes: request.body),
      deadline: NIODeadline.now() + TimeAmount(deadline - .now),
      promise: promise)
    let channel = channel
    do {
      let outcome = try await withTaskCancellationHandler {
        channel.writeAndFlush(exchange).cascadeFailure(to: promise)
        return try await promise.futureResult.get()
      } onCancel: {
        channel.close(promise: nil)
      }
      if !outcome.isReusable { close() }
      return (outcome.answer, outcome.isReusable)
    } catch {
      close()
      if Task.isCancelled { throw .cancelled }
      throw WebhookFailure(error, otherwise: .connectionLost)
    }
  }
}

/// One request on its way through a channel, and who waits for its answer.
struct WebhookExchange: Sendable {
  struct Outcome: Sendable {
    let answer: WebhookAnswer
    let isReusable: Bool
  }

  let head: HTTPRequestHead
  let body: ByteBuffer
  let deadline: NIODeadline
  let promise: EventLoopPromise<Outcome>
}

/// Takes as much of an answer as is wanted: its status, and the beginning of its body.
final class WebhookExchangeHandler: ChannelDuplexHandler {
  typealias InboundIn = HTTPClientResponsePart
  typealias OutboundIn = WebhookExchange
  typealias OutboundOut = HTTPClientRequestPart

  static let excerptSize = 1024
  /// The status says it all: nobody waits long for what comes behind it.
  private static let bodyTime: TimeAmount = .seconds(2)

  /// Told when requests can be sent, or why none ever can.
  private let ready: EventLoopPromise<Void>
  private let waitsForTLS: Bool
  private var exchange: WebhookExchange?
  private var head: HTTPResponseHead?
  private var excerpt: [UInt8] = []
  private var timer: Scheduled<Void>?

  init(ready: EventLoopPromise<Void>, waitsForTLS: Bool) {
    self.ready = ready
    self.waitsForTLS = waitsForTLS
  }

  func channelActive(context: ChannelHandlerContext) {
    if !waitsForTLS { ready.succeed() }
    context.fireChannelActive()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case TLSUserEvent.handshakeCompleted = event { ready.succeed() }
    context.fireUserInboundEventTriggered(event)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    let exchange = unwrapOutboundIn(data)
    self.exchange = exchange
    head = nil
    excerpt = []
    timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: exchange.deadline) {
      self.fail(.timeout, context)
    }
    context.write(wrapOutboundOut(.head(exchange.head)), promise: nil)
    context.write(wrapOutboundOut(.body(.byteBuffer(exchange.body))), promise: nil)
    context.write(wrapOutboundOut(.end(nil)), promise: nil)
    // From here on the answer tells, and errors say more than a write that failed because of them.
    promise?.succeed()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard exchange != nil else { return }
    switch unwrapInboundIn(data) {
    case .head(let head):
      self.head = head
      timer?.cancel()
      timer = context.eventLoop.assumeIsolated().scheduleTask(in: Self.bodyTime) {
        self.succeed(isReusable: false, context)
      }
    case .body(let part):
      excerpt += part.readableBytesView.prefix(Self.excerptSize - excerpt.count)
      if excerpt.count == Self.excerptSize { succeed(isReusable: false, context) }
    case .end:
      succeed(isReusable: head?.isKeepAlive ?? false, context)
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    ready.fail(WebhookFailure.connectionLost)
    // A body may be cut short; its status stands.
    succeed(isReusable: false, context)
    fail(.connectionLost, context)
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    timer?.cancel()
    ready.fail(error)
    exchange?.promise.fail(error)
    exchange = nil
    context.close(promise: nil)
  }

  /// Does nothing before the head.
  private func succeed(isReusable: Bool, _ context: ChannelHandlerContext) {
    guard let exchange, let head else { return }
    timer?.cancel()
    self.exchange = nil
    exchange.promise.succeed(
      .init(
        answer: WebhookAnswer(
          status: Int(head.status.code), excerpt: excerpt,
          retryAfter: head.headers.first(name: "retry-after")),
        isReusable: isReusable))
    if !isReusable { context.close(promise: nil) }
  }

  private func fail(_ failure: WebhookFailure, _ context: ChannelHandlerContext) {
    guard let exchange else { return }
    timer?.cancel()
    self.exchange = nil
    exchange.promise.fail(failure)
    context.close(promise: nil)
  }
}
