import Glibc
import NIOCore

/// Stands in front of a listening socket's handlers: stops accepting for a moment when the system has no descriptor or memory
/// for another connection.
///
/// NIO goes on asking: the connection stays in the backlog, so that the socket is readable, the attempt fails again at once,
/// and an event loop spins. Its own `AcceptBackoffHandler` delays reads, but the read that failed is still pending.
final class AcceptPause: ChannelInboundHandler {
  typealias InboundIn = any Channel

  static let length = TimeAmount.milliseconds(100)

  private let refused: Counter
  private var resumption: Scheduled<Void>?

  /// - Parameter refused: counts the attempts that failed.
  init(refused: Counter) {
    self.refused = refused
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let error = error as? IOError else { return context.fireErrorCaught(error) }
    switch error.errnoCode {
    case ECONNABORTED:
      // The client has gone; the next connection may be fine.
      break
    case EMFILE, ENFILE, ENOBUFS, ENOMEM:
      refused.add()
      pause(context)
    default:
      context.fireErrorCaught(error)
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    resumption?.cancel()
    context.fireChannelInactive()
  }

  private func pause(_ context: ChannelHandlerContext) {
    guard resumption == nil, let options = context.channel.syncOptions else { return }
    do {
      // Without it the socket is not waited for, whatever reads are pending.
      try options.setOption(.autoRead, value: false)
    } catch {
      return context.fireErrorCaught(error)
    }
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    resumption = context.eventLoop.scheduleTask(in: Self.length) {
      let (handler, context) = bound.value
      handler.resume(context)
    }
  }

  private func resume(_ context: ChannelHandlerContext) {
    resumption = nil
    guard let options = context.channel.syncOptions else { return }
    do {
      try options.setOption(.autoRead, value: true)
    } catch {
      // The socket has been closed: there is nothing to resume.
      context.fireErrorCaught(error)
    }
  }
}
