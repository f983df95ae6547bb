import FoundationEssentials
import Support
import Testing

@testable import Domain

@Suite struct EvaluationTests {
  static let time = Scenario.time(100)

  static func rule(
    _ match: Rule.Match, _ effect: Rule.Effect, until expiresAt: Timestamp? = nil
  ) -> Rule {
    Rule(
      match: match, effect: effect, expiresAt: expiresAt, createdBy: Scenario.actor,
      createdAt: Scenario.time(1), updatedAt: Scenario.time(1))
  }

  static func network(_ text: String) throws -> Rule.Match {
    .network(try #require(Network(text)))
  }

  static func id(_ number: Int) -> RuleID { RuleID(UUID(UInt128(number))) }

  /// Controls with these rules, numbered from 0.
  static func controls(_ rules: [Rule]) -> Controls {
    Controls(
      rules: RuleSet(
        Dictionary(uniqueKeysWithValues: rules.enumerated().map { (id($0.offset), $0.element) })))
  }

  static func request(
    _ address: String? = nil, country: String? = nil, model: String = "gpt-4o",
    tokens: Int64? = nil
  ) -> RequestDescription {
    RequestDescription(
      address: address.flatMap { IPAddress($0) }, country: country.flatMap { Country($0) },
      provider: "openai", model: model, tokens: tokens, time: time)
  }

  static func panicMode(until end: Timestamp? = nil) -> Project.PanicMode {
    Project.PanicMode(reason: nil, since: time, by: .system, until: end)
  }

  // MARK: One step after the other

  @Test func `without any rule everything passes`() {
    #expect(Controls().decide(Self.request("192.0.2.1", country: "DE")) == .init(isAllowed: true))
  }

  @Test(arguments: RequestDescription.Key.allCases)
  func `only a valid key passes`(key: RequestDescription.Key) {
    var request = Self.request()
    request.key = key
    let decision = Controls(panicMode: Self.panicMode()).decide(request)
    #expect(decision == .init(isAllowed: false, step: key == .valid ? .panicMode : .key))
  }

  @Test func `panic mode stops nothing at its end, whether anybody has ended it or not`() {
    let controls = Controls(panicMode: Self.panicMode(until: Self.time.advanced(by: 1)))
    var request = Self.request()
    #expect(controls.decide(request) == .init(isAllowed: false, step: .panicMode))
    request.time = Self.time.advanced(by: 1)
    #expect(controls.decide(request) == .init(isAllowed: true))
  }

  @Test func `the first step with something against it decides`() throws {
    let deny = try [
      Self.rule(Self.network("192.0.2.0/24"), .deny),
      Self.rule(.country(#require(Country("DE"))), .deny),
      Self.rule(.model(provider: "openai", #require(ModelPattern("gpt-4*"))), .deny),
    ]
    var controls = Self.controls(deny)
    controls.providers = ["anthropic"]
    controls.isExhausted = true
    controls.panicMode = Self.panicMode()
    controls.thresholds.maxTokens = 10
    let request = Self.request("192.0.2.1", country: "DE", tokens: 11)
    func step() -> DecisionStep? { controls.decide(request).step }
    #expect(step() == .plan)
    controls.providers = ["openai"]
    #expect(step() == .quota)
    controls.isExhausted = false
    #expect(step() == .panicMode)
    controls.panicMode = nil
    #expect(controls.decide(request) == .init(isAllowed: false, step: .network, rule: Self.id(0)))
    controls.rules = Self.controls([]).rules
    #expect(step() == .maxTokens)
    controls.thresholds.maxTokens = 11
    #expect(controls.decide(request) == .init(isAllowed: true))
  }

  @Test func `who may come from there may still not ask for everything`() throws {
    let controls = try Self.controls([
      Self.rule(Self.network("192.0.2.0/24"), .allow),
      Self.rule(.model(provider: "openai", #require(ModelPattern("gpt-4*"))), .deny),
    ])
    #expect(
      controls.decide(Self.request("192.0.2.1"))
        == .init(isAllowed: false, step: .model, rule: Self.id(1)))
    #expect(
      controls.decide(Self.request("192.0.2.1", model: "o3"))
        == .init(isAllowed: true, step: .network, rule: Self.id(0)))
  }

  // MARK: The most specific rule

  @Test func `the smallest network decides, and denying before allowing`() throws {
    let controls = try Self.controls([
      Self.rule(Self.network("0.0.0.0/0"), .deny), Self.rule(Self.network("10.0.0.0/8"), .allow),
      Self.rule(Self.network("10.1.0.0/16"), .deny), Self.rule(Self.network("10.1.0.0/16"), .allow),
      Self.rule(Self.network("255.255.255.255"), .allow), Self.rule(Self.network("::/0"), .allow),
    ])
    func rule(_ address: String) -> RuleID? { controls.decide(Self.request(address)).rule }
    #expect(rule("9.255.255.255") == Self.id(0))
    #expect(rule("10.0.0.0") == Self.id(1))
    #expect(rule("10.1.255.255") == Self.id(2))
    #expect(rule("10.2.0.0") == Self.id(1))
    #expect(rule("11.0.0.0") == Self.id(0))
    #expect(rule("255.255.255.255") == Self.id(4))
    #expect(rule("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == Self.id(5))
  }

  @Test func `one that has expired lets the next one decide`() throws {
    let rules = try [
      Self.rule(Self.network("10.0.0.0/8"), .deny),
      Self.rule(Self.network("10.0.0.0/9"), .allow, until: Self.time),
      Self.rule(Self.network("10.0.0.0/10"), .allow, until: Self.time.advanced(by: 1)),
    ]
    #expect(Self.controls(rules).decide(Self.request("10.0.0.1")).rule == Self.id(2))
    #expect(Self.controls(rules).decide(Self.request("10.64.0.1")).rule == Self.id(0))
  }

  @Test func `a country's rule comes before its region's`() throws {
    let germany = try #require(Country("DE"))
    let controls = Self.controls([
      Self.rule(.region(.europe), .deny), Self.rule(.country(germany), .allow),
    ])
    #expect(controls.decide(Self.request(country: "DE")).rule == Self.id(1))
    #expect(controls.decide(Self.request(country: "FR")).rule == Self.id(0))
    #expect(controls.decide(Self.request(country: "US")) == .init(isAllowed: true))
  }

  @Test func `the pattern that says most decides`() throws {
    func model(_ pattern: String, _ effect: Rule.Effect) throws -> Rule {
      Self.rule(.model(provider: "openai", try #require(ModelPattern(pattern))), effect)
    }
    let controls = try Self.controls([
      model("*", .deny), model("gpt-4*", .allow), model("*-mini", .deny),
      model("gpt-4o-mini", .allow),
      Self.rule(.model(provider: "anthropic", #require(ModelPattern("gpt-4o"))), .deny),
    ])
    func rule(_ name: String) -> RuleID? { controls.decide(Self.request(model: name)).rule }
    #expect(rule("o3") == Self.id(0))
    #expect(rule("GPT-4o") == Self.id(1))
    // Both say as much: the one that denies decides.
    #expect(rule("gpt-4.1-mini") == Self.id(2))
    #expect(rule("o3-mini") == Self.id(2))
    #expect(rule("gpt-4o-mini") == Self.id(3))
  }

  // MARK: Explained

  @Test func `an explanation names all that was looked at, and decides the same`() throws {
    let controls = try Self.controls([
      Self.rule(Self.network("10.0.0.0/8"), .allow),
      Self.rule(Self.network("10.0.0.0/9"), .deny, until: Self.time),
      Self.rule(.region(.europe), .deny),
    ])
    let request = Self.request("10.0.0.1", country: "FR")
    let explanation = controls.explain(request)
    #expect(explanation.decision == controls.decide(request))
    #expect(
      explanation.steps.map(\.step) == [.key, .plan, .quota, .panicMode, .network, .geography])
    func step(_ name: DecisionStep) throws -> Explanation.Step {
      try #require(explanation.steps.first { $0.step == name })
    }
    #expect(try step(.network).rules == [Self.id(1), Self.id(0)])
    #expect(try step(.geography).rules == [Self.id(2)])
    #expect(try step(.geography).ruleCount == 1)
  }

  @Test func `an explanation lists a hundred rules at most, and the one that decides among them`()
    throws
  {
    let patterns = (0..<5000).map { number in
      // All of them match; the last says most.
      String(repeating: "*", count: 1) + String(repeating: "a", count: number / 100 + 1) + "*"
        + String(repeating: "b", count: number % 100)
    }
    let controls = try Self.controls(
      patterns.map { Self.rule(.model(provider: "*", try #require(ModelPattern($0))), .deny) })
    let name = String(repeating: "a", count: 50) + String(repeating: "b", count: 99)
    let explanation = controls.explain(Self.request(model: name))
    let step = try #require(explanation.steps.last)
    #expect(step.step == .model)
    #expect(step.rules.count == Explanation.maxRules)
    #expect(step.ruleCount == 5000)
    #expect(Set(step.rules).count == step.rules.count)
    let decided = try #require(explanation.decision.rule)
    #expect(decided == Self.id(4999))
    #expect(step.rules.contains(decided))
    #expect(explanation.decision == controls.decide(Self.request(model: name)))
  }

  // MARK: Any provider, no country

  @Test func `a rule for any provider is about every provider, and comes after one that names it`()
    throws
  {
    func model(_ provider: ProviderPattern, _ pattern: String, _ effect: Rule.Effect) throws -> Rule
    {
      Self.rule(.model(provider: provider, try #require(ModelPattern(pattern))), effect)
    }
    let controls = try Self.controls([
      model("*", "gpt-4*", .deny), model("OpenAI", "gpt-4*", .allow), model("*", "*", .deny),
      model("groq", "*", .allow),
    ])
    func rule(_ provider: String, _ name: String) -> RuleID? {
      controls.decide(RequestDescription(provider: provider, model: name, time: Self.time)).rule
    }
    #expect(rule("openai", "gpt-4o") == Self.id(1))
    #expect(rule("OPENAI", "GPT-4o") == Self.id(1))
    #expect(rule("mistral", "gpt-4o") == Self.id(0))
    #expect(rule("mistral", "large") == Self.id(2))
    #expect(rule("groq", "llama") == Self.id(3))
    // The pattern that says more decides, whoever is named.
    #expect(rule("groq", "gpt-4o") == Self.id(0))
  }

  @Test func `more providers than a few are all found`() throws {
    let controls = try Self.controls(
      (0..<100).map { number in
        let provider = try #require(ProviderPattern("p\(number)"))
        return Self.rule(.model(provider: provider, try #require(ModelPattern("m"))), .deny)
      })
    for number in 0..<101 {
      let request = RequestDescription(provider: "P\(number)", model: "m", time: Self.time)
      #expect(controls.decide(request).rule == (number < 100 ? Self.id(number) : nil))
    }
  }

  @Test func `a request from no known country is one from the region unknown`() {
    let controls = Self.controls([
      Self.rule(.region(.unknown), .deny), Self.rule(.region(.europe), .allow),
    ])
    #expect(
      controls.decide(Self.request()) == .init(isAllowed: false, step: .geography, rule: Self.id(0))
    )
    #expect(controls.decide(Self.request(country: "XK")).rule == Self.id(1))
    #expect(controls.decide(Self.request(country: "US")) == .init(isAllowed: true))
  }

  // MARK: Beside another evaluator

  @Test func `it decides as a naive one does, 100,000 times`() throws {
    var random = SeededGenerator(seed: 20_261_125)
    for _ in 0..<2_000 {
      let rules = Dictionary(
        uniqueKeysWithValues: (0..<Int.random(in: 0...40, using: &random)).map {
          (Self.id($0), NaiveEvaluator.rule(&random))
        })
      let naive = NaiveEvaluator(rules: rules)
      let controls = Controls(rules: RuleSet(rules))
      for _ in 0..<50 {
        let request = NaiveEvaluator.request(&random)
        let decision = controls.decide(request)
        guard decision != naive.decide(request) else { continue }
        Issue.record("\(request) with \(rules): \(decision), but \(naive.decide(request))")
        return
      }
    }
  }
}
