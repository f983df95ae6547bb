import Domain
import FoundationEssentials

/// How many requests a second are decided about on one core, against 1,000 ip rules, 50 geo rules and 200 model rules.
/// Prints a JSON object.
@main
enum EvaluatorBench {
  private static let seconds = 2.0

  static func main() {
    var random = SplitMix64(state: 20_261_126)
    let controls = Controls(
      rules: RuleSet(rules(using: &random)), thresholds: Thresholds(maxTokens: 8000))
    let requests = (0..<65_536).map { _ in request(using: &random) }
    var count = 0
    var allowed = 0
    let start = ContinuousClock.now
    var elapsed = Duration.zero
    while elapsed < .seconds(seconds) {
      for request in requests where controls.decide(request).isAllowed { allowed += 1 }
      count += requests.count
      elapsed = ContinuousClock.now - start
    }
    let nanoseconds = Double(elapsed / .nanoseconds(1))
    let perSecond = Double(count) / nanoseconds * 1e9
    print(
      #"{"per_second":\#(Int(perSecond)),"allowed":\#(Double(allowed) / Double(count))}"#)
  }

  private static func rules(using random: inout SplitMix64) -> [RuleID: Rule] {
    var rules: [RuleID: Rule] = [:]
    func add(_ match: Rule.Match) {
      let effect: Rule.Effect = Int.random(in: 0..<4, using: &random) == 0 ? .deny : .allow
      rules[RuleID(UUID(number: rules.count))] = Rule(
        match: match, effect: effect, createdBy: .system, createdAt: now, updatedAt: now)
    }
    while rules.count < 1000 {
      let isOld = Bool.random(using: &random)
      let address = isOld ? version4(using: &random) : version6(using: &random)
      let length = Int.random(in: isOld ? 8...32 : 16...128, using: &random)
      if let network = Network("\(address)/\(length)") { add(.network(network)) }
    }
    for country in Region.allCases.flatMap(\.countries).prefix(44) { add(.country(country)) }
    for region in Region.allCases.prefix(6) { add(.region(region)) }
    for number in 0..<200 {
      let name = number % 2 == 0 ? "model-\(number)" : "model-\(number)-*"
      if let pattern = ModelPattern(name), let provider = ProviderPattern("openai") {
        add(.model(provider: provider, pattern))
      }
    }
    return rules
  }

  private static func request(using random: inout SplitMix64) -> RequestDescription {
    let address =
      Bool.random(using: &random) ? version4(using: &random) : version6(using: &random)
    let country = Region.allCases.flatMap(\.countries).randomElement(using: &random)
    return RequestDescription(
      address: IPAddress(address), country: country, provider: "openai",
      model: "model-\(Int.random(in: 0..<250, using: &random))-large",
      tokens: Int64.random(in: 1...8100, using: &random), time: now)
  }

  private static let now = Timestamp(clamping: 1_800_000_000_000_000)

  private static func version4(using random: inout SplitMix64) -> String {
    let bytes = (0..<4).map { _ in "\(UInt8.random(in: 0...255, using: &random))" }
    return bytes.joined(separator: ".")
  }

  private static func version6(using random: inout SplitMix64) -> String {
    let groups = (0..<8).map { _ in
      String(UInt16.random(in: 0...0xFFFF, using: &random), radix: 16)
    }
    return groups.joined(separator: ":")
  }
}

extension UUID {
  fileprivate init(number: Int) {
    self = withUnsafeBytes(of: UInt128(number).bigEndian) {
      UUID(uuid: $0.loadUnaligned(as: uuid_t.self))
    }
  }
}

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014). The same numbers in every run.
private struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
