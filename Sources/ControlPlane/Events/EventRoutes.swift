import Domain
import EventStore
import HTTPTypes
import Hummingbird
import NIOCore
import Postgres
import ServiceLifecycle

/// `/v1/organizations/{organization}/events`: the workspace's part of the log, oldest first, with what makes it verifiable;
/// and `…/events/stream`, which goes on with what happens.
struct EventRoutes: RouteGroup {
  /// For what a stream asks the database on its way.
  private static let patience: Duration = .seconds(2)

  let services: Services
  let live: LiveEvents

  func add(to router: APIRouter) {
    router.get("/v1/organizations/{organization}/events", use: list)
    router.get("/v1/organizations/{organization}/events/stream", use: stream)
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .eventRead)
    let query = QueryReader(request)
    let after = query.integer("after", 0...QueryReader.largestInteger) ?? 0
    let limit = query.limit()
    try query.finish()
    let rows = try await member.reads.rows(
      EventLog.events(
        of: member.organizationID.uuid, after: after, limit: Int64(limit),
        types: member.readableEventTypes))
    let events = try rows.map { try RecordedEvent($0) }
    if let last = events.last { return try EventPayloads.page(events, nextAfter: last.position) }
    return try EventPayloads.page([], nextAfter: await end(of: member, after: after))
  }

  /// The position up to which a page without events has looked: behind all events that its caller may not see, so that the
  /// next request does not look past the same ones again. Those appended since the page began are left to the next one.
  private func end(of member: Membership, after: Int64) async throws -> Int64 {
    guard member.readableEventTypes != nil else { return after }
    let rows = try await member.reads.rows(
      EventLog.last(
        of: member.organizationID.uuid, after: after, upTo: member.reads.position))
    return try rows.first.map { row throws(PostgresError) in try row.decode(Int64.self) } ?? after
  }

  private func stream(request: Request, context: APIContext) async throws -> Response {
    let member = try await services.authorizer.member(request, context, may: .eventRead)
    let query = QueryReader(request)
    let after = query.integer("after", 0...QueryReader.largestInteger) ?? 0
    try query.finish()
    // Every workspace has events: whoever sees none sees nothing of it.
    let first = EventLog.events(of: member.organizationID.uuid, after: 0, limit: 1)
    guard try await !member.reads.rows(first).isEmpty else { throw Problem(.notFound) }
    // What a client saw last goes before where it once began.
    let cursor =
      switch LastEventID(request.headers) {
      case .none: after
      case .position(let position): position
      // Like a position that is ahead of the log: the stream begins with a reset.
      case .invalid: Int64.max
      }
    let place = try services.limiter.openStream(of: member.principal.id)
    let stream = EventStream(
      live: live, organizationID: member.organizationID, cursor: cursor,
      head: member.reads.position
    ) { [services] in
      try await services.authorizer.member(
        request, Self.renewed(context), may: .eventRead)
    }
    return Response(
      status: .ok,
      headers: [
        .contentType: "text/event-stream", .cacheControl: "no-store",
        // Some proxies would hold back what they take for a short page.
        .accelBuffering: "no",
      ],
      body: ResponseBody { [live] writer in
        defer { place?.close() }
        try await withGracefulShutdownHandler {
          try await stream.write(to: &writer)
        } onGracefulShutdown: {
          live.hangUp()
        }
        try await writer.finish(nil)
      })
  }

  /// The same request, as if it came now; it counts as the one that it is.
  private static func renewed(_ context: APIContext) -> APIContext {
    let former = context.exchange
    var context = context
    context.exchange = Exchange(
      requestID: former.requestID, trace: former.trace, deadline: .now + patience,
      clientAddress: former.clientAddress, userAgent: former.userAgent,
      pathParameters: former.pathParameters)
    if let decision = former.annotations.rateLimit {
      context.exchange.annotate(rateLimit: decision)
    }
    return context
  }
}

extension HTTPField.Name {
  static let accelBuffering = HTTPField.Name("X-Accel-Buffering")!
}
