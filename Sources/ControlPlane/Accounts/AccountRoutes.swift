import Domain
import FoundationEssentials
import Hummingbird
import JSON
import Mail
import Postgres

/// `/v1/me`: who asks, and their tokens; `/v1/users/{user}`: forgetting somebody.
struct AccountRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    router.get("/v1/me", use: me)
    router.post("/v1/me/tokens", use: createToken)
    router.get("/v1/me/tokens", use: listTokens)
    router.get("/v1/me/tokens/{token}", use: getToken)
    router.delete("/v1/me/tokens/{token}", use: revokeToken)
    router.delete("/v1/users/{user}", use: erase)
  }

  private func me(request: Request, context: APIContext) async throws -> Reply {
    let principal = try await services.authorizer.principal(request, context)
    try QueryReader(request).finish()
    var memberships = JSONArray()
    var body = JSONObject()
    switch principal.kind {
    case .user(let id, let isPlatformAdmin):
      let rows = try await principal.reads.rows(UserTable.profile(of: id))
      guard let row = rows.first else { throw BearerToken.challenge(.invalidToken) }
      let (email, name, _, createdAt, updatedAt) = try row.decode(
        (String?, String?, Bool, TimestampTZ, TimestampTZ).self)
      var user = JSONObject()
      user.set("id", id.description)
      user.set("email", email)
      user.set("name", name)
      user.set("created_at", Timestamp(createdAt).rfc3339)
      user.set("updated_at", Timestamp(updatedAt).rfc3339)
      body.set("kind", "user")
      body.set("user", user)
      body.set("is_platform_admin", isPlatformAdmin)
      for row in try await principal.reads.rows(MembershipTable.memberships(of: id)) {
        let (organizationID, role) = try row.decode((UUID, Role).self)
        memberships.append(role.membershipJSON(in: OrganizationID(organizationID)))
      }
    case .serviceToken(let token):
      body.set("kind", "service_token")
      body.set("user", nil as JSONObject?)
      body.set("is_platform_admin", false)
      memberships.append(token.role.membershipJSON(in: token.organizationID))
    case .gateway: throw Problem(.dataPlaneOnly)
    }
    body.set("memberships", memberships)
    return .json(body.bytes())
  }

  private func createToken(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, by: .person, ifMatch: .ignored)
    let userID = try change.user()
    let payload = try CreatePersonalAccessTokenPayload(context.body, now: .now)
    let token = TokenFormat.personalAccess.generate()
    let command = AccountCommand.createToken(
      PersonalAccessTokenID(Identifiers.next()), name: payload.name,
      secret: services.hasher.secret(token), expiresAt: payload.expiresAt)
    return try await change.carryOut(.account(command), in: .account(of: userID), showing: token)
  }

  private func listTokens(request: Request, context: APIContext) async throws -> Reply {
    let principal = try await services.authorizer.principal(request, context)
    let userID = try principal.user()
    let page = try Page(
      QueryReader(request), scope: "tokens \(userID)", sealer: services.cursors)
    let rows = try await principal.reads.rows(
      PersonalAccessTokenTable.list(of: userID, after: page.afterID, limit: page.fetchLimit))
    return try page.reply(rows.map { try PersonalAccessTokenRow($0) }) {
      $0.token.json(id: $0.id)
    } place: {
      $0.id.uuid.place
    }
  }

  private func getToken(request: Request, context: APIContext) async throws -> Reply {
    let principal = try await services.authorizer.principal(request, context)
    try QueryReader(request).finish()
    let userID = try principal.user()
    let rows = try await principal.reads.rows(
      PersonalAccessTokenTable.find(context.id("token"), of: userID))
    guard let row = rows.first else { throw Problem(.notFound) }
    let found = try PersonalAccessTokenRow(row)
    return try RenderedResource(found.token.json(id: found.id), version: found.token.version)
      .reply(to: request)
  }

  private func revokeToken(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, by: .person, ifMatch: .ignored)
    let id = try context.id("token", of: PersonalAccessToken.self)
    return try await change.carryOut(
      .account(.revokeToken(id)), in: .account(of: change.user()))
  }

  /// By themselves, or by a platform admin.
  private func erase(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, by: .person, ifMatch: .ignored)
    let userID = try change.user()
    guard let id = context.pathParameters["user"].flatMap(UserID.init),
      id == userID || change.isPlatformAdmin
    else { throw Problem(.notFound) }
    if id != userID {
      // The platform forgets people with whom it shares no organization.
      let found = try await change.reads.scoped(to: .system).rows(UserTable.names(of: [id.uuid]))
      if found.isEmpty { throw Problem(.notFound) }
    }
    // Nobody is left behind as the member of a workspace, and no workspace without an owner: what would be refused
    // is, before anything is done.
    try await leaveEverything(id, change, isRehearsal: true)
    if !change.isDryRun {
      try await claimAddress(of: id, change)
      try await leaveEverything(id, change, isRehearsal: false)
    }
    return try await change.carryOut(.account(.erase), in: .account(of: id))
  }

  /// The tokens that they made end too: afterwards nothing tells whose they were.
  private func leaveEverything(
    _ id: UserID, _ change: ChangeRequest, isRehearsal: Bool
  ) async throws {
    let rows = try await change.reads.scoped(to: .user(id)).rows(
      MembershipTable.openMemberships(of: id))
    for row in rows {
      let organizationID = OrganizationID(try row.decode(UUID.self))
      try await change.carryOutBefore(
        .member(.remove(id, revokesTokens: true)), in: organizationID, as: .user(id),
        isRehearsal: isRehearsal)
    }
    // An archived workspace keeps its members, and its tokens still read.
    let tokens = try await change.reads.scoped(to: .user(id)).rows(
      ServiceTokenTable.unrevoked(madeBy: id))
    for row in tokens {
      let (organizationID, tokenID) = try row.decode((UUID, UUID).self)
      try await change.carryOutBefore(
        .serviceToken(.revoke(ServiceTokenID(tokenID))), in: OrganizationID(organizationID),
        as: .user(id), isRehearsal: isRehearsal)
    }
  }

  /// An invitation that nobody accepted is sealed under a key that is nobody's yet, and has to go with the others.
  private func claimAddress(of id: UserID, _ change: ChangeRequest) async throws {
    let reads = change.reads.scoped(to: .user(id))
    let person = try await services.users.names(of: [id.uuid], reads)[id.uuid]
    guard let email = person?.email.flatMap({ EmailAddress($0) }) else { return }
    try await services.personalData.claim(email, for: id, deadline: change.deadline)
  }
}

extension Role {
  fileprivate func membershipJSON(in organization: OrganizationID) -> JSONObject {
    var object = JSONObject()
    object.set("organization_id", organization.description)
    object.set("role", rawValue)
    object.set("permissions", permissionsJSON)
    return object
  }
}
