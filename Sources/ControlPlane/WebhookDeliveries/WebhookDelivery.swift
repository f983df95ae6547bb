package import Domain
import FoundationEssentials

/// One event on its way to one endpoint.
struct WebhookDelivery: Equatable, Sendable {
  /// The raw values are stored.
  enum Status: String, Sendable, CaseIterable {
    case pending, delivered
    /// Given up: it is sent again only when somebody asks for it.
    case dead
  }

  /// What became of the last attempt.
  struct Result: Equatable, Sendable {
    let at: Timestamp
    /// Nil when nothing was answered.
    let responseStatus: Int?
    /// The beginning of what was answered, as text.
    let responseExcerpt: String?
    /// Why it is no success; nil when it is.
    let failure: String?
    /// In milliseconds.
    let duration: Int64
  }

  /// Of the event, or of the ping: `webhook-id`, the same for all attempts.
  let id: EventID
  /// Nil for a ping.
  let position: Int64?
  let eventType: String
  let status: Status
  let attempts: Int
  /// Nil unless it is pending.
  let nextAttemptAt: Timestamp?
  let last: Result?
  let createdAt: Timestamp
  let finishedAt: Timestamp?

  /// What a ping says that it is.
  static let pingType = "webhook.ping"
}

/// When attempts are made, as the Standard Webhooks 1.0.0 recommend.
package enum WebhookSchedule {
  /// Between one attempt and the next.
  static let delays: [Duration] = [
    .seconds(5), .seconds(300), .seconds(1800), .seconds(7200), .seconds(18_000), .seconds(36_000),
    .seconds(50_400), .seconds(72_000), .seconds(86_400),
  ]

  /// The longest that a receiver can have us wait.
  private static let maxWait: Duration = .seconds(86_400)

  /// How long to wait after so many attempts, a tenth more or less, so that those who failed together do not come back together;
  /// nil when there is to be no other.
  ///
  /// - Parameter retryAfter: what the receiver asked for (RFC 9110, section 10.2.3). Seconds count when they are more than the
  ///   schedule says, up to a day; a date is not looked at.
  package static func delay(
    afterAttempts attempts: Int, retryAfter: String? = nil, random: Double = .random(in: -0.1...0.1)
  ) -> Duration? {
    guard delays.indices.contains(attempts - 1) else { return nil }
    let wanted = retryAfter.flatMap { UInt32($0) }.map { min(Duration.seconds($0), maxWait) }
    return max(delays[attempts - 1] * (1 + random), wanted ?? .zero)
  }
}
