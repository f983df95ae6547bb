import Cryptography
package import Domain
import FoundationEssentials
import Hummingbird
import Postgres

/// Who sends a request.
package struct Principal: Sendable {
  package let userID: UserID
  package let isPlatformAdmin: Bool
  /// What being them rests on.
  let premise: Premise
  let reads: Reads

  /// As the log and the audit name them.
  package var actor: Actor { .user(userID) }
}

/// A principal within one workspace: whoever has one has passed the check.
package struct Membership: Sendable {
  package let principal: Principal
  package let organizationID: OrganizationID
  package let role: Role
  /// What having the role rests on.
  let premise: Premise

  var reads: Reads { principal.reads }
}

/// Answers for every request who asks and whether they may. The only way from a path to an ``OrganizationID``.
///
/// A read settles first, so that a role taken away a moment ago, on whatever replica, is gone. A change goes by what this
/// process knows: its ``Premise``s are checked again inside the transaction, where nothing can happen any more.
package struct Authorizer: Sendable {
  private let reads: TableReads
  private let hasher: TokenHasher

  package init(reads: TableReads, hasher: TokenHasher) {
    self.reads = reads
    self.hasher = hasher
  }

  /// Finds out who asks.
  ///
  /// - Throws: a ``Problem`` of 401.
  func principal(
    _ request: Request, _ context: some ExchangeContext, settling: Bool = true
  ) async throws -> Principal {
    let token = try BearerToken(request.headers)
    let hash = hasher.hash(token.value)
    let deadline = context.deadline
    let reads =
      settling ? try await reads.settle(deadline: deadline) : reads.known(deadline: deadline)
    // The first half of the hash names the token, and the whole is compared in constant time.
    let key = ReadKey(
      principalID: UUID(leading: hash), organizationID: .platform, table: .personalAccessTokens,
      rowID: UUID(leading: hash))
    let found = try await reads.row(key, PersonalAccessTokenTable.user(withTokenHash: hash)) {
      TokenOwner(try $0.decode(([UInt8], UUID, Bool).self))
    }
    guard let found, constantTimeEquals(found.value.hash, hash) else {
      throw BearerToken.challenge(.invalidToken)
    }
    context.exchange.annotate(actor: found.value.userID.description)
    return Principal(
      userID: found.value.userID, isPlatformAdmin: found.value.isPlatformAdmin,
      premise: found.premise, reads: reads)
  }

  /// Finds out who asks, and whether they may do this in the workspace that the path names.
  ///
  /// - Throws: a ``Problem`` of 401; 404 when there is no such workspace or they are no member of it; 403.
  func member(
    _ request: Request, _ context: some ExchangeContext, may permission: Permission,
    settling: Bool = true
  ) async throws -> Membership {
    let principal = try await principal(request, context, settling: settling)
    guard let organizationID = context.parameters.get("organization").flatMap(OrganizationID.init)
    else { throw Problem(.notFound) }
    let key = ReadKey(
      principalID: principal.userID.uuid, organizationID: organizationID, table: .memberships,
      rowID: principal.userID.uuid)
    let found: Known<Role>? = try await principal.reads.row(
      key, MembershipTable.role(of: principal.userID, in: organizationID)
    ) { try $0.decode(Role.self) }
    guard let found else { throw Problem(.notFound) }
    guard found.value.may(permission) else {
      // The role may have been given a moment ago, on another replica.
      if !settling { return try await member(request, context, may: permission) }
      throw Problem.forbidden(permission, found.value)
    }
    return Membership(
      principal: principal, organizationID: organizationID, role: found.value,
      premise: found.premise)
  }
}

private struct TokenOwner: Sendable {
  let hash: [UInt8]
  let userID: UserID
  let isPlatformAdmin: Bool

  init(_ columns: ([UInt8], UUID, Bool)) {
    hash = columns.0
    userID = UserID(columns.1)
    isPlatformAdmin = columns.2
  }
}

extension OrganizationID {
  /// Stands for what belongs to no workspace.
  static let platform = OrganizationID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
}

extension UUID {
  /// The first sixteen bytes, as a name for the whole.
  init(leading bytes: [UInt8]) {
    self = bytes.withUnsafeBytes { UUID(uuid: $0.loadUnaligned(as: uuid_t.self)) }
  }
}
