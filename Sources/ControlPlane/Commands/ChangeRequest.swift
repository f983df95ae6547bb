import Cryptography
package import Domain
package import FoundationEssentials
import Hummingbird
import Synchronization

/// What every request for a change has in common: who asks, `Idempotency-Key`, `If-Match`, `?dry_run`.
struct ChangeRequest {
  /// Whether the caller has to say which version they mean to change.
  enum Match {
    case required, ignored
  }

  private static let attempts = 3

  private let request: Request
  private let context: APIContext
  private let services: Services
  private let permission: Permission?
  private let idempotency: IdempotencyClaim?
  private let expected: ExpectedVersion?
  private let isDryRun: Bool
  private let caller: Caller

  /// Finds out who asks and what they expect, before anything is decided.
  ///
  /// - Parameter permission: what they need in the workspace that the path names; nil where there is none.
  /// - Throws: a ``Problem`` of 400, 401, 403, 404, 422 or 428.
  init(
    _ request: Request, _ context: APIContext, _ services: Services, may permission: Permission?,
    ifMatch: Match
  ) async throws {
    self.request = request
    self.context = context
    self.services = services
    self.permission = permission
    caller = try await Caller(request, context, services, may: permission, settling: false)
    let query = QueryReader(request)
    isDryRun = query.dryRun()
    try query.finish()
    let principalID = caller.principal.userID.uuid
    idempotency = try IdempotencyKey.read(request.headers).map { key in
      IdempotencyClaim(
        principalID: principalID, key: key.value,
        requestHash: SHA256.hash(
          Array("\(request.method.rawValue) \(request.head.path ?? "")\n".utf8),
          Array(context.body.readableBytesView)
        ).bytes)
    }
    switch ifMatch {
    case .ignored: expected = nil
    case .required:
      switch try Preconditions(request.headers).ifMatch {
      case nil: throw Problem(.preconditionRequired)
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

  var userID: UserID { caller.principal.userID }

  /// Has the command carried out in the workspace that the path names.
  func carryOut(_ command: WorkspaceCommand) async throws -> Reply {
    guard let organizationID = caller.organizationID else {
      preconditionFailure("the path names no workspace")
    }
    return try await carryOut(command, in: organizationID)
  }

  /// Has the command carried out, and answers with what the change left behind.
  func carryOut(_ command: WorkspaceCommand, in organizationID: OrganizationID) async throws
    -> Reply
  {
    var caller = caller
    for _ in 1..<Self.attempts {
      do {
        return try await attempt(command, in: organizationID, by: caller)
      } catch CommandError.premiseOutdated {
        // Something about the caller changed meanwhile, and the database knows what.
        caller = try await Caller(request, context, services, may: permission, settling: true)
      }
    }
    return try await attempt(command, in: organizationID, by: caller)
  }

  private func attempt(
    _ command: WorkspaceCommand, in organizationID: OrganizationID, by caller: Caller
  ) async throws -> Reply {
    let now = Timestamp.now
    let outcome = try await services.commands.handle(
      CommandRequest(
        commandID: Identifiers.next(at: now), organizationID: organizationID, command: command,
        expected: expected, actor: caller.principal.actor, premises: caller.premises,
        occurredAt: now,
        origin: CommandOrigin(
          requestID: context.requestID, address: context.exchange.clientAddress,
          userAgent: context.exchange.userAgent),
        idempotency: isDryRun ? nil : idempotency, isDryRun: isDryRun))
    var result = Reply.json(
      outcome.body, .init(code: outcome.status),
      etag: outcome.version.map { ETag(version: $0) }, location: outcome.location,
      position: outcome.position)
    if outcome.isReplay { result.headers[.idempotencyReplayed] = "true" }
    return result
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
    settling: Bool
  ) async throws {
    let authorizer = services.authorizer
    guard let permission else {
      principal = try await authorizer.principal(request, context, settling: settling)
      organizationID = nil
      premises = [principal.premise]
      return
    }
    let member = try await authorizer.member(request, context, may: permission, settling: settling)
    principal = member.principal
    organizationID = member.organizationID
    premises = [member.principal.premise, member.premise]
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
