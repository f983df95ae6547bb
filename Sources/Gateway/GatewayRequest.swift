package import Domain
public import FoundationEssentials

/// A request to a model, as far as deciding about it needs.
public struct GatewayRequest: Sendable {
  /// What ``GatewayClient/verify(key:)`` said of the key that it was sent with.
  public var key: KeyVerification
  /// The upstream provider by its name, in capital or small letters.
  public var provider: String
  /// The model by its name, as the client wrote it.
  public var model: String
  /// How many tokens it asks for; nil when it does not say.
  public var tokens: Int64?
  /// When it came: rules, keys and panic mode have ends.
  public var time: Date
  package var address: IPAddress?
  package var country: Country?

  /// - Parameters:
  ///   - address: the client's IPv4 or IPv6 address, without a port. Nil only when there is none to know: rules about
  ///     addresses have nothing to say then.
  ///   - country: where the client is, as ISO 3166-1 alpha-2, or `XK`. With nil, or a code that names no country (`XX`, `T1`,
  ///     `EU`, …), the request counts as one from the region `unknown`, about which there may be rules.
  /// - Returns: nil when the address is none: what cannot be understood must not pass by the rules.
  public init?(
    key: KeyVerification, address: String?, country: String? = nil, provider: String,
    model: String, tokens: Int64? = nil, time: Date = Date()
  ) {
    if let address {
      guard let read = IPAddress(address) else { return nil }
      self.address = read
    }
    self.country = country.flatMap { Country(observed: $0) }
    self.key = key
    self.provider = provider
    self.model = model
    self.tokens = tokens
    self.time = time
  }
}

/// What an API key is, or why it is none.
public enum KeyVerification: Hashable, Sendable {
  case valid(VerifiedKey)
  /// It is not written as keys are: mistyped, or something else.
  case malformed
  /// It is none, or was revoked.
  case unknown
  case expired(VerifiedKey)

  /// The key, if it may be used.
  public var key: VerifiedKey? {
    if case .valid(let key) = self { key } else { nil }
  }
}

/// An API key that there is: whose it is, not the key itself.
public struct VerifiedKey: Hashable, Sendable {
  /// Such as `key_…`.
  public let id: String
  package let organization: OrganizationID
  package let project: ProjectID

  /// Such as `org_…`.
  public var organizationID: String { organization.description }
  /// Such as `prj_…`.
  public var projectID: String { project.description }
}

/// Whether a request may pass, and why.
public struct GatewayDecision: Hashable, Sendable {
  /// What decided: a step of the evaluation, or a counter of the gateway's own. The raw values are the contract's names.
  public enum Reason: String, Sendable, CaseIterable {
    case key, plan, quota
    case panicMode = "panic_mode"
    case network, geography, model
    case maxTokens = "max_tokens"
    case rateLimit = "rate_limit"
    case abuse, loop, budget
  }

  /// Whether the request may pass.
  public let isAllowed: Bool
  /// Nil when nothing had anything to say, and the request passes.
  public let reason: Reason?
  /// The rule that decided, when a rule did.
  public let ruleID: String?
  /// The position of the configuration that decided.
  public let position: Int64

  /// A decision of the gateway's own, for instance by a counter of its requests.
  public init(isAllowed: Bool, reason: Reason?, ruleID: String? = nil, position: Int64) {
    self.isAllowed = isAllowed
    self.reason = reason
    self.ruleID = ruleID
    self.position = position
  }

  init(_ decision: Decision, position: Int64) {
    self.init(
      isAllowed: decision.isAllowed, reason: decision.step.map(Reason.init),
      ruleID: decision.rule?.description, position: position)
  }
}

extension GatewayDecision.Reason {
  init(_ step: DecisionStep) {
    self =
      switch step {
      case .key: .key
      case .plan: .plan
      case .quota: .quota
      case .panicMode: .panicMode
      case .network: .network
      case .geography: .geography
      case .model: .model
      case .maxTokens: .maxTokens
      }
  }
}

/// What a project's traffic is held to by counters, which are the gateway's own.
public struct ProjectSettings: Hashable, Sendable {
  /// How readily repeated requests are taken for a loop.
  public enum LoopSensitivity: String, Sendable {
    case off, low, medium, high
  }

  /// Whether its traffic is real, or a test.
  public let isLive: Bool
  /// Requests a minute; nil means no limit.
  public let rateLimit: Int64?
  /// Suspicious requests a minute before a key is held back; nil means no limit.
  public let abuseThreshold: Int64?
  /// Tokens that one request may ask for; nil means no limit. Evaluation looks at it.
  public let maxTokens: Int64?
  /// For the gateway's own detection of loops.
  public let loopSensitivity: LoopSensitivity
  /// The budget in requests a calendar month; nil when there is none.
  public let requestsPerMonth: Int64?
  /// The budget in micro-USD a calendar month; nil when there is none.
  public let costPerMonth: Int64?
}

extension Timestamp {
  init(_ date: Date) {
    self.init(clamping: Int64(saturating: date.timeIntervalSince1970 * 1_000_000))
  }
}
