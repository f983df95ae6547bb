import Cryptography
import Domain
import EventStore
import FoundationEssentials
import Hummingbird
import Identity
import Postgres

/// Finds out who sends a request, by whichever kind of token they show.
package struct Authenticator: Sendable {
  /// How long a failure is held back once its address has failed too often. Only failures wait.
  private static let pauseAfterFailures: Duration = .milliseconds(100)
  /// How many unknown tokens of such addresses are checked at a time.
  private static let maxChecks = 4

  private let reads: TableReads
  private let hasher: TokenHasher
  private let identities: IdentityVerifier
  private let users: UserDirectory
  private let serviceTokenUses: ServiceTokenUses
  private let limiter: RateLimiter
  private let knownGateways: KnownGateways
  private let checks = Turnstile(places: maxChecks)

  init(
    reads: TableReads, hasher: TokenHasher, identities: IdentityVerifier, users: UserDirectory,
    serviceTokenUses: ServiceTokenUses, knownGateways: KnownGateways, limiter: RateLimiter
  ) {
    self.reads = reads
    self.hasher = hasher
    self.identities = identities
    self.users = users
    self.serviceTokenUses = serviceTokenUses
    self.knownGateways = knownGateways
    self.limiter = limiter
  }

  /// A read settles first, so that a token revoked a moment ago, on whatever replica, is refused. A change goes by what
  /// this process knows: its ``Premise``s are checked again inside the transaction, where nothing can happen any more.
  ///
  /// A good token is never refused for the failures of others at its address: they may be behind the same proxy. Only
  /// failures are counted, and once there were too many, each further one waits for a moment and gets 429.
  ///
  /// - Throws: a ``Problem`` of 401; 429 for a failure when the caller's address failed too often; or 503 when the
  ///   identity provider that vouches for the caller cannot be asked.
  func principal(
    _ request: Request, _ context: some ExchangeContext, settling: Bool
  ) async throws -> Principal {
    do {
      return try await authenticated(request, context, settling: settling)
    } catch let problem as Problem where problem.kind == .unauthenticated {
      let decision = limiter.failedAttempt(address: context.exchange.clientAddress)
      if decision?.isAllowed == false { try await Task.sleep(for: Self.pauseAfterFailures) }
      try context.exchange.require(decision)
      throw problem
    }
  }

  private func authenticated(
    _ request: Request, _ context: some ExchangeContext, settling: Bool
  ) async throws -> Principal {
    let token = try BearerToken(request.headers)
    let hash = hasher.hash(token.value)
    let deadline = context.deadline
    let reads =
      settling ? try await reads.settle(deadline: deadline) : reads.known(deadline: deadline)
    // The first half of the hash names the token, and the whole is compared in constant time.
    let key = ReadKey.credential(UUID(leading: hash))
    let now = Timestamp.now
    var found: Known<Credential>? = reads.remembered(key)
    if let known = found, !isGood(known.value, hash, now) { found = nil }
    if found == nil {
      // A token that is not known yet may be good, whatever its address did before. Where many failed, few are checked at
      // a time, so that guessing keeps neither the database nor the processors from the others.
      let mustQueue =
        limiter.admitsAttempt(address: context.exchange.clientAddress)?.isAllowed == false
      if let credential = try await find(token.value, hash, reads, now, mustQueue: mustQueue) {
        found = reads.remember(credential, about: credential.kind.topic, for: key)
      }
    }
    guard let found, isGood(found.value, hash, now) else {
      if TokenFormat.gateway.matches(token.value) { knownGateways.forget(token.value) }
      throw BearerToken.challenge(.invalidToken)
    }
    context.exchange.annotate(actor: found.value.kind.externalID)
    switch found.value.kind {
    case .user: break
    case .serviceToken(let token): serviceTokenUses.note(token, at: now)
    case .gateway(let id):
      knownGateways.note(token.value, of: id, until: found.value.until)
    }
    return Principal(
      kind: found.value.kind, premise: found.premise,
      reads: reads.scoped(to: found.value.kind.scope))
  }

  private func isGood(_ credential: Credential, _ hash: [UInt8], _ now: Timestamp) -> Bool {
    constantTimeEquals(credential.hash, hash) && credential.until.map { now < $0 } ?? true
      && credential.identity.map(identities.isCurrent) ?? true
  }

  /// - Parameter mustQueue: whether the work of checking has to wait for a place.
  private func find(
    _ token: String, _ hash: [UInt8], _ reads: Reads, _ now: Timestamp, mustQueue: Bool
  ) async throws -> Credential? {
    func inTurn(_ check: () async throws -> Credential?) async throws -> Credential? {
      mustQueue ? try await checks.pass(check) : try await check()
    }
    let isOurs = [TokenFormat.service, .gateway].contains { token.hasPrefix($0.prefix) }
    guard !isOurs, IdentityVerifier.looksLikeJWT(token) else {
      return try await inTurn { try await findOurs(token, hash, reads, now) }
    }
    // The issuer's keys may have to be fetched first: who waits for them holds no place.
    guard let claimed = try await claim(token, now) else { return nil }
    return try await inTurn { try await identity(claimed, hash, reads) }
  }

  /// Looks a token up that this system made.
  private func findOurs(
    _ token: String, _ hash: [UInt8], _ reads: Reads, _ now: Timestamp
  ) async throws -> Credential? {
    if token.hasPrefix(TokenFormat.service.prefix) {
      guard TokenFormat.service.matches(token) else { return nil }
      return try await serviceToken(hash, reads, now)
    }
    if token.hasPrefix(TokenFormat.gateway.prefix) {
      guard TokenFormat.gateway.matches(token) else { return nil }
      return try await reads.rows(GatewayTokenTable.access(ofTokenHash: hash)).first.map {
        let (id, hash, expiresAt) = try $0.decode((UUID, [UInt8], TimestampTZ?).self)
        return Credential(
          hash: hash, kind: .gateway(GatewayTokenID(id)), until: expiresAt.map(Timestamp.init))
      }
    }
    return try await reads.rows(PersonalAccessTokenTable.owner(ofTokenHash: hash)).first.map {
      let (hash, userID, isPlatformAdmin, expiresAt) = try $0.decode(
        ([UInt8], UUID, Bool, TimestampTZ?).self)
      return Credential(
        hash: hash, kind: .user(UserID(userID), isPlatformAdmin: isPlatformAdmin),
        until: expiresAt.map(Timestamp.init))
    }
  }

  private func serviceToken(
    _ hash: [UInt8], _ reads: Reads, _ now: Timestamp
  ) async throws -> Credential? {
    let rows = try await reads.rows(ServiceTokenTable.access(lookupID: UUID(leading: hash)))
    for row in rows {
      let access = try ServiceTokenTable.Access(row)
      guard let until = access.validUntil(for: hash), now < until else { continue }
      return Credential(hash: hash, kind: .serviceToken(access.token), until: until)
    }
    return nil
  }

  private func claim(_ token: String, _ now: Timestamp) async throws -> ClaimedIdentity? {
    do throws(IdentityError) {
      return try await identities.claim(of: token, at: now.seconds)
    } catch {
      switch error {
      case .notAToken, .refused: return nil
      case .unavailable: throw Problem.unavailable(.identityProviderUnavailable)
      }
    }
  }

  private func identity(
    _ claimed: ClaimedIdentity, _ hash: [UInt8], _ reads: Reads
  ) async throws -> Credential? {
    guard let identity = claimed.verified() else { return nil }
    guard let user = try await users.user(of: identity, reads) else { return nil }
    return Credential(
      hash: hash, kind: .user(user.id, isPlatformAdmin: user.isPlatformAdmin),
      until: Timestamp(clampingSeconds: identity.expiresAt), identity: identity)
  }
}

extension Exchange {
  /// - Throws: a ``Problem`` of 429, whose header fields the floor adds.
  func require(_ decision: RateLimitDecision?) throws(Problem) {
    guard let decision, !decision.isAllowed else { return }
    annotate(rateLimit: decision)
    throw Problem(.rateLimited)
  }
}

/// A token that was found good, as long as nothing happens to what it rests on.
private struct Credential: Sendable {
  /// Of the token.
  let hash: [UInt8]
  let kind: Principal.Kind
  /// Nil when it does not expire.
  var until: Timestamp?
  /// Of a token that somebody else vouches for.
  var identity: VerifiedIdentity?
}
