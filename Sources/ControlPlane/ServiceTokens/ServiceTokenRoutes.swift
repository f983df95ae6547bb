import Domain
import FoundationEssentials
import Hummingbird
import JSON
import Postgres

/// `/v1/organizations/{organization}/service-tokens`: create, list, get, rotate, revoke.
struct ServiceTokenRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    let tokens = "/v1/organizations/{organization}/service-tokens"
    router.post("\(tokens)", use: create)
    router.get("\(tokens)", use: list)
    router.get("\(tokens)/{token}", use: get)
    router.post("\(tokens)/{token}/rotate", use: rotate)
    router.delete("\(tokens)/{token}", use: revoke)
  }

  /// Only people make and rotate tokens: one that leaked must not outlive its end.
  private func create(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .serviceTokenWrite, by: .person, ifMatch: .ignored)
    let payload = try CreateServiceTokenPayload(context.body, now: change.time)
    let token = TokenFormat.service.generate()
    let command = ServiceTokenCommand.create(
      ServiceTokenID(Identifiers.next()), name: payload.name, role: payload.role,
      projectIDs: payload.projectIDs, secret: services.hasher.secret(token),
      expiresAt: payload.expiresAt)
    return try await change.carryOut(.serviceToken(command), showing: token)
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .serviceTokenRead)
    let page = try Page(
      QueryReader(request), scope: "service-tokens \(member.organizationID)",
      sealer: services.cursors)
    let rows = try await member.reads.rows(
      ServiceTokenTable.list(
        in: member.organizationID, after: page.afterID, limit: page.fetchLimit))
    return try page.reply(rows.map { try ServiceTokenRow($0) }) {
      $0.json
    } place: {
      $0.id.uuid.place
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .serviceTokenRead)
    try QueryReader(request).finish()
    let rows = try await member.reads.rows(
      ServiceTokenTable.find(context.id("token"), in: member.organizationID))
    guard let row = rows.first else { throw Problem(.notFound) }
    // No ETag: it is used without a change.
    return .json(try ServiceTokenRow(row).json.bytes())
  }

  private func rotate(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .serviceTokenWrite, by: .person, ifMatch: .ignored)
    let id = try context.id("token", of: ServiceToken.self)
    let payload = try RotateServiceTokenPayload(context.body)
    let token = TokenFormat.service.generate()
    let command = ServiceTokenCommand.rotate(
      id, secret: services.hasher.secret(token), graceSeconds: payload.graceSeconds)
    return try await change.carryOut(.serviceToken(command), showing: token)
  }

  /// Takes no If-Match: taking access away never waits for anybody.
  private func revoke(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .serviceTokenWrite, ifMatch: .ignored)
    return try await change.carryOut(.serviceToken(.revoke(context.id("token"))))
  }
}
