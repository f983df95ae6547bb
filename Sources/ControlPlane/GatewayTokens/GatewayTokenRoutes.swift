import Cryptography
import Domain
import Hummingbird
import JSON

/// `/v1/platform/gateway-tokens`: create, list, get, revoke; for platform admins.
struct GatewayTokenRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    let tokens = "/v1/platform/gateway-tokens"
    router.post("\(tokens)", use: create)
    router.get("\(tokens)", use: list)
    router.get("\(tokens)/{token}", use: get)
    router.delete("\(tokens)/{token}", use: revoke)
  }

  /// The reply also shows the key under which gateways hash the API keys that they are sent.
  private func create(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, by: .platformAdmin, ifMatch: .ignored)
    let payload = try CreateGatewayTokenPayload(context.body, now: change.time)
    let token = TokenFormat.gateway.generate()
    let command = GatewayTokenCommand.create(
      GatewayTokenID(Identifiers.next()), name: payload.name,
      secret: services.hasher.secret(token), expiresAt: payload.expiresAt)
    return try await change.carryOut(
      .gatewayToken(command), in: .platform, showing: token,
      apiKeyPepper: Base64URL.encode(services.hasher.derivedKey(for: "api-keys")))
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let reads = try await services.authorizer.platformAdmin(request, context)
    let page = try Page(QueryReader(request), scope: "gateway-tokens", sealer: services.cursors)
    let rows = try await reads.rows(
      GatewayTokenTable.list(after: page.afterID, limit: page.fetchLimit))
    return try page.reply(rows.map { try GatewayTokenRow($0) }) {
      $0.token.json(id: $0.id)
    } place: {
      $0.id.uuid.place
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let reads = try await services.authorizer.platformAdmin(request, context)
    try QueryReader(request).finish()
    let rows = try await reads.rows(GatewayTokenTable.find(context.id("token")))
    guard let row = rows.first else { throw Problem(.notFound) }
    let found = try GatewayTokenRow(row)
    return try RenderedResource(found.token.json(id: found.id), version: found.token.version)
      .reply(to: request)
  }

  /// Takes no If-Match: taking access away never waits for anybody.
  private func revoke(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, by: .platformAdmin, ifMatch: .ignored)
    return try await change.carryOut(.gatewayToken(.revoke(context.id("token"))), in: .platform)
  }
}
