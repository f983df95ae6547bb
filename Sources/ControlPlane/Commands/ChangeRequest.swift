import Cryptography
package import Domain
package import FoundationEssentials
import HTTPTypes
import Hummingbird
import JSON
import Synchronization

/// What every request for a change has in common: who asks, `Idempotency-Key`, `If-Match`, `?dry_run`.
struct ChangeRequest {
  /// Whether the caller has to say which version they mean to change.
  enum Match {
    case required, ignored
    /// They may say so, and are held to it.
    case optional
  }

  /// Who may ask for the change, whatever their role.
  enum Sender {
    case anybody
    /// Not a program by its token.
    case person
    case platformAdmin
  }

  private static let attempts = 3

  private let request: Request
  private let context: APIContext
  private let services: Services
  private let permission: Permission?
  private let besides: Authorizer.Besides
  private let sender: Sender
  private let idempotency: IdempotencyClaim?
  private let expected: ExpectedVersion?
  let isDryRun: Bool
  /// The query parameters besides `dry_run` that were true.
  private let flags: Set<String>
  private let caller: Caller
  /// When the request came, which is the time of everything that it causes.
  let time = Timestamp.now

  /// Finds out who asks and what they expect, before anything is decided.
  ///
  /// - Parameters:
  ///   - permission: what they need in the workspace that the path names; nil where there is none.
  ///   - sender: what they have to be besides.
  ///   - flags: the query parameters besides `dry_run` that the change takes, each `true` or `false`.
  /// - Throws: a ``Problem`` of 400, 401, 403, 404, 422 or 428.
  init(
    _ request: Request, _ context: APIContext, _ services: Services,
    may permission: Permission? = nil, or besides: Authorizer.Besides = .nobody,
    by sender: Sender = .anybody, taking flags: Set<String> = [], ifMatch: Match
  ) async throws {
    self.request = request
    self.context = context
    self.services = services
    self.permission = permission
    self.besides = besides
    self.sender = sender
    caller = try await Caller(
      request, context, services, may: permission, or: besides, by: sender, settling: false)
    let query = QueryReader(request)
    isDryRun = query.dryRun()
    self.flags = flags.filter { query.bool($0) }
    try query.finish()
    let principalID = caller.principal.id
    idempotency = try IdempotencyKey.read(request.headers).map { key in
      IdempotencyClaim(
        principalID: principalID, key: key.value,
        requestHash: services.requestHasher.authenticationCode(
          for: Array("\(request.method.rawValue) \(request.head.path ?? "")\n".utf8)
            + Array(context.body.readableBytesView)))
    }
    switch ifMatch {
    case .ignored: expected = nil
    case .required, .optional:
      switch try Preconditions(request.headers).ifMatch {
      case nil:
        if ifMatch == .required { throw Problem(.preconditionRequired) }
        expected = nil
      case .any: expected = .any
      case .tags(let tags):
        // Tags are compared as they are written: "01" is not version 1.
        expected = .oneOf(
          tags.compactMap { tag in
            Int64(tag.value).flatMap { tag.stronglyMatches(ETag(version: $0)) ? $0 : nil }
          })
      }
    }
  }

  /// Whether a query parameter that the change takes is true.
  func isSet(_ flag: String) -> Bool { flags.contains(flag) }

  /// Whether the caller said which version they mean to change.
  var hasExpectation: Bool { expected != nil }
  var isPlatformAdmin: Bool { caller.principal.isPlatformAdmin }
  var principalID: UUID { caller.principal.id }
  var actor: Actor { caller.principal.actor }
  var reads: Reads { caller.principal.reads }
  var deadline: ContinuousClock.Instant { context.deadline }

  /// When commands have to be answered, so that the reply still gets to its caller in time.
  private var commandDeadline: ContinuousClock.Instant { context.deadline - .milliseconds(200) }

  /// The person who asks.
  ///
  /// - Throws: a ``Problem`` of 403 when it is a program's token.
  func user() throws(Problem) -> UserID { try caller.principal.user() }

  /// Refuses a request whose workspace has appended too much lately, before its body is parsed.
  ///
  /// - Throws: a ``Problem`` of 429.
  func requireRoomInLog() throws {
    try services.appendLimit.admit(
      bytes: context.body.readableBytes, of: organization().uuid, context.exchange)
  }

  /// Has the command carried out in the workspace that the path names.
  func carryOut(
    _ command: WorkspaceCommand, showing secret: String? = nil, as member: String = "token"
  ) async throws -> Reply {
    try await carryOut(command, in: organization(), showing: secret, as: member)
  }

  /// The workspace that the path names.
  func organization() -> OrganizationID {
    guard let organizationID = caller.organizationID else {
      preconditionFailure("the path names no workspace")
    }
    return organizationID
  }

  /// Has the command carried out, and answers with what the change left behind.
  ///
  /// - Parameters:
  ///   - secret: what the reply shows, and what its repetitions show for as long as the reply is stored.
  ///   - member: as what it does.
  ///   - apiKeyPepper: shown with it, to a gateway.
  func carryOut(
    _ command: WorkspaceCommand, in organizationID: OrganizationID, showing secret: String? = nil,
    as member: String = "token", apiKeyPepper: String? = nil
  ) async throws -> Reply {
    guard let secret, !isDryRun else {
      return try await outcome(of: command, in: organizationID).reply()
    }
    let claim = try idempotency.map { try services.replySecrets.seal(secret, into: $0) }
    let outcome = try await outcome(of: command, in: organizationID, claiming: claim)
    // Another request with this key was carried out before: the secret that this one made is good for nothing.
    let shown =
      outcome.isReplay
      ? try services.replySecrets.open(outcome.sealedSecret, of: idempotency) : secret
    return try outcome.reply(showing: shown, as: member, apiKeyPepper: apiKeyPepper)
  }

