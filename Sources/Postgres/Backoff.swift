/// When to try again, purely: doubling delays with jitter, so that replicas do not come in step.
package struct Backoff: Sendable, Hashable {
  package let first: Duration
  package let limit: Duration
  private var doublings = 0

  package init(first: Duration = .milliseconds(10), limit: Duration = .seconds(1)) {
    self.first = first
    self.limit = limit
  }

  /// The delay before the next attempt: between half and all of the doubled one.
  ///
  /// - Parameter random: uniform in `0..<1`.
  package mutating func next(random: Double) -> Duration {
    var delay = first
    for _ in 0..<doublings where delay < limit { delay *= 2 }
    delay = min(delay, limit)
    if delay < limit { doublings += 1 }
    return delay / 2 + delay / 2 * random
  }

  /// Starts over, but only after a success that lasted: a server that accepts every connection and
  /// drops it at once must not be hammered.
  ///
  /// - Parameter uptime: how long the success lasted.
  package mutating func succeeded(for uptime: Duration) {
    if uptime >= limit { doublings = 0 }
  }
}
