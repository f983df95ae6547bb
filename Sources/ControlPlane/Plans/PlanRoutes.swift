import Domain
import FoundationEssentials
import Hummingbird
import JSON
import Postgres

/// `/v1/plans`, and a workspace's plan and limits.
struct PlanRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    router.get("/v1/plans", use: catalog)
    router.put("/v1/organizations/{organization}/plan", use: change)
    router.get("/v1/organizations/{organization}/limits", use: limits)
  }

  private func catalog(request: Request, context: APIContext) async throws -> Reply {
    _ = try await services.authorizer.principal(request, context)
    try QueryReader(request).finish()
    return .json(services.plans.json.bytes())
  }

  /// By those who see to the billing, who get a larger plan only by paying for it, or by the platform.
  private func change(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .planWrite, or: .platformAdmins, ifMatch: .required)
    let payload = try ChangePlanPayload(context.body)
    do {
      return try await change.carryOut(.plan(.change(to: payload.tier)))
    } catch CommandError.rejected(.paymentRequired(let missing)) {
      throw missing.problem(of: change.organization())
    }
  }

  private func limits(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(
      request, context, may: .organizationRead, or: .platformAdmins)
    try QueryReader(request).finish()
    let now = Timestamp.now
    let rows = try await member.reads.rows(PlanQuery.limits(of: member.organizationID, at: now))
    guard let row = rows.first else { throw Problem(.notFound) }
    let projects = try await member.reads.rows(
      PlanQuery.projectUsage(in: member.organizationID, among: member.projectIDs, at: now))
    return .json(try PlanQuery.limits(row, projects, services.plans).json.bytes())
  }
}
