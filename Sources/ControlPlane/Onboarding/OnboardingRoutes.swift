import Domain
import FoundationEssentials
import Hummingbird
import JSON
import Postgres

/// `/v1/organizations/{organization}/onboarding`: how far the workspace is set up; complete, dismiss, resume; and facts
/// that the platform reports.
struct OnboardingRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    let onboarding = "/v1/organizations/{organization}/onboarding"
    router.get("\(onboarding)", use: get)
    router.post("\(onboarding)/facts", use: recordFact)
    for transition in Onboarding.Transition.allCases {
      router.post("\(onboarding)/\(transition.rawValue)") { request, context in
        try await self.request(transition, request, context)
      }
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .organizationRead)
    try QueryReader(request).finish()
    let rows = try await member.reads.rows(OrganizationTable.find(member.organizationID))
    guard let row = try rows.first.map({ try OrganizationRow($0) }) else {
      throw Problem(.notFound)
    }
    let stored = try StrictJSONDecoder().decode(
      [String: Timestamp].self, from: row.onboardingFacts.utf8)
    var facts: [Onboarding.Step: Timestamp] = [:]
    for step in Onboarding.Step.allCases { facts[step] = stored[step.rawValue] }
    return .json(Onboarding.json(state: row.onboardingState, facts: facts).bytes())
  }

  private func request(
    _ transition: Onboarding.Transition, _ request: Request, _ context: APIContext
  ) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .onboardingWrite, ifMatch: .ignored)
    try NoPayload.check(context.body)
    return try await change.carryOut(.onboarding(.request(transition)))
  }

  /// Only by the platform: what a member does is a fact of its own.
  private func recordFact(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .onboardingWrite, or: .platformAdmins, by: .platformAdmin,
      ifMatch: .ignored)
    let payload = try OnboardingFactPayload(context.body)
    return try await change.carryOut(.onboarding(.record(payload.step)))
  }
}
