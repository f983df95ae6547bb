import Domain
import FoundationEssentials
import Hummingbird
import JSON
import Postgres

/// `/v1/organizations/{organization}/projects/{project}/api-keys`: create, list, get, change, rotate, revoke.
struct APIKeyRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    let keys = "/v1/organizations/{organization}/projects/{project}/api-keys"
    router.post("\(keys)", use: create)
    router.get("\(keys)", use: list)
    router.get("\(keys)/{key}", use: get)
    router.patch("\(keys)/{key}", use: change)
    router.post("\(keys)/{key}:rotate", use: rotate)
    router.delete("\(keys)/{key}", use: revoke)
  }

  private func create(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .apiKeyWrite, ifMatch: .ignored)
    let payload = try CreateAPIKeyPayload(context.body, now: change.time)
    let (id, project) = try await project(context, change.organization(), change.reads)
    let key = TokenFormat.apiKey(project.environment).generate()
    let command = APIKeyCommand.create(
      APIKeyID(Identifiers.next()), project: id, name: payload.name,
      secret: services.apiKeyHasher.secret(key), expiresAt: payload.expiresAt)
    return try await change.carryOut(.apiKey(command), showing: key)
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .apiKeyRead)
    let organization = member.organizationID
    let (id, _) = try await project(context, organization, member.reads)
    let page = try Page(
      QueryReader(request), scope: "api-keys \(organization) \(id)", sealer: services.cursors)
    let rows = try await member.reads.rows(
      APIKeyTable.list(of: id, in: organization, after: page.afterID, limit: page.fetchLimit))
    return try page.reply(rows.map { try APIKeyRow($0) }) {
      $0.key.json(id: $0.id, organizationID: organization)
    } place: {
      $0.id.uuid.place
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .apiKeyRead)
    let organization = member.organizationID
    if let moment = try QueryReader.asOf(request) {
      let (projectID, id) = try ids(context)
      let past = try await WorkspaceHistory.workspace(organization, asOf: moment, member.reads)
      guard let key = past.apiKeys[id], key.projectID == projectID else {
        throw Problem(.notFound)
      }
      return try key.rendered(id, organization).reply(to: request)
    }
    let row = try await row(context, organization, member.reads)
    return try row.key.rendered(row.id, organization).reply(to: request)
  }

  private func change(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .apiKeyWrite, ifMatch: .required)
    let payload = try ChangeAPIKeyPayload(context.body)
    let row = try await row(context, change.organization(), change.reads)
    return try await change.carryOut(
      .apiKey(
        .change(
          row.id, project: row.key.projectID, name: payload.name, expiresAt: payload.expiresAt)))
  }

  private func rotate(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .apiKeyWrite, ifMatch: .ignored)
    let payload = try RotateAPIKeyPayload(context.body)
    let row = try await row(context, change.organization(), change.reads)
    let key = TokenFormat.apiKey(row.key.environment).generate()
    let command = APIKeyCommand.rotate(
      row.id, project: row.key.projectID, to: APIKeyID(Identifiers.next()),
      secret: services.apiKeyHasher.secret(key), graceSeconds: payload.graceSeconds)
    return try await change.carryOut(.apiKey(command), showing: key)
  }

  /// Takes no If-Match: taking access away never waits for anybody.
  private func revoke(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .apiKeyWrite, ifMatch: .ignored)
    let (projectID, id) = try ids(context)
    return try await change.carryOut(.apiKey(.revoke(id, project: projectID, reason: nil)))
  }

  private func project(
    _ context: APIContext, _ organization: OrganizationID, _ reads: Reads
  ) async throws -> (ProjectID, Project) {
    let id = try context.id("project", of: Project.self)
    return (id, try await reads.project(id, in: organization))
  }

  /// The key that the path names, if it is the project's that the path names.
  private func row(
    _ context: APIContext, _ organization: OrganizationID, _ reads: Reads
  ) async throws -> APIKeyRow {
    let (projectID, id) = try ids(context)
    let rows = try await reads.rows(APIKeyTable.find(id, of: projectID, in: organization))
    guard let row = rows.first else { throw Problem(.notFound) }
    return try APIKeyRow(row)
  }

  private func ids(_ context: APIContext) throws -> (ProjectID, APIKeyID) {
    (try context.id("project"), try context.id("key"))
  }
}

extension APIKey {
  fileprivate func rendered(_ id: APIKeyID, _ organization: OrganizationID) -> RenderedResource {
    RenderedResource(json(id: id, organizationID: organization), version: version)
  }
}
