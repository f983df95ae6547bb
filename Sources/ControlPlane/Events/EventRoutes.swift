import Domain
import EventStore
import Hummingbird

/// `/v1/organizations/{organization}/events`: the workspace's part of the log, oldest first, with what makes it verifiable.
struct EventRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    router.get("/v1/organizations/{organization}/events", use: list)
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .eventRead)
    let query = QueryReader(request)
    let after = query.integer("after", 0...QueryReader.largestInteger) ?? 0
    let limit = query.limit()
    try query.finish()
    let rows = try await member.reads.rows(
      EventLog.events(of: member.organizationID.uuid, after: after, limit: Int64(limit)))
    return try EventPayloads.page(rows.map { try RecordedEvent($0) }, after: after)
  }
}
