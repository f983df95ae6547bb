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

  /// By whoever sees to the billing, or by the platform.
  private func change(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .planWrite, or: .platformAdmins, ifMatch: .required)
    let payload = try ChangePlanPayload(context.body)
    return try await change.carryOut(.plan(.change(to: payload.tier)))
  }

  private func limits(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(
      request, context, may: .organizationRead, or: .platformAdmins)
    try QueryReader(request).finish()
    let rows = try await member.reads.rows(
      LimitsQuery.limits(of: member.organizationID, at: .now))
    guard let row = rows.first else { throw Problem(.notFound) }
    return .json(try LimitsQuery.limits(row, services.plans).json.bytes())
  }
}

/// How much there is of what the plan limits.
private enum LimitsQuery {
  static func limits(of organization: OrganizationID, at time: Timestamp) -> Query {
    """
    SELECT plan_tier, plan_catalog_version, entitlements, \
    (SELECT count(*) FROM projects AS p \
    WHERE p.organization_id = o.organization_id AND p.archived_at IS NULL), \
    (SELECT count(*) FROM memberships AS m WHERE m.organization_id = o.organization_id) \
    + (SELECT count(*) FROM invitations AS i WHERE i.organization_id = o.organization_id \
    AND status = 'pending' AND expires_at > \(TimestampTZ(time))) \
    FROM organizations AS o WHERE organization_id = \(organization.uuid)
    """
  }

  static func limits(_ row: Row, _ catalog: PlanCatalog) throws -> WorkspaceLimits {
    let (tier, version, entitlements, projects, members) = try row.decode(
      (PlanTier, Int64, JSONB, Int64, Int64).self)
    return WorkspaceLimits(
      tier: tier, catalogVersion: version,
      // Given before there was a catalog: as the decider takes it.
      entitlements: version == 0
        ? catalog[tier].entitlements
        : try StrictJSONDecoder().decode(Entitlements.self, from: entitlements.utf8),
      usage: [.projects: projects, .members: members])
  }
}
