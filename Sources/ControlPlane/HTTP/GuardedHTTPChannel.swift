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
  let sweepers: PerEventLoop<ConnectionSweeper>
  let turns: PerEventLoop<EventLoopTurn>

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Connection> {
    channel.eventLoop.makeCompletedFuture {
      let client = ClientConnection(channel: channel)
      let guarded = ConnectionGuard(
        limits: limits, connection: client, metrics: metrics,
        sweeper: sweepers.value(of: channel.eventLoop))
      var parser = NIOHTTPDecoderLimitConfiguration()
      parser.maxHeaderFieldSize = limits.headerBytes
      parser.maxHeaderListSize = limits.headerBytes
      parser.maxHeaderFieldCount = limits.headerFields
      let pipeline = channel.pipeline.syncOperations
      try pipeline.addHandler(FlushGathering(turns.value(of: channel.eventLoop)))
      try pipeline.addHandler(ByteCounter(guarded))
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
    await value.client.run { await handleHTTP(asyncChannel: value.parts, logger: logger) }
  }
}

/// Tells the guard of bytes before the parser has made anything of them.
private final class ByteCounter: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  private let guarded: ConnectionGuard

  init(_ guarded: ConnectionGuard) {
    self.guarded = guarded
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guarded.received(bytes: unwrapInboundIn(data).readableBytes)
    context.fireChannelRead(data)
  }
}
