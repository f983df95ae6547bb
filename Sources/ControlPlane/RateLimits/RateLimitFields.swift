package import HTTPTypes

extension HTTPField.Name {
  package static let rateLimit = HTTPField.Name("RateLimit")!
  package static let rateLimitPolicy = HTTPField.Name("RateLimit-Policy")!
}

/// The header fields that tell a caller how much is left: draft-ietf-httpapi-ratelimit-headers-10,
/// whose lists of items are Structured Fields (RFC 9651).
///
/// `RateLimit-Policy` lists what applies to the caller, always in the same words; `RateLimit` says
/// where they stand with the tightest of them. `t` is the time to the next token, which is both what
/// -10 calls `t` (more quota comes) and what -11 does (no more than `r` are good for so long).
package struct RateLimitFields: Sendable {
  private let callers: HTTPField
  private let attempts: HTTPField
  private let mails: HTTPField
  private let appends: HTTPField

  /// Writes the policies down, once.
  package init(_ limiter: RateLimiter) {
    func list(_ kinds: RateLimitPolicy.Kind...) -> HTTPField {
      let items = kinds.map(limiter.policy).map {
        "\"\($0.kind.rawValue)\";q=\($0.quota)\($0.kind.unit.map { ";qu=\"\($0)\"" } ?? "");w=\($0.window)"
      }
      return HTTPField(name: .rateLimitPolicy, value: items.joined(separator: ", "))
    }
    callers = list(.principal, .workspace)
    attempts = list(.address)
    mails = list(.invitation, .inviter, .recipient, .mail)
    appends = list(.append)
  }

  /// Appends `RateLimit-Policy` and `RateLimit`, and to a refusal `Retry-After` (RFC 9110 §10.2.3),
  /// which is never earlier than `t` (§6 of the draft).
  package func append(_ decision: RateLimitDecision, to fields: inout HTTPFields) {
    switch decision.policy.kind {
    case .principal, .workspace: fields.append(callers)
    case .address: fields.append(attempts)
    case .invitation, .inviter, .recipient, .mail: fields.append(mails)
    case .append: fields.append(appends)
    }
    fields.append(HTTPField(name: .rateLimit, value: Self.item(decision)))
    if !decision.isAllowed {
      fields.append(HTTPField(name: .retryAfter, value: "\(Self.seconds(decision.wait))"))
    }
  }

  private static func item(_ decision: RateLimitDecision) -> String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(64)
    bytes.append("\"")
    bytes.append(contentsOf: decision.policy.kind.rawValue.utf8)
    bytes.append("\";r=")
    bytes.append(decimal: decision.remaining)
    bytes.append(";t=")
    bytes.append(decimal: seconds(decision.timeToNext))
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Rounded up, and at least 1: who is told 0 would ask again at once.
  private static func seconds(_ nanoseconds: Int64) -> Int64 {
    max(1, (nanoseconds + 999_999_999) / 1_000_000_000)
  }
}
