import FoundationEssentials
import HTTPTypes
import Testing

@testable import ControlPlane

@Suite struct RateLimitFieldsTests {
  private static let start = ContinuousClock.now

  /// What is sent, line by line.
  private static func lines(_ decision: RateLimitDecision?, _ limiter: RateLimiter) -> [String] {
    var fields: HTTPFields = [:]
    if let decision { RateLimitFields(limiter).append(decision, to: &fields) }
    return fields.map { "\($0.name): \($0.value)" }
  }

  @Test func `a refusal says when to come back, not earlier than t and never at once`() {
    let limiter = RateLimiter(
      principal: RateLimitPolicy(.principal, quota: 7, burst: 1), origin: Self.start)
    let caller = UUID()
    _ = limiter.check(principal: caller, at: Self.start)
    // A token in 8.57 s.
    for (elapsed, seconds) in [(0, 9), (571_428_571, 9), (571_428_572, 8), (8_571_428_571, 1)] {
      let now = Self.start + .nanoseconds(elapsed)
      #expect(
        Self.lines(limiter.check(principal: caller, at: now), limiter) == [
          "RateLimit-Policy: \"principal\";q=7;w=60, \"workspace\";q=30000;w=60",
          "RateLimit: \"principal\";r=0;t=\(seconds)", "Retry-After: \(seconds)",
        ])
    }
    let back = limiter.check(principal: caller, at: Self.start + .nanoseconds(8_571_428_572))
    #expect(Self.lines(back, limiter).count == 2)
  }

  @Test func `a caller within the limits reads what is left of the tightest`() {
    let limiter = RateLimiter(origin: Self.start)
    let decision = limiter.check(principal: UUID(), workspace: UUID(), at: Self.start)
    #expect(
      Self.lines(decision, limiter) == [
        "RateLimit-Policy: \"principal\";q=6000;w=60, \"workspace\";q=30000;w=60",
        "RateLimit: \"principal\";r=999;t=1",
      ])
  }

  @Test func `who fails to authenticate reads about the address, and nothing of callers`() {
    let limiter = RateLimiter(origin: Self.start)
    for _ in 0..<30 { limiter.failedAttempt(address: "192.0.2.1", at: Self.start) }
    let refusal = limiter.admitsAttempt(address: "192.0.2.1", at: Self.start)
    #expect(
      Self.lines(refusal, limiter) == [
        "RateLimit-Policy: \"address\";q=60;w=60", "RateLimit: \"address\";r=0;t=1",
        "Retry-After: 1",
      ])
  }

  @Test func `what is there already stays`() throws {
    let limiter = RateLimiter(origin: Self.start)
    var fields: HTTPFields = [.cacheControl: "no-store"]
    let decision = try #require(limiter.check(principal: UUID(), at: Self.start))
    RateLimitFields(limiter).append(decision, to: &fields)
    #expect(fields[.cacheControl] == "no-store")
    #expect(fields[.rateLimit] == "\"principal\";r=999;t=1")
  }
}
