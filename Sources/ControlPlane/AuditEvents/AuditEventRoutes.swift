import Domain
import FoundationEssentials
import Hummingbird
import Postgres

/// `/v1/organizations/{organization}/audit-events`: who did what, newest first.
struct AuditEventRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    router.get("/v1/organizations/{organization}/audit-events", use: list)
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .auditRead)
    let query = QueryReader(request)
    let filter = AuditEventTable.Filter(query)
    let page = try Page(
      query, scope: "audit-events \(member.organizationID) \(filter.scope)",
      sealer: services.cursors)
    let rows = try await member.reads.rows(
      AuditEventTable.list(
        in: member.organizationID, filter, before: page.afterPosition, limit: page.fetchLimit))
    return try page.reply(rows.map { try AuditEventRow($0) }) {
      try $0.json()
    } place: {
      $0.position.place
    }
  }
}
