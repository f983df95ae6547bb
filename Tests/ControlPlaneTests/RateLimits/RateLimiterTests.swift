import Domain
import FoundationEssentials
import Testing

@testable import ControlPlane

@Suite struct RateLimiterTests {
  private static let start = ContinuousClock.now

  private static func limiter(
    principal: Int64 = 1000, workspace: Int64 = 1000, address: Int64 = 30, capacity: Int = 100_000
  ) -> RateLimiter {
    RateLimiter(
      principal: RateLimitPolicy(.principal, quota: 60, burst: principal),
      workspace: RateLimitPolicy(.workspace, quota: 60, burst: workspace),
      address: RateLimitPolicy(.address, quota: 60, burst: address),
      capacity: capacity, origin: start)
  }

  private static func after(_ time: Duration) -> ContinuousClock.Instant { start + time }

  @Test func `a hundred thousand addresses that fail take no more memory than was set`() {
    let limiter = Self.limiter(address: 2, capacity: 1600)
    for number in 0..<100_000 as Range<UInt32> {
      limiter.failedAttempt(
        address: IPAddress(bits: 0xFFFF << 32 | UInt128(number)).description, at: Self.start)
    }
    #expect(limiter.bucketCount(.address) == 1600)
  }

  @Test func `new addresses do not get an attacker's own bucket forgotten`() {
    let limiter = Self.limiter(address: 2, capacity: 160)
    for _ in 0..<2 { limiter.failedAttempt(address: "192.0.2.1", at: Self.start) }
    // Far more than there is room for, before the first token is back.
    for number in 0..<2000 {
      let now = Self.after(.microseconds(499 * number))
      limiter.failedAttempt(address: "10.0.\(number / 250).\(number % 250)", at: now)
    }
    let before = Self.after(.nanoseconds(999_999_999))
    #expect(limiter.admitsAttempt(address: "192.0.2.1", at: before)?.isAllowed == false)
    let after = Self.after(.seconds(1))
    #expect(limiter.admitsAttempt(address: "192.0.2.1", at: after)?.isAllowed == true)
  }

