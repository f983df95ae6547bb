package import Domain
import FoundationEssentials
import Hummingbird
import Postgres

/// Answers for every request who asks and whether they may. The only way from a path to an ``OrganizationID``.
package struct Authorizer: GatewayDoor, Sendable {
  /// Who may also do something without being a member.
  enum Besides {
    case nobody, platformAdmins
  }

  private let isChecking: Bool
  private let authenticator: Authenticator
  private let knownGateways: KnownGateways
  private let isDatabaseAway: @Sendable () -> Bool
  private let limiter: RateLimiter

  /// - Parameters:
  ///   - isChecking: false takes everybody for an owner of every workspace.
  ///   - isDatabaseAway: what was known a second ago; who may do without the database does not wait for it then.
  init(
    isChecking: Bool, authenticator: Authenticator, knownGateways: KnownGateways,
    isDatabaseAway: @escaping @Sendable () -> Bool, limiter: RateLimiter
  ) {
    self.isChecking = isChecking
    self.authenticator = authenticator
    self.knownGateways = knownGateways
    self.isDatabaseAway = isDatabaseAway
    self.limiter = limiter
  }

  /// Finds out who asks.
  ///
  /// - Throws: a ``Problem`` of 401 or 429.
  func principal(
    _ request: Request, _ context: some ExchangeContext, settling: Bool = true
  ) async throws -> Principal {
    let principal = try await authenticator.principal(request, context, settling: settling)
    try count(principal, in: nil, context.exchange)
    if case .gateway = principal.kind { throw Problem(.dataPlaneOnly) }
    return principal
  }

  /// Finds out which data-plane gateway asks: the door to everything under `/v1/dataplane`.
  ///
  /// - Parameter whileDatabaseIsAway: whether a token that this process knows passes when the database does not answer.
  /// - Throws: a ``Problem`` of 401 or 429; 403 for everybody who is no gateway; 503 when the database does not answer.
  func gateway(
    _ request: Request, _ context: some ExchangeContext, whileDatabaseIsAway: Bool
  ) async throws -> AuthenticatedGateway {
    if whileDatabaseIsAway, isDatabaseAway(),
      let id = try knownGateways.gateway(request, context)
    {
      return AuthenticatedGateway(id: id, reads: nil)
    }
    do {
      let principal = try await authenticator.principal(request, context, settling: true)
      try count(principal, in: nil, context.exchange)
      guard case .gateway(let id) = principal.kind else { throw Problem(.gatewayRequired) }
      return AuthenticatedGateway(id: id, reads: principal.reads)
    } catch let error as PostgresError where error.isTransient {
      guard whileDatabaseIsAway, let id = try knownGateways.gateway(request, context) else {
        throw error
      }
      return AuthenticatedGateway(id: id, reads: nil)
    }
  }

  /// What platform admins read, for the platform.
  ///
  /// - Throws: a ``Problem`` of 401 or 429; 403 for everybody else.
  func platformAdmin(_ request: Request, _ context: some ExchangeContext) async throws -> Reads {
    let principal = try await principal(request, context)
    guard principal.isPlatformAdmin else { throw Problem.platformOnly }
    return principal.reads.scoped(to: .system)
  }

  /// Counts the request against its sender's limits, and against the workspace's once they have shown to be a member:
  /// strangers use up nobody's.
  private func count(
    _ principal: Principal, in workspace: OrganizationID?, _ exchange: Exchange
  ) throws(Problem) {
    // A request that has to be looked at again, because something about its sender changed, counts once.
    guard exchange.annotations.rateLimit == nil,
      let decision = limiter.check(principal: principal.id, workspace: workspace?.uuid)
    else { return }
    try exchange.require(decision)
    exchange.annotate(rateLimit: decision)
  }

  /// Finds out who asks, and whether they may do this in the workspace that the path names.
  ///
  /// - Throws: a ``Problem`` of 401 or 429; 404 when there is no such workspace or they are no member of it; 403.
  func member(
    _ request: Request, _ context: some ExchangeContext, may permission: Permission,
    or besides: Besides = .nobody, settling: Bool = true
  ) async throws -> Membership {
    let principal = try await authenticator.principal(request, context, settling: settling)
    guard let organizationID = context.pathParameters["organization"].flatMap(OrganizationID.init)
    else {
      try count(principal, in: nil, context.exchange)
      throw Problem(.notFound)
    }
    if case .gateway = principal.kind {
      try count(principal, in: nil, context.exchange)
      throw Problem(.notFound)
    }
    let found = try await membership(of: principal, in: organizationID)
    try count(principal, in: found == nil ? nil : organizationID, context.exchange)
    guard isChecking else {
      return Membership(
        principal: principal, organizationID: organizationID, role: .owner, projectIDs: nil,
        premise: nil)
    }
    guard let membership = found else {
      if besides == .platformAdmins, principal.isPlatformAdmin {
        return Membership(
          principal: principal, organizationID: organizationID, role: nil, projectIDs: nil,
          premise: nil)
      }
      throw Problem(.notFound)
    }
    do throws(Problem) {
      try membership.require(permission, project: context.pathParameters["project"])
    } catch {
      if besides == .platformAdmins, principal.isPlatformAdmin { return membership }
      // The role may have been given a moment ago, on another replica.
      if !settling { return try await member(request, context, may: permission, or: besides) }
      throw error
    }
    return membership
  }

  private func membership(
    of principal: Principal, in organizationID: OrganizationID
  ) async throws -> Membership? {
    switch principal.kind {
    case .user(let userID, _):
      let key = ReadKey(
        principalID: userID.uuid, organizationID: organizationID, table: .memberships,
        rowID: userID.uuid)
      let found: Known<Role>? = try await principal.reads.row(
        key, MembershipTable.role(of: userID, in: organizationID)
      ) { try $0.decode(Role.self) }
      return found.map {
        Membership(
          principal: principal, organizationID: organizationID, role: $0.value, projectIDs: nil,
          premise: $0.premise)
      }
    case .serviceToken(let token):
      guard token.organizationID == organizationID else { return nil }
      return Membership(
        principal: principal, organizationID: organizationID, role: token.role,
        projectIDs: token.projectIDs, premise: nil)
    case .gateway: return nil
    }
  }
}

extension Membership {
  /// - Parameter project: from the path, when it names one.
  /// - Throws: a ``Problem`` of 403; 404 for a project that the caller's token is not bound to.
  fileprivate func require(_ permission: Permission, project: String?) throws(Problem) {
    guard let role else { return }
    guard role.may(permission) else { throw .forbidden(permission, role) }
    guard let projectIDs else { return }
    if let project {
      guard let id = ProjectID(project), projectIDs.contains(id) else { throw Problem(.notFound) }
    }
    let isAboutTheirs = project != nil || [.projectRead, .organizationRead].contains(permission)
    guard isAboutTheirs, permission.isAboutProjects else {
      throw Problem(.forbidden, "the token is bound to projects, and this is not about one of them")
    }
  }
}
