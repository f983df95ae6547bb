import Domain
import FoundationEssentials
import Hummingbird
import Postgres

/// `/v1/organizations/{organization}/members`: list, get, change the role, remove; leaving; handing over the ownership;
/// and `/v1/roles`.
struct MemberRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    let organization = "/v1/organizations/{organization}"
    router.get("/v1/roles", use: roles)
    router.get("\(organization)/members", use: list)
    router.get("\(organization)/members/{user}", use: get)
    router.patch("\(organization)/members/{user}", use: changeRole)
    router.delete("\(organization)/members/{user}", use: remove)
    router.post("\(organization)/leave", use: leave)
    router.post("\(organization)/transfer-ownership", use: transferOwnership)
  }

  private func roles(request: Request, context: APIContext) async throws -> Reply {
    _ = try await services.authorizer.principal(request, context)
    try QueryReader(request).finish()
    return RolePayloads.roles
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .memberRead)
    let organization = member.organizationID
    let query = QueryReader(request)
    let moment = query.asOf()
    let page = try Page(
      query, scope: "members \(organization) \(moment.debugDescription)", sealer: services.cursors)
    let profiles: [MemberProfile]
    if let moment {
      let past = try await WorkspaceHistory.workspace(
        organization, asOf: moment, member.reads)
      profiles = try await services.users.profiles(
        of: past.members, after: page.afterID, limit: Int(page.fetchLimit), member.reads)
    } else {
      profiles = try await member.reads.rows(
        MembershipTable.list(
          in: organization, after: page.afterID.map { UserID($0) }, limit: page.fetchLimit)
      ).map { try MemberProfile($0) }
    }
    return page.reply(profiles) {
      $0.json
    } place: {
      $0.userID.uuid.place
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .memberRead)
    let id = try context.id("user", of: User.self)
    if let moment = try QueryReader.asOf(request) {
      let past = try await WorkspaceHistory.workspace(
        member.organizationID, asOf: moment, member.reads)
      let profiles = try await services.users.profiles(
        of: past.members.filter { $0.key == id }, after: nil, limit: 1, member.reads)
      guard let profile = profiles.first else { throw Problem(.notFound) }
      return try profile.rendered.reply(to: request)
    }
    let rows = try await member.reads.rows(MembershipTable.find(id, in: member.organizationID))
    guard let row = rows.first else { throw Problem(.notFound) }
    return try MemberProfile(row).rendered.reply(to: request)
  }

  /// The query parameter that also ends the service tokens which the reply lists.
  private static let revokeTokens = "revoke_tokens"

  private func changeRole(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .memberWrite, taking: [Self.revokeTokens],
      ifMatch: .required)
    let id = try context.id("user", of: User.self)
    let payload = try ChangeRolePayload(context.body)
    return try await change.carryOut(
      .member(
        .changeRole(id, to: payload.role, revokesTokens: change.isSet(Self.revokeTokens))))
  }

  /// Takes no If-Match: taking access away never waits for anybody.
  private func remove(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .memberWrite, taking: [Self.revokeTokens],
      ifMatch: .ignored)
    let id = try context.id("user", of: User.self)
    return try await change.carryOut(
      .member(.remove(id, revokesTokens: change.isSet(Self.revokeTokens))))
  }

  private func leave(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .organizationRead, by: .person,
      taking: [Self.revokeTokens], ifMatch: .ignored)
    try NoPayload.check(context.body)
    return try await change.carryOut(
      .member(.remove(change.user(), revokesTokens: change.isSet(Self.revokeTokens))))
  }

  private func transferOwnership(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .ownershipTransfer, ifMatch: .ignored)
    let payload = try TransferOwnershipPayload(context.body)
    return try await change.carryOut(.member(.transferOwnership(to: payload.userID)))
  }
}

extension MemberProfile {
  fileprivate var rendered: RenderedResource {
    RenderedResource(json, version: member.version)
  }
}
