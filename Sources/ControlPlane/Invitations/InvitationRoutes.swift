import Domain
import FoundationEssentials
import Hummingbird
import Identity
import JSON
import Mail
import Postgres

/// `/v1/organizations/{organization}/invitations`: create, list, get, send again, revoke; and what the invited person
/// does at `/v1/invitations`: accept, decline.
struct InvitationRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    let invitations = "/v1/organizations/{organization}/invitations"
    router.post("\(invitations)", use: create)
    router.get("\(invitations)", use: list)
    router.get("\(invitations)/{invitation}", use: get)
    router.post("\(invitations)/{invitation}/resend", use: resend)
    router.delete("\(invitations)/{invitation}", use: revoke)
    router.post("/v1/invitations/accept", use: accept)
    router.post("/v1/invitations/decline", use: decline)
  }

  private func create(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .invitationWrite, ifMatch: .ignored)
    let payload = try CreateInvitationPayload(context.body)
    try countMail(to: payload.email, change, context)
    let subject = try await services.personalData.subject(
      with: payload.email, isKept: !change.isDryRun, deadline: context.deadline)
    let token = TokenFormat.invitation.generate()
    let command = InvitationCommand.create(
      InvitationID(Identifiers.next()), role: payload.role, subject: subject.id,
      email: try services.personalData.seal(payload.email.text, for: subject),
      tokenHash: services.hasher.secret(token).hash,
      userID: try await owner(of: payload.email, subject.userID, change))
    let outcome = try await change.outcome(of: .invitation(command), in: change.organization())
    if outcome.position != nil, !outcome.isReplay {
      try await send(token, to: payload.email, payload.role, in: change)
    }
    return try outcome.reply(withEmail: payload.email.text)
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .invitationRead)
    let organization = member.organizationID
    let query = QueryReader(request)
    let status = query.choice("status", of: Invitation.Status.self)
    let now = Timestamp.now
    let page = try Page(
      query, scope: "invitations \(organization) \(status?.rawValue ?? "")",
      sealer: services.cursors)
    let rows = try await member.reads.rows(
      InvitationTable.list(
        in: organization, status: status, at: now, after: page.afterID, limit: page.fetchLimit)
    ).map { try InvitationRow($0) }
    let emails = try await services.personalData.open(rows.map(\.invitation.sealed), member.reads)
    return page.reply(rows) {
      $0.invitation.json(
        id: $0.id, organizationID: organization, email: emails[$0.invitation.sealed], at: now)
    } place: {
      $0.id.uuid.place
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .invitationRead)
    try QueryReader(request).finish()
    let rows = try await member.reads.rows(
      InvitationTable.find(context.id("invitation"), in: member.organizationID))
    guard let row = try rows.first.map({ try InvitationRow($0) }) else { throw Problem(.notFound) }
    let emails = try await services.personalData.open([row.invitation.sealed], member.reads)
    // No ETag: it expires without a change.
    return Reply.json(
      row.invitation.json(
        id: row.id, organizationID: member.organizationID, email: emails[row.invitation.sealed],
        at: .now
      ).bytes())
  }

  private func resend(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .invitationWrite, ifMatch: .ignored)
    try NoPayload.check(context.body)
    let id = try context.id("invitation", of: Invitation.self)
    let rows = try await change.reads.rows(InvitationTable.find(id, in: change.organization()))
    guard let row = try rows.first.map({ try InvitationRow($0) }) else { throw Problem(.notFound) }
    let sealed = row.invitation.sealed
    let email = try await services.personalData.open([sealed], change.reads)[sealed]
    guard let email, let address = EmailAddress(email) else {
      throw Problem(.invitationClosed, "the person was erased")
    }
    try countMail(to: address, change, context)
    let subject = try await services.personalData.subject(
      with: address, isKept: false, deadline: context.deadline)
    let userID = try await owner(of: address, subject.userID, change)
    let token = TokenFormat.invitation.generate()
    let outcome = try await change.outcome(
      of: .invitation(.resend(id, tokenHash: services.hasher.secret(token).hash, userID: userID)),
      in: change.organization())
    if outcome.position != nil, !outcome.isReplay {
      try await send(token, to: address, row.invitation.role, in: change)
    }
    return try outcome.reply(withEmail: email)
  }

  private func revoke(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .invitationWrite, ifMatch: .ignored)
    return try await change.carryOut(.invitation(.revoke(context.id("invitation"))))
  }

  private func accept(request: Request, context: APIContext) async throws -> Reply {
    let (change, found, hash) = try await answer(request, context)
    let userID = try change.user()
    // Before the commit: from then on erasing the person has to find what the log holds of them.
    if !change.isDryRun {
      try await services.personalData.link(
        found.invitation.subjectID, to: userID, deadline: context.deadline)
    }
    let outcome = try await change.outcome(
      of: .invitation(.accept(found.id, tokenHash: hash, by: userID)), in: found.organizationID)
    return try outcome.reply()
  }

  private func decline(request: Request, context: APIContext) async throws -> Reply {
    let (change, found, hash) = try await answer(request, context)
    return try await change.carryOut(
      .invitation(.decline(found.id, tokenHash: hash)), in: found.organizationID)
  }

  /// Whoever answers shows the token that was sent, and is signed in with the address that it was sent to.
  private func answer(
    _ request: Request, _ context: APIContext
  ) async throws -> (ChangeRequest, InvitationRow, hash: String) {
    let change = try await ChangeRequest(
      request, context, services, by: .person, ifMatch: .ignored)
    let userID = try change.user()
    let payload = try InvitationTokenPayload(context.body)
    guard TokenFormat.invitation.matches(payload.token) else { throw Problem(.notFound) }
    let hash = services.hasher.hash(payload.token)
    // Whoever is invited is no member yet.
    let reads = change.reads.scoped(to: .system)
    let lookup = try await reads.rows(InvitationLookupTable.find(UUID(leading: hash)))
    guard let place = try lookup.first?.decode((UUID, UUID).self) else { throw Problem(.notFound) }
    let rows = try await reads.rows(
      InvitationTable.find(InvitationID(place.1), in: OrganizationID(place.0)))
    guard let row = try rows.first.map({ try InvitationRow($0) }) else { throw Problem(.notFound) }
    let sealed = row.invitation.sealed
    let invited = try await services.personalData.open([sealed], reads)[sealed]
    let person = try await services.users.names(of: [userID.uuid], reads)[userID.uuid]
    guard let invited = invited.flatMap({ EmailAddress($0) }),
      let own = person?.email.flatMap({ EmailAddress($0) }),
      own.normalized.isExactly(invited.normalized)
    else { throw Problem(.invitationForAnotherAddress) }
    return (change, row, services.hasher.secret(payload.token).hash)
  }

  /// Who has the address: whoever proved it, or a member who signs in with it.
  private func owner(
    of email: EmailAddress, _ known: UserID?, _ change: ChangeRequest
  ) async throws -> UserID? {
    if let known { return known }
    let rows = try await change.reads.rows(
      MembershipTable.members(withEmail: email, in: change.organization()))
    return try rows.first.map { UserID(try $0.decode(UUID.self)) }
  }

  private func send(
    _ token: String, to email: EmailAddress, _ role: Role, in change: ChangeRequest
  ) async throws {
    let rows = try await change.reads.rows(OrganizationTable.find(change.organization()))
    guard let row = rows.first else { throw Problem(.notFound) }
    let name = try OrganizationRow(row).organization.name.text
    let isQueued = services.invitationMail.send(
      token, to: email, organization: name, role: role, of: change.organization().uuid)
    guard isQueued else {
      throw Problem.unavailable(retryAfter: 60, "the invitation was made, but mail cannot be sent")
    }
  }

  /// - Throws: a ``Problem`` of 429.
  private func countMail(
    to email: EmailAddress, _ change: ChangeRequest, _ context: APIContext
  ) throws(Problem) {
    guard !change.isDryRun else { return }
    let recipient = UUID(leading: services.hasher.hash(email.normalized))
    try context.exchange.require(
      services.limiter.invites(
        to: change.organization().uuid, by: change.principalID, recipient: recipient))
  }
}

extension Invitation {
  fileprivate var sealed: Sealed { Sealed(subjectID: subjectID, text: email) }
}

extension CommandOutcome {
  /// The reply with the address, which is stored nowhere in clear.
  fileprivate func reply(withEmail email: String) throws -> Reply {
    var object = try JSONObject(parsing: body)
    if case .object(var resource)? = object["resource"] {
      resource["email"] = .string(email)
      object.set("resource", JSONValue.object(resource))
    } else {
      object.set("email", email)
    }
    var reply = try reply()
    reply.body = .init(bytes: object.bytes())
    return reply
  }
}
