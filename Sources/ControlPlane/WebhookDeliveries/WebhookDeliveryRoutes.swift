import Domain
import EventStore
import FoundationEssentials
import Hummingbird
import JSON
import Postgres

/// `…/webhook-endpoints/{endpoint}:ping` and `…/{endpoint}/deliveries`: list, get, retry. What is done here is no change of the
/// workspace, and not in its log.
struct WebhookDeliveryRoutes: RouteGroup {
  let services: Services
  let store: WebhookStore
  /// Raised when there is something to send.
  let work: BroadcastSignal

  func add(to router: APIRouter) {
    let endpoint = "/v1/organizations/{organization}/webhook-endpoints/{endpoint}"
    router.post("\(endpoint):ping", use: ping)
    router.get("\(endpoint)/deliveries", use: list)
    router.get("\(endpoint)/deliveries/{event}", use: get)
    router.post("\(endpoint)/deliveries/{event}:retry", use: retry)
  }

  /// Also of an endpoint that is disabled, to see whether it answers before it is enabled.
  private func ping(request: Request, context: APIContext) async throws -> Reply {
    let (member, endpoint) = try await endpoint(request, context, may: .webhookWrite)
    try QueryReader(request).finish()
    try NoPayload.check(context.body)
    let id = EventID(Identifiers.next())
    try await store.ping(id, to: endpoint, in: member.organizationID)
    work.raise()
    return try await reply(id, endpoint, member)
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let (member, endpoint) = try await endpoint(request, context, may: .webhookRead)
    let organization = member.organizationID
    let query = QueryReader(request)
    let status = query.choice("status", of: WebhookDelivery.Status.self)
    let page = try Page(
      query, scope: "webhook-deliveries \(organization) \(endpoint) \(status?.rawValue ?? "")",
      sealer: services.cursors)
    let rows = try await member.reads.rows(
      WebhookDeliveryTable.list(
        to: endpoint, in: organization, status: status, after: page.afterID,
        limit: page.fetchLimit))
    return try page.reply(rows.map { try WebhookDeliveryRow($0) }) {
      $0.delivery.json(to: endpoint, in: organization)
    } place: {
      $0.delivery.id.uuid.place
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let (member, endpoint) = try await endpoint(request, context, may: .webhookRead)
    try QueryReader(request).finish()
    return try await reply(context.id("event", of: Event.self), endpoint, member)
  }

  private func retry(request: Request, context: APIContext) async throws -> Reply {
    let (member, endpoint) = try await endpoint(request, context, may: .webhookWrite)
    try QueryReader(request).finish()
    try NoPayload.check(context.body)
    let id: EventID = try context.id("event")
    _ = try await delivery(id, endpoint, member)
    try await store.retry(id, to: endpoint, in: member.organizationID)
    work.raise()
    return try await reply(id, endpoint, member)
  }

  /// The endpoint that the path names, seen as the caller sees it: what works for everybody comes only behind that.
  private func endpoint(
    _ request: Request, _ context: APIContext, may permission: Permission
  ) async throws -> (Membership, WebhookEndpointID) {
    let member = try await services.authorizer.member(request, context, may: permission)
    let id = try context.id("endpoint", of: WebhookEndpoint.self)
    guard try await member.reads.webhookEndpoint(id, in: member.organizationID) != nil else {
      throw Problem(.notFound)
    }
    return (member, id)
  }

  private func delivery(
    _ id: EventID, _ endpoint: WebhookEndpointID, _ member: Membership
  ) async throws -> WebhookDelivery {
    let rows = try await member.reads.rows(
      WebhookDeliveryTable.find(id, to: endpoint, in: member.organizationID))
    guard let row = rows.first else { throw Problem(.notFound) }
    return try WebhookDeliveryRow(row).delivery
  }

  /// No ETag: what becomes of a delivery is no version of a resource.
  private func reply(
    _ id: EventID, _ endpoint: WebhookEndpointID, _ member: Membership
  ) async throws -> Reply {
    .json(
      try await delivery(id, endpoint, member).json(to: endpoint, in: member.organizationID)
        .bytes())
  }
}