  /// Has the command carried out.
  func outcome(
    of command: WorkspaceCommand, in organizationID: OrganizationID
  ) async throws -> CommandOutcome {
    try await outcome(of: command, in: organizationID, claiming: idempotency)
  }

  private func outcome(
    of command: WorkspaceCommand, in organizationID: OrganizationID,
    claiming idempotency: IdempotencyClaim?
  ) async throws -> CommandOutcome {
    // A dry run is as much work, and appends nothing: it is counted too.
    try await services.appendLimit.run(
      bytes: context.body.readableBytes, overhead: command.overheadBytes, of: organizationID,
      by: principalID, context.exchange,
      keepingIf: { isDryRun || $0.position != nil && !$0.isReplay }
    ) {
      try await withCaller { caller throws(CommandError) in
        try await services.commands.handle(
          CommandRequest(
            commandID: Identifiers.next(at: time), organizationID: organizationID,
            command: command, expected: expected, actor: caller.principal.actor,
            isByPlatform: caller.principal.isPlatformAdmin, premises: caller.premises,
            occurredAt: time, origin: origin, idempotency: isDryRun ? nil : idempotency,
            isDryRun: isDryRun, deadline: commandDeadline))
      }
    }
  }

  /// Has a command carried out without which the one that was asked for would leave something behind. Repeating it
  /// changes nothing.
  ///
  /// - Parameter isRehearsal: whether it is only decided, to find out whether it would be refused.
  func carryOutBefore(
    _ command: WorkspaceCommand, in organizationID: OrganizationID, as actor: Actor,
    isRehearsal: Bool
  ) async throws {
    _ = try await withCaller { caller throws(CommandError) in
      try await services.commands.handle(
        CommandRequest(
          commandID: Identifiers.next(at: time), organizationID: organizationID, command: command,
          actor: actor, premises: caller.premises, occurredAt: time, origin: origin,
          isDryRun: isRehearsal, deadline: commandDeadline))
    }
  }

  private var origin: CommandOrigin {
    CommandOrigin(
      requestID: context.requestID, address: context.exchange.clientAddress,
      userAgent: context.exchange.userAgent)
  }

  private func withCaller(
    _ attempt: (Caller) async throws(CommandError) -> CommandOutcome
  ) async throws -> CommandOutcome {
    var caller = caller
    for _ in 1..<Self.attempts {
      do throws(CommandError) {
        return try await attempt(caller)
      } catch {
        guard case .premiseOutdated = error else { throw error }
        // Something about the caller changed meanwhile, and the database knows what.
        caller = try await Caller(
          request, context, services, may: permission, or: besides, by: sender, settling: true)
      }
    }
    return try await attempt(caller)
  }
}

extension CommandOutcome {
  /// What the caller is told.
  ///
  /// - Parameters:
  ///   - secret: what the reply shows, this once.
  ///   - member: as what it does.
  ///   - apiKeyPepper: shown with it, to a gateway.
  /// - Throws: when a stored reply is not JSON.
  func reply(
    showing secret: String? = nil, as member: String = "token", apiKeyPepper: String? = nil
  ) throws -> Reply {
    var body = body
    if let secret {
      var object = try JSONObject(parsing: body)
      object.set(key: member, secret)
      if let apiKeyPepper { object.set("api_key_pepper", apiKeyPepper) }
      body = object.bytes()
    }
    var reply = Reply.json(
      body, .init(code: status), etag: version.map { ETag(version: $0) }, location: location,
      position: position)
    if isReplay { reply.headers[.idempotencyReplayed] = "true" }
    // What shows a secret is kept nowhere on the way.
    if secret != nil { reply.headers[.cacheControl] = "no-store" }
    return reply
  }
}

/// Who asks for a change, and what their right to it rests on.
private struct Caller {
  let principal: Principal
  /// The workspace that the path names, when it names one.
  let organizationID: OrganizationID?
  let premises: [Premise]

  /// - Throws: a ``Problem`` of 401, 403 or 404.
  init(
    _ request: Request, _ context: APIContext, _ services: Services, may permission: Permission?,
    or besides: Authorizer.Besides, by sender: ChangeRequest.Sender, settling: Bool
  ) async throws {
    let authorizer = services.authorizer
    if let permission {
      let member = try await authorizer.member(
        request, context, may: permission, or: besides, settling: settling)
      principal = member.principal
      organizationID = member.organizationID
      premises = member.premises
    } else {
      principal = try await authorizer.principal(request, context, settling: settling)
      organizationID = nil
      premises = [principal.premise]
    }
    switch sender {
    case .anybody: break
    case .person: _ = try principal.user()
    case .platformAdmin:
      guard principal.isPlatformAdmin else {
        throw Problem.platformOnly
      }
    }
  }
}

/// New identifiers, for whatever is made now.
package enum Identifiers {
  private static let random = Mutex(SecureRandomNumberGenerator())

  /// A UUID of version 7.
  package static func next(at time: Timestamp = .now) -> UUID {
    random.withLock { UUID.version7(at: time, using: &$0) }
  }
}
