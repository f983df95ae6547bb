import Compression
import HTTPTypes
package import Hummingbird
import JSON
import Logging
import NIOCore
import NIOHTTP1
import Synchronization

/// What every request stands on: the one responder around the router. It names the request, finds
/// its route, checks what can be checked without knowing features, reads the body, bounds the time,
/// and turns every error into a problem, every request into a line and a number.
package struct HTTPFloor: HTTPResponder {
  package typealias Context = APIContext

  private let table: RouteTableHolder
  private let metrics: HTTPMetrics
  private let log: AccessLog
  private let logger: Logger
  private let rateLimits: RateLimitFields
  private let trustedProxies: TrustedProxies
  private let bodies: BodyReader
  private let handlerTime: Duration

  init(
    router: APIRouter, metrics: HTTPMetrics, log: AccessLog, logger: Logger,
    rateLimits: RateLimitFields, trustedProxies: TrustedProxies, bodies: BodyReader,
    handlerTime: Duration
  ) {
    table = RouteTableHolder(RouteTable(router, metrics: metrics))
    self.metrics = metrics
    self.log = log
    self.logger = logger
    self.rateLimits = rateLimits
    self.trustedProxies = trustedProxies
    self.bodies = bodies
    self.handlerTime = handlerTime
  }

  /// Requests that arrive from now on are answered by these routes.
  func serve(_ router: APIRouter) {
    table.replace(by: RouteTable(router, metrics: metrics))
  }

  package func respond(to request: Request, context: APIContext) async throws -> Response {
    let start = ContinuousClock.now
    let head = RequestHead(request.headers)
    let requestID = head.requestID ?? RequestIdentifier.make()
    let connection = ClientConnection.current
    connection?.requestID = requestID
    metrics.inFlight.add(1)
    defer { metrics.inFlight.add(-1) }

    let target = request.head.path ?? ""
    let routes = table.routes
    let endpoint = routes.endpoint(of: target)
    let operation = endpoint?.operation(request.method)
    let series = operation?.series ?? metrics.unmatchedSeries(for: request.method)
    let peer = connection?.remoteAddress ?? "local"
    let client = trustedProxies.clientAddress(peer: peer, forwardedFor: head.forwardedFor)
    if !head.forwardedFor.isEmpty, !trustedProxies.trusts(peer: peer) {
      noteUntrustedForwarding(by: peer)
    }
    var line = AccessLog.Line(
      requestID: requestID, traceID: head.trace?.traceID, method: request.method.rawValue,
      route: endpoint?.template ?? "unmatched",
      path: endpoint.flatMap { _ in Self.path(of: target) },
      status: 0, nanoseconds: 0, client: client)

    var response: Response
    var rateLimit: RateLimitDecision?
    do {
      if let early = try admit(request, head, target, endpoint, routes) {
        response = early
      } else if let endpoint, let operation {
        var (request, context) = (request, context)
        let unread = request
        let (body, reservation) = try await bodies.body(
          of: &request, head, endpoint.bodyRules, connection
        ) {
          guard let authenticate = routes.authenticateHead else { throw Problem.unavailable() }
          let exchange = Exchange(
            requestID: requestID, trace: head.trace, deadline: .now + handlerTime,
            clientAddress: client, userAgent: head.userAgent)
          defer {
            line.actor = exchange.annotations.actor
            rateLimit = exchange.annotations.rateLimit
          }
          var context = context
          context.exchange = exchange
          return try await authenticate(unread, context, endpoint.bodyRules)
        }
        let exchange = Exchange(
          requestID: requestID, trace: head.trace, deadline: .now + handlerTime,
          clientAddress: client, userAgent: head.userAgent,
          pathParameters: endpoint.parameters(in: target), body: body,
          bodyReservation: reservation)
        context.exchange = exchange
        defer {
          let annotations = exchange.annotations
          (line.actor, line.position) = (annotations.actor, annotations.position)
          rateLimit = annotations.rateLimit
        }
        response = try await operation.responder.respond(to: request, context: context)
        if request.method == .head { response = response.headOnly }
      } else {
        throw routes.unmatched
      }
    } catch let error as HTTPParserError {
      // The guard answers this one: the connection's framing is lost.
      finish(&line, series, status: 400, since: start)
      throw error
    } catch {
      let problem = problem(for: error, requestID: requestID, handlerStart: start)
      let path = line.path.map { String(Substring($0)) }
      response = problem.response(instance: path, requestID: requestID)
      if request.method == .head { response = response.headOnly }
    }
    response.headers.append(HTTPField(name: .requestID, value: requestID))
    response.headers.append(.noSniff)
    // Nearly everything is personal, secret or the gateways' configuration; what is not says so.
    if endpoint?.isKeptNowhere == true, response.headers[.cacheControl] == nil {
      response.headers.append(.noStore)
    }
    if let rateLimit { rateLimits.append(rateLimit, to: &response.headers) }
    line.bytes = response.body.contentLength
    let status = connection?.isCut == true ? 503 : response.status.code
    finish(&line, series, status: status, since: start)
    return response
  }

  /// Everything that can be refused before the body is read, or answered without a handler.
  private func admit(
    _ request: Request, _ head: RequestHead, _ target: String, _ endpoint: Endpoint?,
    _ routes: RouteTable
  ) throws -> Response? {
    guard request.head.authority != nil, !head.hasSecondHost else {
      throw Problem(.malformedRequest, "exactly one Host header field is required")
    }
    guard let endpoint else {
      // RFC 9110 §9.3.7: "*" asks about the server as a whole.
      if request.method == .options, target == "*" { return Response(status: .noContent) }
      throw routes.unmatched
    }
    if endpoint.operation(request.method) == nil {
      let allow: HTTPFields = [.allow: endpoint.allow]
      if request.method == .options { return Response(status: .noContent, headers: allow) }
      throw Problem(.methodNotAllowed, headers: allow)
    }
    if let accept = head.accept, !endpoint.servesText {
      if let mediaType = endpoint.mediaType {
        guard MediaTypes.accepts([mediaType], accept) else {
          throw Problem(.notAcceptable, "the reply is \(mediaType)")
        }
      } else if !MediaTypes.acceptsJSON(accept) {
        throw Problem(.notAcceptable)
      }
    }
    if let expectation = head.expectation, expectation.lowercased() != "100-continue" {
      throw Problem(.expectationFailed)
    }
    return nil
  }

  /// The one place where errors become problems.
  private func problem(
    for error: any Error, requestID: String, handlerStart: ContinuousClock.Instant
  ) -> Problem {
    switch error {
    case let error as any ProblemConvertible:
      return error.problem
    case let error as JSONSyntaxError:
      return Problem(
        .malformedJSON, error.message,
        members: ["line": .integer(Int64(error.line)), "column": .integer(Int64(error.column))])
    case let error as any HTTPResponseError:
      // A refusal of the framework's own, in our words.
      return Self.problem(for: error.status) ?? internalError(error, requestID)
    case is CancellationError:
      let isLate = ContinuousClock.now - handlerStart >= handlerTime
      return .unavailable(isLate ? .deadlineExceeded : .unavailable)
    default:
      return internalError(error, requestID)
    }
  }

  private func internalError(_ error: any Error, _ requestID: String) -> Problem {
    logger.error(
      "request failed",
      metadata: ["request_id": "\(requestID)", "error": "\(String(reflecting: error))"])
    return Problem(.internalError)
  }

  private static func problem(for status: HTTPResponse.Status) -> Problem? {
    switch status {
    case .badRequest: Problem(.malformedRequest)
    case .notFound: Problem(.notFound)
    case .contentTooLarge: Problem(.bodyTooLarge)
    case .unsupportedMediaType: Problem(.unsupportedMediaType)
    case .unprocessableContent: Problem(.invalidRequest)
    default: nil
    }
  }

  /// Behind a proxy that is not named, all clients have the proxy's address, and one of them can use up what failed logins
  /// are allowed for all.
  private func noteUntrustedForwarding(by peer: String) {
    metrics.untrustedForwarding.add()
    guard metrics.isFirstUntrustedForwarding() else { return }
    logger.warning(
      "X-Forwarded-For is ignored: if this address is your proxy's, name it with --trusted-proxies",
      metadata: ["address": "\(peer)"])
  }

  private func finish(
    _ line: inout AccessLog.Line, _ series: HTTPMetrics.Series, status: Int,
    since start: ContinuousClock.Instant
  ) {
    line.status = status
    line.nanoseconds = (ContinuousClock.now - start).nanoseconds
    series.record(status: status, nanoseconds: line.nanoseconds)
    log.append(line)
  }

  /// Nil when it must not be repeated.
  private static func path(of target: String) -> Substring.UTF8View? {
    let path = target.utf8.prefix { !$0.endsPath }
    return TokenFormat.isPart(ofPath: path) ? nil : path
  }
}

/// The routes, which are exchanged once when a process starts before its database.
private final class RouteTableHolder: Sendable {
  private let table: Mutex<RouteTable>

  init(_ table: RouteTable) {
    self.table = Mutex(table)
  }

  var routes: RouteTable { table.withLock { $0 } }

  func replace(by table: RouteTable) { self.table.withLock { $0 = table } }
}
