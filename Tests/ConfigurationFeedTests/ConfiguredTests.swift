import ConfigurationFeed
import Domain
import JSON
import Testing

struct ConfiguredTests {
  @Test func `what is written is read`() throws {
    var random = SeededGenerator(state: 1)
    for _ in 0..<1_000 {
      let project = random.project()
      #expect(try ConfiguredProject(JSONValue.parse(project.json.bytes())) == project)
      let organization = random.organization()
      #expect(
        try ConfiguredOrganization(JSONValue.parse(organization.json.bytes())) == organization)
    }
  }

  /// The names are the feed's format: gateways that run already know no others.
  @Test func `the members of a project`() throws {
    let project = ConfiguredProject(
      environment: .live,
      thresholds: Thresholds(
        rateLimit: 60, abuseThreshold: 5, maxTokens: 4096, loopSensitivity: .high),
      requestsPerMonth: 1000, costPerMonth: 5_000_000,
      panicMode: .init(since: .init(clamping: 0), until: .init(clamping: 1)),
      rules: [
        .number(1): ConfiguredRule(match: .network(Network("10.0.0.0/8")!), effect: .deny),
        .number(2): ConfiguredRule(
          match: .model(provider: ProviderPattern("openai")!, ModelPattern("gpt-4*")!),
          effect: .allow, expiresAt: .init(clamping: 0)),
        .number(3): ConfiguredRule(match: .country(Country("DE")!), effect: .deny),
        .number(4): ConfiguredRule(match: .region(.europe), effect: .deny),
      ],
      apiKeys: ["key_1": ConfiguredAPIKey(hash: "aGFzaA", expiresAt: .init(clamping: 0))],
      providerKeys: ["openai": ConfiguredProviderKey(sealed: "c2VhbGVk", fingerprint: "f")])
    let expected = """
      {"environment":"live",
      "thresholds":{"rate_limit":60,"abuse_threshold":5,"max_tokens":4096,"loop_sensitivity":"high"},
      "budgets":{"requests_per_month":1000,"cost_per_month":5000000},
      "panic_mode":{"since":"1970-01-01T00:00:00.000000Z","until":"1970-01-01T00:00:00.000001Z"},
      "rules":{"\(RuleID.number(1))":{"network":"10.0.0.0/8","effect":"deny"},
      "\(RuleID.number(2))":{"provider":"openai","model":"gpt-4*","effect":"allow","expires_at":"1970-01-01T00:00:00.000000Z"},
      "\(RuleID.number(3))":{"country":"DE","effect":"deny"},
      "\(RuleID.number(4))":{"region":"europe","effect":"deny"}},
      "api_keys":{"key_1":{"hash":"aGFzaA","expires_at":"1970-01-01T00:00:00.000000Z"}},
      "provider_keys":{"openai":{"sealed":"c2VhbGVk","fingerprint":"f"}}}
      """
    #expect(text(project.json.bytes()) == expected.replacing("\n", with: ""))
    #expect(text(ConfiguredProject(environment: .test).json.bytes()) == #"{"environment":"test"}"#)
    let organization = ConfiguredOrganization(
      plan: .plus, providers: ["openrouter"], remaining: 4711)
    #expect(
      text(organization.json(with: [project1: ConfiguredProject(environment: .test)]).bytes())
        == #"{"plan":"plus","providers":["openrouter"],"capacity":{"remaining":4711},"#
        + #""projects":{"\#(project1)":{"environment":"test"}}}"#)
  }

  @Test(arguments: [
    (#"{}"#, "/environment"), (#"{"environment":"prod"}"#, "/environment"), (#"[]"#, ""),
    (#"{"environment":"live","thresholds":{"rate_limit":-1}}"#, "/thresholds/rate_limit"),
    (
      #"{"environment":"live","thresholds":{"loop_sensitivity":3}}"#, "/thresholds/loop_sensitivity"
    ),
    (#"{"environment":"live","panic_mode":{}}"#, "/panic_mode/since"),
    (#"{"environment":"live","panic_mode":{"since":"yesterday"}}"#, "/panic_mode/since"),
    (#"{"environment":"live","rules":{"x":{}}}"#, "/rules"),
    (
      #"{"environment":"live","rules":{"\#(RuleID.number(1))":{"effect":"deny"}}}"#,
      "/rules/\(RuleID.number(1))"
    ),
    (
      #"{"environment":"live","rules":{"\#(RuleID.number(1))":{"effect":"deny","model":"*","provider":"open ai"}}}"#,
      "/rules/\(RuleID.number(1))/provider"
    ),
    (
      #"{"environment":"live","rules":{"\#(RuleID.number(1))":{"effect":"deny","model":"gpt 4","provider":"openai"}}}"#,
      "/rules/\(RuleID.number(1))/model"
    ),
    (
      #"{"environment":"live","rules":{"\#(RuleID.number(1))":{"effect":"deny","country":"DE","a/b~":1}}}"#,
      "/rules/\(RuleID.number(1))/a~1b~0"
    ),
    (#"{"environment":"live","api_keys":{"k":{}}}"#, "/api_keys/k/hash"),
    (#"{"environment":"live","api_keys":{"a/b":{}}}"#, "/api_keys/a~1b/hash"),
    (
      #"{"environment":"live","provider_keys":{"p":{"sealed":"x"}}}"#,
      "/provider_keys/p/fingerprint"
    ),
  ])
  func `what is no project is refused with its place`(text: String, pointer: String) throws {
    let json = try json(text)
    let error = #expect(throws: ConfigurationError.self) { try ConfiguredProject(json) }
    guard case .invalid(let place, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(place == pointer)
  }

  /// A rule that is understood only in part could let pass, or stop, what it does not mean.
  @Test(arguments: [
    #"{"network":"10.0.0.0/8","country":"DE","effect":"deny"}"#,
    #"{"country":"XX","effect":"deny"}"#,
    #"{"model":"gpt-4","effect":"deny"}"#, #"{"provider":"openai","effect":"deny"}"#,
    #"{"country":"DE","effect":"maybe"}"#, #"{"country":"DE"}"#,
    #"{"country":"DE","effect":"deny","hours":"9-17"}"#,
    #"{"country":"DE","provider":"openai","effect":"deny"}"#,
  ])
  func `a rule that is not understood in full is refused`(text: String) throws {
    let json = try json(text)
    #expect(throws: ConfigurationError.self) { try ConfiguredRule(json) }
  }

  @Test func `members of later control planes are left alone`() throws {
    let json = try json(#"{"environment":"live","later":1,"thresholds":{"later":"x"}}"#)
    #expect(try ConfiguredProject(json) == ConfiguredProject(environment: .live))
  }

  @Test func `panic mode ends by itself`() {
    let until = Timestamp(clamping: 10)
    let mode = ConfiguredProject.PanicMode(since: .init(clamping: 0), until: until)
    #expect(mode.isOn(at: .init(clamping: 9)))
    #expect(!mode.isOn(at: until))
    #expect(ConfiguredProject.PanicMode(since: until).isOn(at: .init(clamping: .max)))
  }
}
