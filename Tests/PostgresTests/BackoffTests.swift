import Testing

@testable import Postgres

struct BackoffTests {
  @Test func `delays double up to the limit`() {
    var backoff = Backoff(first: .milliseconds(10), limit: .milliseconds(60))
    let delays = (0..<5).map { _ in backoff.next(random: 0) }
    #expect(delays == [5, 10, 20, 30, 30].map { .milliseconds($0) })
  }

  @Test func `jitter stays between half and all of a delay`() {
    for random in [0, 0.25, 0.5, 0.999_999] {
      var backoff = Backoff(first: .milliseconds(10), limit: .seconds(1))
      let delay = backoff.next(random: random)
      #expect(delay >= .milliseconds(5) && delay < .milliseconds(10))
    }
  }

  @Test func `only a success that lasted starts over`() {
    var backoff = Backoff(first: .milliseconds(10), limit: .seconds(1))
    _ = backoff.next(random: 0)
    backoff.succeeded(for: .milliseconds(999))
    #expect(backoff.next(random: 0) == .milliseconds(10))
    backoff.succeeded(for: .seconds(1))
    #expect(backoff.next(random: 0) == .milliseconds(5))
  }

  @Test func `a very long outage does not overflow`() {
    var backoff = Backoff()
    for _ in 0..<10_000 { #expect(backoff.next(random: 0.5) <= .seconds(1)) }
  }
}
