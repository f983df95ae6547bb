import Domain
import FoundationEssentials
import Hummingbird
import Postgres

/// `/v1/organizations`: create, get, list mine, rename, archive.
struct OrganizationRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    router.post("/v1/organizations", use: create)
    router.get("/v1/organizations", use: list)
    router.get("/v1/organizations/{organization}", use: get)
    router.patch("/v1/organizations/{organization}", use: rename)
    router.post("/v1/organizations/{organization}/archive", use: archive)
  }

  private func create(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, by: .person, ifMatch: .ignored)
    let owner = try change.user()
    let payload = try CreateOrganizationPayload(context.body)
    let id = OrganizationID(Identifiers.next())
    let command = OrganizationCommand.create(
      name: payload.name, slug: payload.slug ?? Slug.made(from: payload.name.text, for: id),
      owner: owner)
    return try await change.carryOut(.organization(command), in: id)
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let principal = try await services.authorizer.principal(request, context)
    let query = QueryReader(request)
    let archived = query.choice("archived", of: Flag.self)?.isTrue
    let page = try Page(
      query, scope: "organizations \(principal.id) \(archived.debugDescription)",
      sealer: services.cursors)
    let whose: OrganizationTable.Whose =
      switch principal.kind {
      case .user(let id, _): .memberOf(id)
      case .serviceToken(let token): .one(token.organizationID)
      case .gateway: throw Problem(.dataPlaneOnly)
      }
    let rows = try await principal.reads.rows(
      OrganizationTable.list(
        whose, archived: archived,
        after: page.afterID.map { OrganizationID($0) }, limit: page.fetchLimit))
    return try page.reply(rows.map { try OrganizationRow($0) }) {
      $0.json
    } place: {
      $0.id.uuid.place
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .organizationRead)
    let moment = try QueryReader.asOf(request)
    let id = member.organizationID
    if let moment {
      let past = try await WorkspaceHistory.workspace(
        id, asOf: moment, member.reads)
      guard let version = past.organization?.version, let body = past.organizationJSON(id: id)
      else { throw Problem(.notFound) }
      return try RenderedResource(body, version: version).reply(to: request)
    }
    let found = try await member.resource(.organizations, id.uuid, OrganizationTable.find(id)) {
      let row = try OrganizationRow($0)
      return RenderedResource(row.json, version: row.organization.version)
    }
    return try found.reply(to: request)
  }

  private func rename(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .organizationWrite, ifMatch: .required)
    let payload = try RenameOrganizationPayload(context.body)
    return try await change.carryOut(
      .organization(.rename(name: payload.name, slug: payload.slug)))
  }

  private func archive(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .organizationArchive, ifMatch: .required)
    try NoPayload.check(context.body)
    return try await change.carryOut(.organization(.archive))
  }
}
