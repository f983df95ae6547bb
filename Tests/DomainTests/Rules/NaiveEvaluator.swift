import Support

@testable import Domain

/// The same decisions in the most simple way: looks at every rule, and shares no code with the other one.
struct NaiveEvaluator {
  let rules: [RuleID: Rule]

  func decide(_ request: RequestDescription) -> Domain.Decision {
    var decision = Domain.Decision(isAllowed: true)
    let steps: [(DecisionStep, (Rule) -> [Int]?)] = [
      (.network, { Self.rank(network: $0, request) }),
      (.geography, { Self.rank(geography: $0, request) }),
      (.model, { Self.rank(model: $0, request) }),
    ]
    for (step, rank) in steps {
      let candidates = rules.compactMap {
        id, rule -> (id: RuleID, effect: Rule.Effect, rank: [Int])? in
        guard rule.expiresAt == nil || request.time < rule.expiresAt!, let rank = rank(rule) else {
          return nil
        }
        return (id, rule.effect, rank + [rule.effect == .deny ? 1 : 0])
      }
      let best = candidates.max { left, right in
        left.rank == right.rank
          ? right.id.uuid < left.id.uuid : left.rank.lexicographicallyPrecedes(right.rank)
      }
      guard let best else { continue }
      decision = Domain.Decision(isAllowed: best.effect == .allow, step: step, rule: best.id)
      if best.effect == .deny { return decision }
    }
    return decision
  }

  /// Of two that match, the one of higher rank decides; nil for one that does not match.
  private static func rank(network rule: Rule, _ request: RequestDescription) -> [Int]? {
    guard case .network(let network) = rule.match, let address = request.address,
      address.isIPv4 == network.base.isIPv4
    else { return nil }
    let skipped = address.isIPv4 ? 96 : 0
    let begins = (0..<network.prefixLength).allSatisfy { bit in
      let shift = UInt128(127 - skipped - bit)
      return address.bits >> shift & 1 == network.base.bits >> shift & 1
    }
    return begins ? [network.prefixLength] : nil
  }

  private static func rank(geography rule: Rule, _ request: RequestDescription) -> [Int]? {
    switch rule.match {
    case .country(let country): country == request.country ? [1] : nil
    case .region(.unknown): request.country == nil ? [0] : nil
    case .region(let region): request.country.map(region.countries.contains) == true ? [0] : nil
    case .network, .model: nil
    }
  }

  private static func rank(model rule: Rule, _ request: RequestDescription) -> [Int]? {
    guard case .model(let provider, let pattern) = rule.match,
      provider.description == "*" || provider.description == request.provider,
      Self.matches(Array(pattern.description.utf8), Array(request.model.lowercased().utf8))
    else { return nil }
    let stars = pattern.description.count { $0 == "*" }
    return [pattern.description.count - stars, -stars, provider.description == "*" ? 0 : 1]
  }

  /// Byte by byte, with every prefix of the pattern that can have matched what was read.
  static func matches(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
    let star = UInt8(ascii: "*")
    func withStars(_ places: [Bool]) -> [Bool] {
      var places = places
      for place in pattern.indices where places[place] && pattern[place] == star {
        places[place + 1] = true
      }
      return places
    }
    var reached = [Bool](repeating: false, count: pattern.count + 1)
    reached[0] = true
    reached = withStars(reached)
    for byte in name {
      var next = [Bool](repeating: false, count: pattern.count + 1)
      for place in pattern.indices where reached[place] {
        if pattern[place] == star { next[place] = true }
        if pattern[place] == byte { next[place + 1] = true }
      }
      reached = withStars(next)
    }
    return reached[pattern.count]
  }
}

// Little to choose from, so that rules meet.
extension NaiveEvaluator {
  private static let countries = ["DE", "FR", "US", "CA", "JP"].compactMap { Country($0) }
  private static let regions = [Region.europe, .northAmerica, .asia, .unknown]
  private static let providers = ["openai", "anthropic"]
  private static let patterns: [ProviderPattern] = ["openai", "anthropic", "*"]

  static func rule(_ random: inout SeededGenerator) -> Rule {
    let match: Rule.Match
    switch Int.random(in: 0..<6, using: &random) {
    case 0...2:
      let address = address(&random)
      let lengths =
        address.isIPv4 ? [0, 1, 8, 15, 16, 23, 24, 30, 31, 32] : [0, 1, 32, 64, 127, 128]
      let length = lengths.randomElement(using: &random) ?? 0
      match = .network(Network(address, prefixLength: length)!)
    case 3: match = .country(countries.randomElement(using: &random) ?? countries[0])
    case 4: match = .region(regions.randomElement(using: &random) ?? .asia)
    default:
      let provider = patterns.randomElement(using: &random) ?? .any
      match = .model(provider: provider, ModelPattern(text("ab*", 1...6, &random))!)
    }
    let expiry = [nil, nil, 99, 100, 101].randomElement(using: &random) ?? nil
    return EvaluationTests.rule(
      match, Bool.random(using: &random) ? .allow : .deny,
      until: expiry.map { Scenario.time(Int64($0)) })
  }

  static func request(_ random: inout SeededGenerator) -> RequestDescription {
    RequestDescription(
      address: Int.random(in: 0..<10, using: &random) == 0 ? nil : address(&random),
      country: Int.random(in: 0..<5, using: &random) == 0
        ? nil : countries.randomElement(using: &random),
      provider: providers.randomElement(using: &random) ?? "",
      model: text("abAB", 0...8, &random), time: Scenario.time(100))
  }

  private static func address(_ random: inout SeededGenerator) -> IPAddress {
    let low = UInt128.random(in: 0..<4, using: &random)
    let middle = UInt128.random(in: 0..<3, using: &random)
    let end = [0, 0, 0xFF].randomElement(using: &random) ?? 0
    return Bool.random(using: &random)
      ? IPAddress(
        bits: 0xFFFF << 32 | (10 + low / 2) << 24 | middle << 16 | UInt128(end) << 8 | low)
      : IPAddress(bits: (0x2001_0db8 + low / 2) << 96 | middle << 64 | UInt128(end) << 8 | low)
  }

  private static func text(
    _ letters: String, _ count: ClosedRange<Int>, _ random: inout SeededGenerator
  ) -> String {
    String(
      (0..<Int.random(in: count, using: &random)).map { _ in letters.randomElement(using: &random)!
      })
  }
}
