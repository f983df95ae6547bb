import Testing

@testable import ControlPlane

@Suite struct TokenBucketTests {
  /// Seven tokens in sixty seconds: one in 8.571428571… s, which no number of nanoseconds is.
  private static let sevenths = RateLimitPolicy(.principal, quota: 7, burst: 3)
  private static let second: Int64 = 1_000_000_000

  private static func empty(_ policy: RateLimitPolicy, at now: Int64 = 0) -> TokenBucket {
    var bucket = TokenBucket(policy, at: now)
    #expect(bucket.take(policy.burst, at: now, under: policy).remaining == 0)
    return bucket
  }

  @Test func `a bucket gives what it holds, and not one more`() {
    let policy = Self.sevenths
    var bucket = TokenBucket(policy, at: 0)
    let answers = (0..<5).map { _ in bucket.take(at: 0, under: policy) }
    #expect(answers.map(\.isAllowed) == [true, true, true, false, false])
    #expect(answers.map(\.remaining) == [2, 1, 0, 0, 0])
    #expect(bucket.take(0, at: 0, under: policy).isAllowed)
  }

  @Test func `a refusal costs nothing, however often it is asked for`() {
    let policy = Self.sevenths
    var bucket = Self.empty(policy)
    let wait = bucket.take(at: 0, under: policy).wait
    for now in 0..<1000 {
      #expect(!bucket.take(at: Int64(now) * wait / 1000, under: policy).isAllowed)
    }
    #expect(bucket.take(at: wait, under: policy).isAllowed)
  }

  @Test func `a token is there at the nanosecond that was told, and not one before`() {
    for quota: Int64 in [1, 3, 7, 59, 60, 6000, 29_989, 1_000_000_007] {
      for cost: Int64 in [1, 2, 3] {
        let policy = RateLimitPolicy(.principal, quota: quota, burst: 3)
        var bucket = Self.empty(policy, at: 17)
        let refusal = bucket.take(cost, at: 17, under: policy)
        #expect(!refusal.isAllowed)
        let told = 17 + refusal.wait
        #expect(!bucket.look(for: cost, at: told - 1, under: policy).isAllowed)
        #expect(bucket.take(cost, at: told, under: policy).isAllowed)
        if cost == 1 { #expect(refusal.wait == refusal.timeToNext) }
        if cost == 3 { #expect(refusal.wait == refusal.timeToFull) }
      }
    }
  }

  @Test func `asking at odd moments for an hour neither gains nor loses a token`() {
    var random = SystemRandomNumberGenerator()
    let policy = Self.sevenths
    var bucket = Self.empty(policy)
    var (now, taken): (Int64, Int64) = (0, 0)
    while now < 3600 * Self.second {
      now = min(now + .random(in: 0...Self.second / 50, using: &random), 3600 * Self.second)
      if bucket.take(at: now, under: policy).isAllowed { taken += 1 }
    }
    #expect(taken == 7 * 60)
  }

  @Test func `a clock that goes backwards neither gives nor takes`() {
    let policy = Self.sevenths
    var bucket = Self.empty(policy, at: 100 * Self.second)
    for now: Int64 in [99 * Self.second, 0, -Self.second, .min, 100 * Self.second] {
      #expect(!bucket.take(at: now, under: policy).isAllowed)
      #expect(bucket.look(at: now, under: policy).timeToFull == 25_714_285_715)
    }
  }

  @Test func `idling until the end of time fills a bucket, and no more`() {
    for start: Int64 in [.min, -1, 0] {
      for policy in [Self.sevenths, RateLimitPolicy(.workspace, quota: .max, burst: 100_000)] {
        var bucket = Self.empty(policy, at: start)
        let answer = bucket.take(at: .max, under: policy)
        #expect(answer.remaining == policy.burst - 1)
      }
    }
  }

  @Test func `a decision tells when there is more and when all is back`() {
    let policy = RateLimitPolicy(.address, quota: 60, burst: 30)
    var bucket = TokenBucket(policy, at: 0)
    let untouched = bucket.look(at: 0, under: policy)
    #expect(untouched.remaining == 30)
    #expect((untouched.timeToNext, untouched.timeToFull, untouched.wait) == (0, 0, 0))
    _ = bucket.take(10, at: 0, under: policy)
    let later = bucket.look(at: Self.second / 4, under: policy)
    #expect(later.remaining == 20)
    #expect(later.timeToNext == Self.second * 3 / 4)
    #expect(later.timeToFull == Self.second * 39 / 4)
    #expect(later.wait == 0)
  }
}
