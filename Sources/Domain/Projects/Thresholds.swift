/// The limits above which the data plane holds a project's traffic back. Nil means no limit.
package struct Thresholds: Equatable, Sendable, Codable {
  /// Requests a minute.
  package var rateLimit: Int64?
  /// Suspicious requests a minute before a key is held back.
  package var abuseThreshold: Int64?
  /// Tokens that one request may ask for.
  package var maxTokens: Int64?
  package var loopSensitivity: LoopSensitivity

  /// How readily repeated requests are taken for a loop. The raw values are stored.
  package enum LoopSensitivity: String, Sendable, Codable, CaseIterable {
    case off, low, medium, high
  }

  /// Limits as given; a project starts without any.
  package init(
    rateLimit: Int64? = nil, abuseThreshold: Int64? = nil, maxTokens: Int64? = nil,
    loopSensitivity: LoopSensitivity = .off
  ) {
    self.rateLimit = rateLimit
    self.abuseThreshold = abuseThreshold
    self.maxTokens = maxTokens
    self.loopSensitivity = loopSensitivity
  }

  private enum CodingKeys: String, CodingKey {
    case rateLimit = "rate_limit"
    case abuseThreshold = "abuse_threshold"
    case maxTokens = "max_tokens"
    case loopSensitivity = "loop_sensitivity"
  }
}

/// What a caller wants to change of the thresholds: the outer nil leaves one as it is, the inner nil lifts it.
package struct ThresholdChanges: Equatable, Sendable {
  package var rateLimit: Int64??
  package var abuseThreshold: Int64??
  package var maxTokens: Int64??
  package var loopSensitivity: Thresholds.LoopSensitivity?

  /// No change at all, to be filled in.
  package init() {}

  func applied(to thresholds: Thresholds) -> Thresholds {
    Thresholds(
      rateLimit: rateLimit ?? thresholds.rateLimit,
      abuseThreshold: abuseThreshold ?? thresholds.abuseThreshold,
      maxTokens: maxTokens ?? thresholds.maxTokens,
      loopSensitivity: loopSensitivity ?? thresholds.loopSensitivity)
  }
}
