/// How long to wait before trying again: exponential, with full jitter, so that gateways which lost their connections
/// together do not come back together (Marc Brooker, "Exponential Backoff and Jitter", 2015).
package struct Backoff: Sendable {
  /// The longest wait after the first failure.
  package var base: Duration
  /// The longest wait ever.
  package var most: Duration

  package init(base: Duration = .milliseconds(500), most: Duration = .seconds(30)) {
    self.base = base
    self.most = most
  }

  /// The longest wait after so many failures in a row: it doubles with each. At least what the server asked for.
  package func limit(afterFailures failures: Int, atLeast floor: Duration = .zero) -> Duration {
    guard failures > 0 else { return floor }
    let doublings = min(failures - 1, 30)
    return max(floor, min(most, base * (1 << doublings)))
  }

  /// Anything from what the server asked for to the limit, all equally likely.
  package func delay(
    afterFailures failures: Int, atLeast floor: Duration = .zero,
    using generator: inout some RandomNumberGenerator
  ) -> Duration {
    let limit = limit(afterFailures: failures, atLeast: floor)
    let span = limit - floor
    return floor + span * Double.random(in: 0...1, using: &generator)
  }

  func delay(afterFailures failures: Int, atLeast floor: Duration = .zero) -> Duration {
    var generator = SystemRandomNumberGenerator()
    return delay(afterFailures: failures, atLeast: floor, using: &generator)
  }
}