  @Test func `when there is no room, all strangers of a shard share one bucket`() {
    let limiter = Self.limiter(address: 5, capacity: 16)
    let admitted = (0..<10_000).count { number in
      limiter.failedAttempt(
        address: "10.0.\(number / 250).\(number % 250)", at: Self.start)?.isAllowed == true
    }
    // One token of each of the 16 that found room, and the 5 of each shard.
    #expect(admitted == 16 + 16 * 5)
    #expect(limiter.admitsAttempt(address: "203.0.113.9", at: Self.start)?.isAllowed == false)
    // The attack is over.
    #expect(
      limiter.admitsAttempt(address: "203.0.113.9", at: Self.after(.seconds(5)))?.remaining == 5)
  }

  @Test func `an IPv6 /64 is one address, the next one another`() throws {
    let limiter = Self.limiter()
    for number in 0..<30 {
      limiter.failedAttempt(address: "2001:db8:0:1:\(number):2:3:\(number)", at: Self.start)
    }
    #expect(limiter.bucketCount(.address) == 1)
    let same = limiter.admitsAttempt(address: "2001:db8:0:1::", at: Self.start)
    let next = limiter.admitsAttempt(address: "2001:db8:0:2::", at: Self.start)
    #expect((same?.isAllowed, next?.remaining) == (false, 30))
  }

  @Test func `an IPv4 address is one, however it is written`() {
    let limiter = Self.limiter()
    limiter.failedAttempt(address: "192.0.2.1", at: Self.start)
    limiter.failedAttempt(address: "::ffff:192.0.2.1", at: Self.start)
    limiter.failedAttempt(address: "::FFFF:c000:201", at: Self.start)
    #expect(limiter.admitsAttempt(address: "192.0.2.1", at: Self.start)?.remaining == 27)
    #expect(limiter.admitsAttempt(address: "192.0.2.2", at: Self.start)?.remaining == 30)
    #expect(limiter.admitsAttempt(address: "local", at: Self.start)?.remaining == 30)
  }

  @Test func `of many tasks at once, exactly as many are let through as there are tokens`() async {
    let (principals, workspace) = ((0..<4).map { _ in UUID() }, UUID())
    let limiter = Self.limiter(principal: 300, workspace: 1000)
    let admitted = await withTaskGroup(of: Int.self) { group in
      for task in 0..<16 {
        group.addTask {
          (0..<200).count { _ in
            let principal = principals[task % 4]
            let decision = limiter.check(
              principal: principal, workspace: workspace, at: Self.start)
            return decision?.isAllowed == true
          }
        }
      }
      return await group.reduce(0, +)
    }
    // 4 × 300 is more than the workspace has, and nobody is charged for what it refused.
    #expect(admitted == 1000)
    let left = principals.map { principal in
      (0..<300).count { _ in
        limiter.check(principal: principal, at: Self.start)?.isAllowed == true
      }
    }
    #expect(left.reduce(0, +) == 200)
  }

  @Test func `a refused principal costs the workspace nothing, and the other way round`() {
    let (first, second, workspace) = (UUID(), UUID(), UUID())
    let limiter = Self.limiter(principal: 3, workspace: 5)
    func ask(_ principal: UUID) -> RateLimitDecision? {
      limiter.check(principal: principal, workspace: workspace, at: Self.start)
    }
    #expect((0..<9).compactMap { _ in ask(first) }.count { $0.isAllowed } == 3)
    #expect(ask(first)?.policy.kind == .principal)
    // The workspace has two left, of which the third request of the second principal gets none.
    #expect((0..<9).compactMap { _ in ask(second) }.count { $0.isAllowed } == 2)
    #expect(ask(second)?.policy.kind == .workspace)
    #expect(limiter.check(principal: second, at: Self.start)?.remaining == 0)
  }

  @Test func `the tighter of two decisions is told`() {
    let (principal, workspace) = (UUID(), UUID())
    let limiter = Self.limiter(principal: 4, workspace: 6)
    let told = limiter.check(principal: principal, workspace: workspace, at: Self.start)
    #expect((told?.policy.kind, told?.remaining) == (.principal, 3))
    for _ in 0..<4 { _ = limiter.check(principal: UUID(), workspace: workspace, at: Self.start) }
    let then = limiter.check(principal: principal, workspace: workspace, at: Self.start)
    #expect((then?.policy.kind, then?.remaining) == (.workspace, 0))
  }

  @Test func `looking takes nothing and leaves nothing behind`() {
    let limiter = Self.limiter(address: 1)
    for _ in 0..<100 {
      #expect(limiter.admitsAttempt(address: "192.0.2.1", at: Self.start)?.remaining == 1)
    }
    #expect(limiter.bucketCount(.address) == 0)
    #expect(limiter.failedAttempt(address: "192.0.2.1", at: Self.start)?.isAllowed == true)
    let refusal = limiter.admitsAttempt(address: "192.0.2.1", at: Self.start)
    #expect((refusal?.isAllowed, refusal?.wait) == (false, 1_000_000_000))
  }

  @Test(arguments: [[3, 5], [10]])
  func `buckets that are full again are forgotten without anybody asking for them`(
    visits: [Int]
  ) {
    // Two seconds fill a bucket.
    let limiter = Self.limiter(principal: 2)
    for number in 0..<10_000 {
      let now = Self.after(.microseconds(100 * number))
      _ = limiter.check(principal: UUID(), at: now)
    }
    #expect(limiter.bucketCount(.principal) == 10_000)
    for second in visits {
      let now = Self.after(.seconds(second))
      for _ in 0..<1000 { _ = limiter.check(principal: UUID(), at: now) }
    }
    #expect(limiter.bucketCount(.principal) == 1000 * visits.count)
  }

  @Test func `forgetting changes no answer`() {
    var random = SystemRandomNumberGenerator()
    let policy = RateLimitPolicy(.principal, quota: 60, burst: 3)
    let table = BucketTable<Int>(policy, capacity: 1600, at: 0)
    var reference: [Int: TokenBucket] = [:]
    var now: Int64 = 0
    for _ in 0..<50_000 {
      now += .random(in: 0...200_000_000, using: &random)
      if .random(in: 0..<1000, using: &random) == 0 { now += 10_000_000_000 }
      let key = Int.random(in: 0..<20, using: &random)
      let expected = reference[key, default: TokenBucket(policy, at: now)].take(
        at: now, under: policy)
      #expect(table.take(key, at: now) == expected)
    }
  }

  @Test func `limits that are off say nothing and keep nothing`() {
    let limiter = RateLimiter(isEnabled: false)
    for _ in 0..<10_000 {
      #expect(limiter.check(principal: UUID(), workspace: UUID()) == nil)
      #expect(limiter.admitsAttempt(address: "192.0.2.1") == nil)
      #expect(limiter.failedAttempt(address: "192.0.2.1") == nil)
      #expect(limiter.invites(to: UUID(), by: UUID(), recipient: UUID()) == nil)
      #expect(limiter.appends(1_000_000, needing: 1, to: UUID(), by: UUID()) == nil)
    }
    #expect(RateLimitPolicy.Kind.allCases.allSatisfy { limiter.bucketCount($0) == 0 })
  }

  // MARK: The log

  /// Several workspaces of one user do not add up.
  @Test func `bytes appended count for the workspace and for who appends them`() {
    let limiter = RateLimiter(append: RateLimitPolicy(.append, quota: 60, burst: 100))
    let (first, second, third) = (UUID(), UUID(), UUID())
    let (user, other) = (UUID(), UUID())
    let now = ContinuousClock.now
    func append(_ bytes: Int64, _ workspace: UUID, _ user: UUID) -> Bool? {
      limiter.appends(bytes, needing: bytes, to: workspace, by: user, at: now)?.isAllowed
    }
    #expect(append(60, first, user) == true)
    #expect(append(60, second, user) == false)
    #expect(append(40, second, user) == true)
    #expect(append(1, third, user) == false)
    // What the user was refused took nothing from the workspaces, and others are not concerned.
    #expect(append(100, third, other) == true)
    // A workspace that has taken all refuses everybody, and that takes nothing from them.
    #expect(append(41, first, UUID()) == false)
    #expect(limiter.admitsAppend(1, of: user, at: now)?.isAllowed == false)
    limiter.givesBack(40, to: second, by: user, at: now)
    #expect(limiter.admitsAppend(40, of: user, at: now)?.isAllowed == true)
    #expect(limiter.admitsAppend(41, of: user, at: now)?.isAllowed == false)
    #expect(limiter.admitsAppend(.max, of: UUID(), at: now)?.isAllowed == true)
    // What was admitted by its request is charged whole, and owed.
    let debtor = UUID()
    #expect(
      limiter.appends(500, needing: 10, to: UUID(), by: debtor, at: now)?.isAllowed == true)
    #expect(limiter.admitsAppend(1, of: debtor, at: now + .seconds(60))?.isAllowed == false)
  }

  // MARK: Invitation mail

  @Test func `invitations are counted for the workspace, the inviter, the address and the process`()
  {
    let limiter = RateLimiter(
      invitation: RateLimitPolicy(.invitation, quota: 1, window: 3600, burst: 4),
      inviter: RateLimitPolicy(.inviter, quota: 1, window: 3600, burst: 5),
      recipient: RateLimitPolicy(.recipient, quota: 1, window: 3600, burst: 2),
      mail: RateLimitPolicy(.mail, quota: 1, window: 3600, burst: 8))
    func invite(_ workspace: UUID, _ inviter: UUID, _ recipient: UUID) -> RateLimitPolicy.Kind? {
      let decision = limiter.invites(to: workspace, by: inviter, recipient: recipient)
      return decision.flatMap { $0.isAllowed ? nil : $0.policy.kind }
    }
    let (first, second, third) = (UUID(), UUID(), UUID())
    let (ada, ben, eve) = (UUID(), UUID(), UUID())
    #expect(invite(first, ada, eve) == nil)
    #expect(invite(second, ada, eve) == nil)
    #expect(invite(third, ben, eve) == .recipient, "whichever workspace it comes from")
    for _ in 0..<3 { #expect(invite(first, ada, UUID()) == nil) }
    #expect(invite(second, ada, UUID()) == .inviter, "of whichever workspace")
    #expect(invite(first, ben, UUID()) == .invitation)
    for _ in 0..<3 { #expect(invite(UUID(), UUID(), UUID()) == nil) }
    #expect(invite(UUID(), UUID(), UUID()) == .mail)
  }
}
