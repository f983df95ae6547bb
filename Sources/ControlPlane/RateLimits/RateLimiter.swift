import Domain
package import FoundationEssentials

/// Keeps one caller from taking the process away from all others. In memory, and of this process:
/// with several replicas, each grants the whole of a limit.
///
/// Every function takes the time of the request, so that it costs no further reading of the clock,
/// and answers nil when limits are off: then there is nothing to say about them.
package final class RateLimiter: Sendable {
  package let isEnabled: Bool
  private let origin: ContinuousClock.Instant
  private let principals: BucketTable<UUID>
  private let workspaces: BucketTable<UUID>
  private let addresses: BucketTable<UInt128>
  private let invitations: BucketTable<UUID>
  private let inviters: BucketTable<UUID>
  private let recipients: BucketTable<UUID>
  private let mails: BucketTable<UUID>
  private let appends: BucketTable<UUID>
  let streams = StreamLimits()

  /// - Parameter capacity: the most buckets there may be of each kind, of some 60 bytes each.
  /// - Precondition: each policy is of its kind, and `capacity` is at least 16.
  package init(
    isEnabled: Bool = true, principal: RateLimitPolicy = .principal,
    workspace: RateLimitPolicy = .workspace, address: RateLimitPolicy = .address,
    invitation: RateLimitPolicy = .invitation, inviter: RateLimitPolicy = .inviter,
    recipient: RateLimitPolicy = .recipient, mail: RateLimitPolicy = .mail,
    append: RateLimitPolicy = .append,
    capacity: Int = 100_000,
    origin: ContinuousClock.Instant = .now
  ) {
    precondition(
      principal.kind == .principal && workspace.kind == .workspace && address.kind == .address
        && invitation.kind == .invitation && inviter.kind == .inviter
        && recipient.kind == .recipient && mail.kind == .mail && append.kind == .append,
      "a policy of another kind")
    self.isEnabled = isEnabled
    self.origin = origin
    principals = BucketTable(principal, capacity: capacity, at: 0)
    workspaces = BucketTable(workspace, capacity: capacity, at: 0)
    addresses = BucketTable(address, capacity: capacity, at: 0)
    invitations = BucketTable(invitation, capacity: capacity, at: 0)
    inviters = BucketTable(inviter, capacity: capacity, at: 0)
    recipients = BucketTable(recipient, capacity: capacity, at: 0)
    mails = BucketTable(mail, capacity: capacity, at: 0)
    appends = BucketTable(append, capacity: capacity, at: 0)
  }

  /// The policy that is in force for a kind.
  package func policy(_ kind: RateLimitPolicy.Kind) -> RateLimitPolicy {
    switch kind {
    case .principal: principals.policy
    case .workspace: workspaces.policy
    case .address: addresses.policy
    case .invitation: invitations.policy
    case .inviter: inviters.policy
    case .recipient: recipients.policy
    case .mail: mails.policy
    case .append: appends.policy
    }
  }

  /// How many buckets of a kind are in memory.
  package func bucketCount(_ kind: RateLimitPolicy.Kind) -> Int {
    switch kind {
    case .principal: principals.count
    case .workspace: workspaces.count
    case .address: addresses.count
    case .invitation: invitations.count
    case .inviter: inviters.count
    case .recipient: recipients.count
    case .mail: mails.count
    case .append: appends.count
    }
  }

  /// One request of an authenticated caller: takes a token from the principal and one from the
  /// workspace, or none at all. Answers the tighter decision, or the refusal.
  package func check(
    principal: UUID, workspace: UUID? = nil, at now: ContinuousClock.Instant = .now
  ) -> RateLimitDecision? {
    guard isEnabled else { return nil }
    let now = time(now)
    guard let workspace else { return principals.take(principal, at: now) }
    // The principal's shard stays locked while the workspace is asked, so that no token is ever
    // taken and given back. Nobody locks the two the other way round.
    return principals.withBucket(of: principal, at: now) { bucket in
      let first = bucket.look(at: now, under: principals.policy)
      guard first.isAllowed else { return first }
      let second = workspaces.take(workspace, at: now)
      guard second.isAllowed else { return second }
      return bucket.take(at: now, under: principals.policy).tighter(second)
    }
  }

  /// Whether the address has failures left. Takes nothing: callers with good credentials are never limited here.
  package func admitsAttempt(
    address: String, at now: ContinuousClock.Instant = .now
  ) -> RateLimitDecision? {
    guard isEnabled else { return nil }
    return addresses.look(Self.key(address), at: time(now))
  }

  /// The address tried to authenticate, and failed. A refusal means that it has failed too often.
  @discardableResult
  package func failedAttempt(
    address: String, at now: ContinuousClock.Instant = .now
  ) -> RateLimitDecision? {
    guard isEnabled else { return nil }
    return addresses.take(Self.key(address), at: time(now))
  }

  /// An invitation is about to be mailed: it counts for the workspace, for the user who sends it, for the address that
  /// gets it, and for the process. A refusal by one of them takes nothing from the others.
  ///
  /// - Parameter recipient: stands for the address.
  package func invites(
    to workspace: UUID, by inviter: UUID, recipient: UUID,
    at now: ContinuousClock.Instant = .now
  ) -> RateLimitDecision? {
    guard isEnabled else { return nil }
    let now = time(now)
    let others = [(mails, Self.process), (recipients, recipient), (inviters, inviter)]
    for (table, key) in others {
      let decision = table.look(key, at: now)
      guard decision.isAllowed else { return decision }
    }
    let decision = invitations.take(workspace, at: now)
    guard decision.isAllowed else { return decision }
    for (table, key) in others { _ = table.take(key, at: now) }
    return decision
  }

  /// The key of what is counted for the whole process.
  private static let process = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))

  /// Whether the caller has requests left. Takes nothing: the request is counted once it is known what it is for.
  package func admits(
    principal: UUID, at now: ContinuousClock.Instant = .now
  ) -> RateLimitDecision? {
    guard isEnabled else { return nil }
    return principals.look(principal, at: time(now))
  }

  /// A principal is about to append so many bytes to the workspace's part of the log: they count for both. A refusal by one
  /// takes nothing from the other.
  ///
  /// - Parameter needed: how many of them must be left: those that were known when the request was admitted.
  package func appends(
    _ bytes: Int64, needing needed: Int64, to workspace: UUID, by principal: UUID,
    at now: ContinuousClock.Instant = .now
  ) -> RateLimitDecision? {
    guard let decision = admitsAppend(needed, of: principal, at: now) else { return nil }
    guard decision.isAllowed else { return decision }
    let now = time(now)
    let charge: (UUID) -> RateLimitDecision = { key in
      self.appends.withBucket(of: key, at: now) {
        $0.charge(bytes, needing: needed, at: now, under: self.appends.policy)
      }
    }
    let first = charge(workspace)
    return first.isAllowed ? charge(principal).tighter(first) : first
  }

  /// Whether so many bytes could be appended now by a principal, or to a workspace. Takes nothing.
  package func admitsAppend(
    _ bytes: Int64, of principalOrWorkspace: UUID, at now: ContinuousClock.Instant = .now
  ) -> RateLimitDecision? {
    guard isEnabled else { return nil }
    let now = time(now)
    return appends.withBucket(of: principalOrWorkspace, at: now) {
      $0.look(for: max(0, min(bytes, appends.policy.burst)), at: now, under: appends.policy)
    }
  }

  /// They were not appended after all.
  package func givesBack(
    _ bytes: Int64, to workspace: UUID, by principal: UUID,
    at now: ContinuousClock.Instant = .now
  ) {
    guard isEnabled else { return }
    let now = time(now)
    for key in [workspace, principal] {
      appends.withBucket(of: key, at: now) {
        $0.giveBack(bytes, at: now, under: appends.policy)
      }
    }
  }

  private func time(_ now: ContinuousClock.Instant) -> Int64 {
    origin.duration(to: now).nanoseconds
  }

  /// A host is given a whole IPv6 /64 as a rule, and could use a new address for every request. What
  /// is no address (a local socket) goes with `::1`.
  private static func key(_ address: String) -> UInt128 {
    guard let address = IPAddress(address) else { return 0 }
    return address.isIPv4 ? address.bits : address.bits & (.max << 64)
  }
}
