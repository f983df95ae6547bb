import Cryptography
import Domain
public import FoundationEssentials
import JSON

/// Evidence of one request: who asked for what, how it was decided, and what it came to.
public struct RequestRecord: Sendable {
  /// Such as `log_…`; holds the time of the request. Made here once, so that a record which is sent again is known again.
  public let id: String
  /// When the request came.
  public let occurredAt: Date
  /// Such as `prj_…`.
  public let projectID: String
  /// Such as `key_…`.
  public let keyID: String
  /// Whether it passed, and why.
  public let decision: GatewayDecision
  /// The upstream provider by its name.
  public let provider: String
  /// As the client named it.
  public let model: String
  /// How many tokens it asked for.
  public let tokensRequested: Int64?
  let address: String?
  let country: String?
  /// The path that was asked for, such as `/v1/chat/completions`.
  public var route: String?
  /// Tokens of the prompt, as the upstream counted them.
  public var tokensIn: Int64?
  /// Tokens of the answer, as the upstream counted them.
  public var tokensOut: Int64?
  /// What it cost, in millionths of a dollar.
  public var costMicroUSD: Int64?
  /// Of HTTP, as the client saw it.
  public var status: Int?
  /// From the request to the end of the answer.
  public var latencyMilliseconds: Int64?

  /// What is known when a request was decided. The rest is set when it is known.
  ///
  /// - Returns: nil when the request's key is none: there is no project then that it could be evidence of.
  public init?(_ request: GatewayRequest, _ decision: GatewayDecision) {
    let key: VerifiedKey
    switch request.key {
    case .valid(let verified), .expired(let verified): key = verified
    case .malformed, .unknown: return nil
    }
    occurredAt = request.time
    var random = SecureRandomNumberGenerator()
    id = TypeID<LoggedRequest>(.version7(at: Timestamp(request.time), using: &random)).description
    projectID = key.projectID
    keyID = key.id
    self.decision = decision
    provider = request.provider
    model = request.model
    tokensRequested = request.tokens
    address = request.address?.description
    country = request.country?.description
  }

  var json: JSONObject {
    var object = JSONObject()
    object.set("id", id)
    object.set("occurred_at", Timestamp(occurredAt).rfc3339)
    object.set("project_id", projectID)
    object.set("key_id", keyID)
    object.set("decision", decision.isAllowed ? "allow" : "block")
    if let reason = decision.reason { object.set("reason", reason.rawValue) }
    if let rule = decision.ruleID { object.set("rule_id", rule) }
    // Whatever a client asks for, there is evidence of it.
    if let route {
      object.set("route", EvidenceText.kept(route, longest: EvidenceText.longestRoute))
    }
    object.set(
      "provider", EvidenceText.kept(provider, longest: EvidenceText.longestProvider))
    object.set("model", EvidenceText.kept(model, longest: EvidenceText.longestModel))
    if let country { object.set("country", country) }
    if let address { object.set("address", address) }
    // So are numbers that clients choose, and those that upstreams and clocks get wrong.
    let numbers: [(StaticString, Int64?, ClosedRange<Int64>)] = [
      ("tokens_requested", tokensRequested, EvidenceBounds.tokens),
      ("tokens_in", tokensIn, EvidenceBounds.tokens),
      ("tokens_out", tokensOut, EvidenceBounds.tokens),
      ("cost_micro_usd", costMicroUSD, EvidenceBounds.costMicroUSD),
      ("status", status.map { Int64($0) }, EvidenceBounds.status),
      ("latency_ms", latencyMilliseconds, EvidenceBounds.latencyMilliseconds),
    ]
    for (name, number, bounds) in numbers {
      if let number { object.set(name, bounds.nearest(to: number)) }
    }
    object.set("configuration_position", decision.position)
    return object
  }
}

extension ClosedRange<Int64> {
  /// The number, or the end of the range that it is nearest to.
  fileprivate func nearest(to number: Int64) -> Int64 {
    Swift.min(Swift.max(number, lowerBound), upperBound)
  }
}

/// Names records of evidence.
private enum LoggedRequest: Identified {
  static let idPrefix = "log"
}
