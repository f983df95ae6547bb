import Domain
import FoundationEssentials
import Gateway
import JSON

/// A request that is decided about here and there.
struct DecisionSample {
  /// Of each kind, for the workspace and for the project, some against others.
  static let rules: [(isOfProject: Bool, members: String)] = [
    (false, #""network":"203.0.113.0/24","effect":"deny""#),
    (true, #""network":"203.0.113.128/25","effect":"allow""#),
    (true, #""network":"2001:db8::/32","effect":"deny""#),
    (false, #""country":"KP","effect":"deny""#), (true, #""region":"europe","effect":"deny""#),
    (true, #""country":"DE","effect":"allow""#),
    (false, #""provider":"openai","model":"o1*","effect":"deny""#),
    (true, #""provider":"anthropic","model":"*","effect":"deny""#),
    (true, #""provider":"anthropic","model":"claude-3*","effect":"allow""#),
  ]

  private let address: String?
  private let country: String?
  private let provider: String
  private let model: String
  private let tokens: Int64?
  private let time: Timestamp

  /// - Parameter instant: near it are the times of the requests.
  init(around instant: Timestamp, using random: inout some RandomNumberGenerator) {
    address = [
      nil, "192.0.2.1", "203.0.113.5", "203.0.113.200", "2001:db8::1", "2001:db9::1",
    ].randomElement(using: &random)!
    country = [nil, "KP", "DE", "FR", "US"].randomElement(using: &random)!
    provider = ["openai", "anthropic", "mistral"].randomElement(using: &random)!
    model = ["gpt-4o", "gpt-5", "o1-mini", "claude-3-haiku", "claude-4"]
      .randomElement(using: &random)!
    tokens = [nil, 10, 1000, 1001].randomElement(using: &random)!
    // Most are behind the end of panic mode, or they would all be decided by it.
    let seconds = Int64.random(in: -100...600, using: &random)
    time = Timestamp(clamping: instant.microseconds + seconds * 1_000_000)
  }

  /// Of `rules:evaluate`.
  var body: String {
    var object: [String: JSONValue] = [
      "provider": .string(provider), "model": .string(model), "time": .string(time.rfc3339),
    ]
    if let address { object["address"] = .string(address) }
    if let country { object["country"] = .string(country) }
    if let tokens { object["tokens"] = .integer(tokens) }
    return String(decoding: JSONValue.object(object).canonicalBytes(), as: UTF8.self)
  }

  func request(_ key: KeyVerification) -> GatewayRequest? {
    GatewayRequest(
      key: key, address: address, country: country, provider: provider, model: model,
      tokens: tokens,
      time: Date(timeIntervalSince1970: Double(time.microseconds) / 1_000_000))
  }
}
