import Domain
import HTTPTypes
import Hummingbird
import JSON
import Postgres
import Stripe

/// `/v1/platform/stripe-events`: what Stripe told, and what became of it; for platform admins.
struct StripeEventRoutes: RouteGroup {
  let services: Services
  let processor: StripeEventProcessor

  func add(to router: APIRouter) {
    let events = "/v1/platform/stripe-events"
    router.get("\(events)", use: list)
    router.get("\(events)/{event}", use: get)
    router.post("\(events)/{event}:replay", use: replay)
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let reads = try await services.authorizer.platformAdmin(request, context)
    let query = QueryReader(request)
    let status = query.choice("status", of: StripeEventRow.Status.self)
    let page = try Page(
      query, scope: "stripe-events \(status?.rawValue ?? "")", sealer: services.cursors)
    let rows = try await reads.rows(
      StripeEventTable.list(
        status, after: page.afterName.flatMap(StripeEventPlace.init)?.place,
        limit: page.fetchLimit))
    return try page.reply(rows.map { try StripeEventRow($0) }) {
      $0.json
    } place: {
      Array(StripeEventPlace($0).description.utf8)
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let reads = try await services.authorizer.platformAdmin(request, context)
    try QueryReader(request).finish()
    return .json(try await row(context, reads).json.bytes())
  }

  /// By the same way as at first.
  private func replay(request: Request, context: APIContext) async throws -> Reply {
    let replay = try await PlatformReplay(request, context, services)
    let reads = replay.reads
    let row = try await row(context, reads)
    guard row.status != .applied, row.status != .ignored else {
      throw Problem(.stripeEventFinished, "it is \(row.status.rawValue)")
    }
    guard let stored = try await reads.rows(StripeEventTable.findStored(row.id)).first else {
      throw Problem(.notFound)
    }
    let kept = try StoredStripeEvent(stored)
    if replay.isDryRun {
      let (status, reason) = try await processor.rehearse(kept.event(), deadline: context.deadline)
      return PlatformReplay.rehearsal(of: row.with(status, reason).json)
    }
    var next = kept.next(deadline: context.deadline)
    next.origin = CommandOrigin(requestID: context.requestID)
    next.isAskedFor = true
    _ = try await processor.attempt(next)
    return .json(try await self.row(context, reads).json.bytes())
  }

  private func row(_ context: APIContext, _ reads: Reads) async throws -> StripeEventRow {
    let id = context.pathParameters["event"] ?? ""
    guard let row = try await reads.rows(StripeEventTable.find(id)).first else {
      throw Problem(.notFound)
    }
    return try StripeEventRow(row)
  }
}

/// Where an event stands in the list.
private struct StripeEventPlace: CustomStringConvertible {
  let place: (time: Timestamp, id: String)

  init(_ row: StripeEventRow) { place = (row.receivedAt, row.id) }

  init?(_ text: String) {
    let parts = text.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, let time = Int64(parts[0]).flatMap(Timestamp.init(microseconds:))
    else { return nil }
    place = (time, String(parts[1]))
  }

  var description: String { "\(place.time.microseconds) \(place.id)" }
}
