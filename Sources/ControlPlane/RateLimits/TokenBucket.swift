/// The tokens somebody has left: sixteen bytes. The arithmetic is whole-numbered and exact; the
/// policy comes with every call, so that a hundred thousand buckets do not repeat it.
///
/// Times are nanoseconds on any monotonic clock. One that goes backwards neither gives nor takes.
package struct TokenBucket: Equatable, Sendable {
  /// Units of the policy, at `updated`.
  private var level: Int64
  private var updated: Int64

  /// A full bucket.
  package init(_ policy: RateLimitPolicy, at now: Int64) {
    level = policy.capacity
    updated = now
  }

  /// Takes `cost` tokens, or none when there are fewer.
  ///
  /// - Precondition: `cost` is at most the policy's burst.
  package mutating func take(
    _ cost: Int64 = 1, at now: Int64, under policy: RateLimitPolicy
  ) -> RateLimitDecision {
    level = level(at: now, under: policy)
    updated = max(updated, now)
    let isAllowed = holds(cost, level, policy)
    if isAllowed { level -= cost * policy.token }
    return RateLimitDecision(policy: policy, isAllowed: isAllowed, cost: cost, level: level)
  }

  /// Takes `cost` tokens if the bucket has `needed` of them, or is full: more may be taken than it holds, and then it fills from
  /// below zero.
  ///
  /// - Precondition: `cost` and `needed` are not negative.
  package mutating func charge(
    _ cost: Int64, needing needed: Int64, at now: Int64, under policy: RateLimitPolicy
  ) -> RateLimitDecision {
    level = level(at: now, under: policy)
    updated = max(updated, now)
    let needed = min(needed, policy.burst)
    let isAllowed = holds(needed, level, policy)
    if isAllowed { level -= min(cost, policy.burst + policy.maxDebt) * policy.token }
    return RateLimitDecision(policy: policy, isAllowed: isAllowed, cost: needed, level: level)
  }

  /// Puts back what was taken for nothing.
  package mutating func giveBack(_ cost: Int64, at now: Int64, under policy: RateLimitPolicy) {
    level = level(at: now, under: policy)
    updated = max(updated, now)
    let owed = min(cost, policy.burst + policy.maxDebt) * policy.token
    level = min(policy.capacity, level + owed)
  }

  /// What `take` would say, except that nothing is taken from what remains.
  package func look(
    for cost: Int64 = 1, at now: Int64, under policy: RateLimitPolicy
  ) -> RateLimitDecision {
    let level = level(at: now, under: policy)
    return RateLimitDecision(
      policy: policy, isAllowed: holds(cost, level, policy), cost: cost, level: level)
  }

  /// Whether it is like one that was never touched.
  func isFull(at now: Int64, under policy: RateLimitPolicy) -> Bool {
    level(at: now, under: policy) == policy.capacity
  }

  private func holds(_ cost: Int64, _ level: Int64, _ policy: RateLimitPolicy) -> Bool {
    precondition(0...policy.burst ~= cost, "no bucket ever holds \(cost) tokens")
    return level >= cost * policy.token
  }

  private func level(at now: Int64, under policy: RateLimitPolicy) -> Int64 {
    guard now > updated else { return level }
    // As unsigned, the difference is right even between the ends of the clock.
    let elapsed = UInt64(bitPattern: now &- updated)
    let (gain, overflows) = elapsed.multipliedReportingOverflow(by: UInt64(policy.quota))
    let isFull = overflows || gain >= UInt64(policy.capacity - level)
    return isFull ? policy.capacity : level + Int64(gain)
  }
}

/// What a bucket says to a request.
package struct RateLimitDecision: Equatable, Sendable {
  /// The policy that speaks.
  package let policy: RateLimitPolicy
  package let isAllowed: Bool
  let cost: Int64
  /// Units that are left now.
  let level: Int64

  /// Whole tokens that are left.
  package var remaining: Int64 { max(0, level) / policy.token }

  /// Nanoseconds until there is one token more; 0 when the bucket is full.
  package var timeToNext: Int64 {
    level == policy.capacity
      ? 0 : policy.nanoseconds(for: policy.token - (level < 0 ? level : level % policy.token))
  }

  /// Nanoseconds until the bucket is full.
  package var timeToFull: Int64 { policy.nanoseconds(for: policy.capacity - level) }

  /// Nanoseconds after which the same request would be allowed; 0 when it is.
  package var wait: Int64 {
    isAllowed ? 0 : policy.nanoseconds(for: cost * policy.token - level)
  }

  /// The one that leaves less: the other one, if it is the only one to refuse.
  func tighter(_ other: RateLimitDecision) -> RateLimitDecision {
    if isAllowed != other.isAllowed { return isAllowed ? other : self }
    return other.remaining < remaining ? other : self
  }
}
