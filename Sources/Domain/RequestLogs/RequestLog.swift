package import FoundationEssentials

package typealias RequestLogID = TypeID<RequestLog>

/// Evidence of one request, as the gateway that decided about it reports it. Not an event: there are too many, and nothing
/// follows from one of them.
package struct RequestLog: Equatable, Sendable, Identified {
  package static let idPrefix = "log"

  /// The raw values are stored, and the contract's names.
  package enum Decision: String, Sendable, CaseIterable {
    case allow, block
  }

  /// What decided: a step of the evaluator, or one of the counters that only data planes have. The raw values are stored,
  /// and the contract's names.
  package enum Reason: String, Sendable, CaseIterable {
    case key, plan, quota
    case panicMode = "panic_mode"
    case network, geography, model
    case maxTokens = "max_tokens"
    case rateLimit = "rate_limit"
    case abuse, loop, budget

    /// The evaluator's step; nil for counters.
    package var step: DecisionStep? { DecisionStep(rawValue: rawValue) }
  }

  package let id: RequestLogID
  package let projectID: ProjectID
  package let keyID: APIKeyID?
  package let decision: Decision
  /// Nil when nothing had anything to say, and the request passed.
  package let reason: Reason?
  package let ruleID: RuleID?
  /// The path that was asked for, e.g. `/v1/chat/completions`.
  package let route: String?
  package let provider: String
  package let model: String
  /// Nil when it is not known, or what was reported is no country.
  package let country: Country?
  package let region: Region
  package let address: IPAddress?
  /// How many tokens the request asked for.
  package let tokensRequested: Int64?
  package let tokensIn: Int64?
  package let tokensOut: Int64?
  package let costMicroUSD: Int64?
  /// Of HTTP, as the client saw it.
  package let status: Int32?
  package let latencyMilliseconds: Int64?
  /// The position of the log that the gateway's configuration had.
  package let configurationPosition: Int64

  package init(
    id: RequestLogID, projectID: ProjectID, keyID: APIKeyID?, decision: Decision,
    reason: Reason?, ruleID: RuleID?, route: String?, provider: String, model: String,
    country: Country?, region: Region, address: IPAddress?, tokensRequested: Int64?,
    tokensIn: Int64?, tokensOut: Int64?, costMicroUSD: Int64?, status: Int32?,
    latencyMilliseconds: Int64?, configurationPosition: Int64
  ) {
    self.id = id
    self.projectID = projectID
    self.keyID = keyID
    self.decision = decision
    self.reason = reason
    self.ruleID = ruleID
    self.route = route
    self.provider = provider
    self.model = model
    self.country = country
    self.region = region
    self.address = address
    self.tokensRequested = tokensRequested
    self.tokensIn = tokensIn
    self.tokensOut = tokensOut
    self.costMicroUSD = costMicroUSD
    self.status = status
    self.latencyMilliseconds = latencyMilliseconds
    self.configurationPosition = configurationPosition
  }

  /// When the request came, to the millisecond.
  package var time: Timestamp { id.time }
}

extension TypeID<RequestLog> {
  /// The milliseconds in front of a UUID of version 7 (RFC 9562, section 5.7). The row's place follows from it, so that
  /// whoever sends a record again meets the one that is there.
  package var time: Timestamp {
    Timestamp(clamping: Int64(UInt128(uuid) >> 80) * 1000)
  }

  /// Whether the UUID is one of version 7, and so has a time.
  package var hasTime: Bool {
    let number = UInt128(uuid)
    return number >> 76 & 0xF == 7 && number >> 62 & 0b11 == 0b10
  }

  /// Reads the external form straight from UTF-8.
  package init?(utf8: UnsafeRawBufferPointer) {
    self.init(String(decoding: utf8, as: UTF8.self))
  }
}
