import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// HTTP/1.1 with every connection under a `ConnectionGuard`.
struct GuardedHTTPChannel: HTTPChannelHandler {
  struct Connection: ServerChildChannelValue {
    let parts: NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>
    let client: ClientConnection

    var channel: any Channel { parts.channel }
  }

  let responder: HTTPChannelHandler.Responder
  let limits: ConnectionLimits
  let metrics: HTTPMetrics
  let addresses: ConnectionsByAddress
  let sweepers: PerEventLoop<ConnectionSweeper>
  let turns: PerEventLoop<EventLoopTurn>

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Connection> {
    channel.eventLoop.makeCompletedFuture {
      let client = ClientConnection(channel: channel)
      let wire = WireHandler()
      let guarded = ConnectionGuard(
        limits: limits, connection: client, metrics: metrics,
        sweeper: sweepers.value(of: channel.eventLoop), wire: wire)
      wire.guarded = guarded
      try ReadSize.small.set(on: channel)
      var parser = NIOHTTPDecoderLimitConfiguration()
      parser.maxHeaderFieldSize = limits.headerBytes
      parser.maxHeaderListSize = limits.headerBytes
      parser.maxHeaderFieldCount = limits.headerFields
      let pipeline = channel.pipeline.syncOperations
      try pipeline.addHandler(FlushGathering(turns.value(of: channel.eventLoop)))
      try pipeline.addHandler(wire)
      // Pipelining is the asynchronous channel's, header validation HTTPTypes', errors the guard's.
      try pipeline.configureHTTPServerPipeline(
        withPipeliningAssistance: false, withErrorHandling: false,
        withOutboundHeaderValidation: false, withEncoderConfiguration: .init(),
        withDecoderLimitConfiguration: parser)
      try pipeline.addHandler(guarded)
      try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: false))
      let parts = try NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>(
        wrappingChannelSynchronously: channel,
        configuration: .init(isOutboundHalfClosureEnabled: true))
      return Connection(parts: parts, client: client)
    }
  }

  func handle(value: Connection, logger: Logger) async {
    let address = value.client.remoteAddress
    guard addresses.enter(address) else {
      metrics.count(.tooManyFromAddress)
      // The channel closes when the body returns, and there is nothing to say to the client.
      return (try? await value.parts.executeThenClose { _, _ in }) ?? ()
    }
    defer { addresses.leave(address) }
    await value.client.run { await handleHTTP(asyncChannel: value.parts, logger: logger) }
  }
}

/// How much is read from a connection at a time. A thousand connections that send without being asked must not take a
/// thousand large buffers; large bodies of known senders come in fewer pieces.
enum ReadSize {
  case small, large

  func set(on channel: any Channel) throws {
    let options = channel.syncOptions
    switch self {
    case .small:
      try options?.setOption(
        .recvAllocator,
        value: AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 2048, maximum: 8192))
      try options?.setOption(.maxMessagesPerRead, value: 1)
    case .large:
      try options?.setOption(
        .recvAllocator,
        value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 16_384, maximum: 65_536))
      try options?.setOption(.maxMessagesPerRead, value: 4)
    }
  }
}

/// Stands between the socket and the HTTP codec: tells the guard of bytes before the parser has made anything of them, and
/// drops those that the encoder should not have written.
final class WireHandler: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = IOData
  typealias OutboundOut = IOData

  weak var guarded: ConnectionGuard?
  var dropsWrites = false

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guarded?.received(bytes: unwrapInboundIn(data).readableBytes)
    context.fireChannelRead(data)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard dropsWrites else { return context.write(data, promise: promise) }
    // An empty write keeps the order of promises.
    context.write(wrapOutboundOut(.byteBuffer(ByteBuffer())), promise: promise)
  }
}
