import HTTPTypes
import NIOCore
import NIOHTTP1

/// Holds a connection to its `ConnectionLimits`, answers what the parser refuses, and ends
/// connections properly.
///
/// Sits directly behind the HTTP/1 parser, in front of the translation to HTTP types. It keeps
/// instants, not timers: the `ConnectionSweeper` of the event loop asks it a few times a second
/// whether one of them has passed, so a request costs it no clock reading.
final class ConnectionGuard: ChannelDuplexHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  private let limits: ConnectionLimits
  private let connection: ClientConnection
  private let metrics: HTTPMetrics
  private let sweeper: ConnectionSweeper
  private var context: ChannelHandlerContext?

  /// Requests whose header has arrived and whose reply has not ended: more than one when pipelined.
  private var unanswered = 0
  /// For each of them, whether it is a HEAD, in the order of arrival.
  private var areHeads: [Bool] = []
  /// Drops what the encoder writes to end a reply without a body.
  private let wire: WireHandler
  /// A reply's header has been written and its end has not.
  private var isReplying = false
  /// The request being answered is the last: the client, the protocol or our shutdown wants the
  /// connection closed after it.
  private var isLast = false
  private var isQuiescing = false
  /// The reply that ends the connection has been written; nothing more is read or written.
  private var isFinished = false
  private var parserError: HTTPParserError?

  /// The sender of a large body is not known yet: what they send stays in the kernel.
  private var isHoldingBody = false
  /// A read was asked for meanwhile.
  private var hasHeldRead = false

  // Since when the client, or the handler, has been at it. Nil when it is not.
  private var headerSince: NIODeadline?
  private var bodySince: NIODeadline?
  private var handlerSince: NIODeadline?
  private var idleSince: NIODeadline?
  private var stalledSince: NIODeadline?
  private var drainSince: NIODeadline?
  private var drained = 0

  init(
    limits: ConnectionLimits, connection: ClientConnection, metrics: HTTPMetrics,
    sweeper: ConnectionSweeper, wire: WireHandler
  ) {
    self.wire = wire
    self.limits = limits
    self.connection = connection
    self.metrics = metrics
    self.sweeper = sweeper
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    sweeper.insert(self)
    metrics.openConnections.add(1)
    // A new connection owes us a header at once.
    headerSince = sweeper.now
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    sweeper.remove(self)
    metrics.openConnections.add(-1)
    self.context = nil
  }

  func channelInactive(context: ChannelHandlerContext) {
    // Nobody will read the reply: stop working on it.
    if unanswered > 0 { connection.cancel(cut: false) }
    context.fireChannelInactive()
  }

  // MARK: Reading

  /// Called for every read, before the parser sees it.
  func received(bytes: Int) {
    if drainSince != nil {
      drained += bytes
      if drained > limits.drainedBytes { close(.drain) }
    } else if unanswered == 0, headerSince == nil, !isFinished {
      headerSince = sweeper.now
      idleSince = nil
    }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if isFinished { return }
    switch unwrapInboundIn(data) {
    case .head(let head):
      // Requests behind the last one are not begun (RFC 9112 §9.6): begun work whose reply is never
      // sent would be lost.
      if isLast || (isQuiescing && unanswered > 0) { return isLast = true }
      unanswered += 1
      areHeads.append(head.method == .HEAD)
      headerSince = nil
      idleSince = nil
      bodySince = sweeper.now
      isHoldingBody = BodyReader.mustBeAdmitted(head.headers)
      let isOld = head.version == .http1_0 || head.version == .http0_9
      if !head.isKeepAlive || isOld { isLast = true }
      guard isOld, !head.headers.contains(name: "host") else { break }
      // HTTP/1.0 has no Host; from here on every request has one, or is refused.
      var head = head
      head.headers.add(name: "host", value: "localhost")
      return context.fireChannelRead(wrapInboundOut(.head(head)))
    case .body:
      if bodySince == nil { return }
    case .end:
      // All of it came with the head: there is nothing left to hold back, and the next request may come.
      admitBody()
      if bodySince == nil && drainSince == nil { return }
      if drainSince != nil {
        drainSince = nil
        if isLast { return close(nil) }
        idleSince = sweeper.now
      } else if unanswered == 1, !isReplying {
        handlerSince = sweeper.now
      }
      bodySince = nil
    }
    context.fireChannelRead(data)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if let error = error as? HTTPParserError {
      parserError = error
      headerSince = nil
      if drainSince != nil { return close(.malformed) }
    }
    // The reader of the body, or the loop that waits for the next request, gets the error and
    // answers in turn.
    context.fireErrorCaught(error)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is ChannelShouldQuiesceEvent {
      isQuiescing = true
      if unanswered == 0 { close(nil) }
      return
    }
    context.fireUserInboundEventTriggered(event)
  }

  // MARK: Holding back

  func read(context: ChannelHandlerContext) {
    if isHoldingBody { hasHeldRead = true } else { context.read() }
  }

  func triggerUserOutboundEvent(
    context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
  ) {
    guard event is BodyAdmission else {
      return context.triggerUserOutboundEvent(event, promise: promise)
    }
    // What the system does not set stays as it was, which is slower and no more.
    try? ReadSize.large.set(on: context.channel)
    admitBody()
    promise?.succeed()
  }

  private func admitBody() {
    isHoldingBody = false
    guard hasHeldRead else { return }
    hasHeldRead = false
    context?.read()
  }

  // MARK: Writing

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    if isFinished {
      promise?.fail(ChannelError.ioOnClosedChannel)
      return
    }
    switch unwrapOutboundIn(data) {
    case .head(let head) where head.status.code >= 200:
      if let parserError, unanswered == 0 || (unanswered == 1 && bodySince != nil) {
        promise?.succeed()
        let tooLarge = parserError == .headerOverflow
        return finish(Problem(tooLarge ? .headerTooLarge : .malformedRequest), .malformed)
      }
      isReplying = true
      handlerSince = nil
      if (isLast || isQuiescing) && unanswered == 1 {
        isLast = true
        var head = head
        head.headers.replaceOrAdd(name: "connection", value: "close")
        context.write(wrapOutboundOut(.head(head)), promise: promise)
      } else {
        context.write(data, promise: promise)
      }
    case .end where isReplying:
      let isEnd = isLast && unanswered == 1 && bodySince == nil
      let written = isEnd ? promise ?? context.eventLoop.makePromise() : promise
      // The encoder does not know that this is no body: its last chunk would be taken for the next reply.
      wire.dropsWrites = areHeads.isEmpty ? false : areHeads.removeFirst()
      context.write(data, promise: written)
      wire.dropsWrites = false
      replied(context, isEnd ? written?.futureResult : nil)
    default:
      context.write(data, promise: promise)
    }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    stalledSince = context.channel.isWritable ? nil : sweeper.now
    context.fireChannelWritabilityChanged()
  }

  private func replied(_ context: ChannelHandlerContext, _ lastWritten: EventLoopFuture<Void>?) {
    unanswered -= 1
    isReplying = false
    if unanswered > 0 {
      // A pipelined request is next; if it is incomplete, its body's time is already running.
      handlerSince = bodySince == nil || unanswered > 1 ? sweeper.now : nil
    } else if bodySince != nil {
      // Answered before the request was complete: the rest is read for a while, because closing at
      // once would destroy the reply.
      admitBody()
      bodySince = nil
      drainSince = sweeper.now
      drained = 0
    } else if let lastWritten {
      // Not before the last byte is in the kernel's hands.
      isFinished = true
      lastWritten.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
      context.flush()
    } else {
      idleSince = sweeper.now
    }
  }

  // MARK: Limits

  /// Ends the connection if one of its times has passed.
  ///
  /// - Parameter isCrowded: whether nearly all places for connections are taken.
  func check(at now: NIODeadline, isCrowded: Bool) {
    // A stamp may be one interval old: without it nobody would have the whole time.
    func isOver(_ since: NIODeadline?, _ limit: Duration) -> Bool {
      since.map { now - $0 >= TimeAmount(limit) + ConnectionSweeper.interval } ?? false
    }
    if isOver(drainSince, limits.drainTime) {
      close(.drain)
    } else if isOver(stalledSince, limits.stalledReader) {
      close(.stalledReader)
    } else if isOver(headerSince, limits.header) {
      finish(Problem(.requestTimeout), .slowHeader)
    } else if isOver(bodySince, limits.body) {
      isReplying ? close(.slowBody) : finish(Problem(.requestTimeout), .slowBody)
    } else if isOver(handlerSince, limits.handler) {
      finish(.unavailable(.deadlineExceeded), .handler)
    } else if isOver(idleSince, limits.idle) {
      close(.idle)
    } else if isCrowded, isOver(headerSince, limits.crowdedHeader) {
      finish(Problem(.requestTimeout), .crowded)
    } else if isCrowded, isOver(idleSince, limits.crowdedIdle) {
      close(.crowded)
    }
  }

  /// Answers in the handler's place, stops it, and closes: our side now, the rest when the client
  /// has, or after `drainTime`.
  private func finish(_ problem: Problem, _ cut: ConnectionCut) {
    guard let context, !isFinished else { return }
    let requestID = unanswered > 0 ? connection.requestID : nil
    metrics.count(cut)
    connection.cancel(cut: unanswered > 0)
    let identifier = requestID ?? RequestIdentifier.make()
    let document = problem.document(instance: nil, requestID: identifier)
    var headers = HTTPHeaders(problem.headers.map { ($0.name.rawName, $0.value) })
    headers.add(name: "content-type", value: "application/problem+json")
    headers.add(name: "content-length", value: "\(document.count)")
    headers.add(name: "x-request-id", value: identifier)
    headers.add(name: "x-content-type-options", value: "nosniff")
    headers.add(name: "connection", value: "close")
    let status = HTTPResponseStatus(statusCode: problem.kind.status.code)
    let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
    isFinished = true
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: document)))), promise: nil)
    let written = context.eventLoop.makePromise(of: Void.self)
    written.futureResult.assumeIsolated().whenComplete { _ in
      context.close(mode: .output, promise: nil)
    }
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
    (headerSince, bodySince, handlerSince, idleSince) = (nil, nil, nil, nil)
    drainSince = sweeper.now
    drained = 0
    admitBody()
  }

  private func close(_ cut: ConnectionCut?) {
    guard let context else { return }
    if let cut { metrics.count(cut) }
    isFinished = true
    (drainSince, headerSince, bodySince) = (nil, nil, nil)
    (handlerSince, idleSince, stalledSince) = (nil, nil, nil)
    connection.cancel(cut: false)
    context.close(promise: nil)
  }
}
