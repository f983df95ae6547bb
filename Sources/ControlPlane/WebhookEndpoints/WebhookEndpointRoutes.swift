import Cryptography
import Domain
import FoundationEssentials
import Hummingbird
import JSON
import Postgres

/// `/v1/organizations/{organization}/webhook-endpoints`: create, list, get, change, rotate the secret, disable, enable,
/// replay, delete. What is sent to them is a feature of its own.
struct WebhookEndpointRoutes: RouteGroup {
  let services: Services
  let targets: TargetPolicy

  func add(to router: APIRouter) {
    let endpoints = "/v1/organizations/{organization}/webhook-endpoints"
    router.post("\(endpoints)", use: create)
    router.get("\(endpoints)", use: list)
    router.get("\(endpoints)/{endpoint}", use: get)
    router.patch("\(endpoints)/{endpoint}", use: change)
    router.delete("\(endpoints)/{endpoint}", use: delete)
    router.post("\(endpoints)/{endpoint}:rotate-secret", use: rotateSecret)
    router.post("\(endpoints)/{endpoint}:disable", use: disable)
    router.post("\(endpoints)/{endpoint}:enable", use: enable)
    router.post("\(endpoints)/{endpoint}:replay", use: replay)
  }

  private func create(request: Request, context: APIContext) async throws -> Reply {
    let change = try await change(request, context)
    let payload = try CreateWebhookEndpointPayload(context.body, targets)
    let id = WebhookEndpointID(Identifiers.next())
    let secret = try newSecret(of: id, in: change.organization())
    return try await change.carryOut(
      .webhookEndpoint(.create(id, payload.settings, secret: secret.sealed)),
      showing: secret.text, as: "secret")
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .webhookRead)
    let organization = member.organizationID
    let page = try Page(
      QueryReader(request), scope: "webhook-endpoints \(organization)", sealer: services.cursors)
    let rows = try await member.reads.rows(
      WebhookEndpointTable.list(in: organization, after: page.afterID, limit: page.fetchLimit))
    return try page.reply(rows.map { try WebhookEndpointRow($0) }) {
      $0.endpoint.json(id: $0.id, organizationID: organization)
    } place: {
      $0.id.uuid.place
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .webhookRead)
    let organization = member.organizationID
    let id = try context.id("endpoint", of: WebhookEndpoint.self)
    let endpoint: WebhookEndpoint?
    if let moment = try QueryReader.asOf(request) {
      endpoint = try await WorkspaceHistory.workspace(organization, asOf: moment, member.reads)
        .webhookEndpoints[id]
    } else {
      endpoint = try await member.reads.webhookEndpoint(id, in: organization)?.endpoint
    }
    guard let endpoint else { throw Problem(.notFound) }
    return try RenderedResource(
      endpoint.json(id: id, organizationID: organization), version: endpoint.version
    ).reply(to: request)
  }

  private func change(request: Request, context: APIContext) async throws -> Reply {
    let change = try await change(request, context, ifMatch: .required)
    let id = try context.id("endpoint", of: WebhookEndpoint.self)
    let payload = try ChangeWebhookEndpointPayload(context.body, targets)
    return try await change.carryOut(.webhookEndpoint(.change(id, payload.changes)))
  }

  private func rotateSecret(request: Request, context: APIContext) async throws -> Reply {
    let change = try await change(request, context)
    let id = try context.id("endpoint", of: WebhookEndpoint.self)
    let payload = try RotateWebhookSecretPayload(context.body)
    let secret = try newSecret(of: id, in: change.organization())
    return try await change.carryOut(
      .webhookEndpoint(
        .rotateSecret(id, to: secret.sealed, overlapSeconds: payload.overlapSeconds)),
      showing: secret.text, as: "secret")
  }

  /// Takes no If-Match: to stop sending never waits for anybody.
  private func disable(request: Request, context: APIContext) async throws -> Reply {
    let change = try await change(request, context)
    let id = try context.id("endpoint", of: WebhookEndpoint.self)
    try NoPayload.check(context.body)
    return try await change.carryOut(.webhookEndpoint(.disable(id, .operator)))
  }

  private func enable(request: Request, context: APIContext) async throws -> Reply {
    let change = try await change(request, context)
    let id = try context.id("endpoint", of: WebhookEndpoint.self)
    let payload = try EnableWebhookEndpointPayload(context.body)
    return try await change.carryOut(
      .webhookEndpoint(.enable(id, skipsMissed: payload.skipsMissed)))
  }

  private func replay(request: Request, context: APIContext) async throws -> Reply {
    let change = try await change(request, context)
    let id = try context.id("endpoint", of: WebhookEndpoint.self)
    let payload = try ReplayWebhookEventsPayload(context.body)
    return try await change.carryOut(
      .webhookEndpoint(.replay(id, fromPosition: payload.fromPosition)))
  }

  private func delete(request: Request, context: APIContext) async throws -> Reply {
    let change = try await change(request, context)
    let id = try context.id("endpoint", of: WebhookEndpoint.self)
    return try await change.carryOut(.webhookEndpoint(.delete(id)))
  }

  private func change(
    _ request: Request, _ context: APIContext, ifMatch: ChangeRequest.Match = .ignored
  ) async throws -> ChangeRequest {
    try await ChangeRequest(request, context, services, may: .webhookWrite, ifMatch: ifMatch)
  }

  /// A new secret: as it is kept, and as it is shown.
  private func newSecret(
    of id: WebhookEndpointID, in organization: OrganizationID
  ) throws(CryptographyError) -> (sealed: SealedKey, text: String) {
    let bytes = SecureRandom.bytes(WebhookSecretVault.secretSize)
    let sealed = try services.webhookSecrets.seal(bytes, of: id, in: organization)
    return (sealed, WebhookSignature.text(ofSecret: bytes))
  }
}

extension Reads {
  /// Nil when there is no such endpoint.
  func webhookEndpoint(
    _ id: WebhookEndpointID, in organization: OrganizationID
  ) async throws -> WebhookEndpointRow? {
    try await rows(WebhookEndpointTable.find(id, in: organization)).first.map {
      try WebhookEndpointRow($0)
    }
  }
}
