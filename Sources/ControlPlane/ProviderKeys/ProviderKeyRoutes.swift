import Domain
import FoundationEssentials
import Hummingbird
import JSON
import Postgres

/// `/v1/organizations/{organization}/projects/{project}/provider-keys`: set, get, list, delete. No reply shows a key.
struct ProviderKeyRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    let keys = "/v1/organizations/{organization}/projects/{project}/provider-keys"
    router.get("\(keys)", use: list)
    router.get("\(keys)/{provider}", use: get)
    router.put("\(keys)/{provider}", use: set)
    router.delete("\(keys)/{provider}", use: delete)
  }

  /// The first key needs no If-Match, for there is nothing that it could replace unseen.
  private func set(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .providerKeyWrite, ifMatch: .optional)
    let (project, provider) = try place(context)
    let payload = try SetProviderKeyPayload(context.body)
    let secret = try services.vault.secret(
      payload.key, of: project, in: change.organization(), for: provider)
    return try await change.carryOut(
      .providerKey(
        .set(
          ProviderKeyID(of: project, for: provider), project: project, provider: provider, secret,
          mayReplace: change.hasExpectation)))
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .providerKeyRead)
    let organization = member.organizationID
    let project = try context.id("project", of: Project.self)
    let page = try Page(
      QueryReader(request), scope: "provider-keys \(organization) \(project)",
      sealer: services.cursors)
    let rows = try await member.reads.rows(
      ProviderKeyTable.list(
        of: project, in: organization, after: page.afterName, limit: page.fetchLimit))
    if rows.isEmpty { _ = try await member.reads.project(project, in: organization) }
    return try page.reply(rows.map { try ProviderKeyRow($0) }) {
      $0.key.json(id: $0.id, organizationID: organization)
    } place: {
      Array($0.key.provider.description.utf8)
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .providerKeyRead)
    let organization = member.organizationID
    let (project, provider) = try place(context)
    let id = ProviderKeyID(of: project, for: provider)
    let key: ProviderKey?
    if let moment = try QueryReader.asOf(request) {
      key = try await WorkspaceHistory.workspace(organization, asOf: moment, member.reads)
        .providerKeys[id]
    } else {
      let rows = try await member.reads.rows(ProviderKeyTable.find(id, in: organization))
      key = try rows.first.map { try ProviderKeyRow($0).key }
    }
    guard let key else { throw Problem(.notFound) }
    return try RenderedResource(
      key.json(id: id, organizationID: organization), version: key.version
    ).reply(to: request)
  }

  private func delete(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .providerKeyWrite, ifMatch: .required)
    let (project, provider) = try place(context)
    return try await change.carryOut(
      .providerKey(.delete(ProviderKeyID(of: project, for: provider))))
  }

  private func place(_ context: APIContext) throws -> (ProjectID, Provider) {
    guard let provider = context.pathParameters["provider"].flatMap({ Provider($0) }) else {
      throw Problem(
        .notFound,
        "a provider's name has lower-case letters, digits, - and _, and at most 50 of them")
    }
    return (try context.id("project", of: Project.self), provider)
  }
}
