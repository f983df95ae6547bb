import Domain
import Hummingbird
import JSON
import Postgres

/// Whether a change is live on every gateway: for a workspace as numbers, for the platform gateway by gateway.
struct PropagationRoutes: RouteGroup {
  /// Who was silent for so long is not listed any more.
  static let remembered: Int64 = 86_400_000_000

  let services: Services
  let reports: GatewayReports

  func add(to router: APIRouter) {
    router.get("/v1/organizations/{organization}/propagation", use: propagation)
    router.get("/v1/platform/gateways", use: gateways)
  }

  private func propagation(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .organizationRead)
    let query = QueryReader(request)
    let position = query.integer("position", 1...QueryReader.largestInteger)
    try query.finish()
    // What follows is the platform's, and no row security looks at who asks: here it does.
    let organization = try await member.reads.rows(OrganizationTable.find(member.organizationID))
    guard !organization.isEmpty else { throw Problem(.notFound) }
    return .json(
      try await propagation(of: position, member.reads.scoped(to: .system)).json.bytes())
  }

  private func gateways(request: Request, context: APIContext) async throws -> Reply {
    let reads = try await services.authorizer.platformAdmin(request, context)
    try QueryReader(request).finish()
    return .json(try await propagation(of: nil, reads).gatewaysJSON.bytes())
  }

  /// - Parameter position: nil for the log's end.
  /// - Throws: a ``Problem`` of 422 when the position is yet to come.
  private func propagation(of position: Int64?, _ reads: Reads) async throws -> Propagation {
    let newest = reads.position
    if let position, position > newest {
      throw Problem.invalid([
        .init(.parameter("position"), "range", "the newest position is \(newest)")
      ])
    }
    // What was said here a moment ago counts.
    await reports.write()
    let now = Timestamp.now
    let position = position ?? newest
    let effective = try await reads.rows(ConfigurationChangeTable.newest(upTo: position))[0]
      .decode(Int64.self)
    let gateways = try await reads.rows(
      GatewayTable.seen(since: now.advanced(by: -Self.remembered)))
    return Propagation(
      position: position, effective: effective,
      gateways: try gateways.map { row throws(PostgresError) in try GatewayRow(row) }, now: now)
  }
}
