import ConfigurationFeed
import Cryptography
import Domain
import FoundationEssentials
import JSON
import Testing

@testable import Gateway

struct LiveConfigurationTests {
  @Test func `a hundred thousand random patches: the same as a naive merge, and as begun anew`()
    async throws
  {
    var random = SeededGenerator(state: 100_000)
    let live = LiveConfiguration()
    var naive = try JSONValue.parse(ConfigurationDocument().bytes())
    for position in Int64(1)...100_000 {
      let patch = random.patch()
      try live.apply(patch.canonicalBytes(), at: position)
      naive = merged(patch, naive)
      // Now and then something is asked for, and so compiled.
      if position % 7 == 0 {
        _ = live.controls(of: .number(UInt8(position % 4)), in: .number(UInt8(position % 3)))
      }
      guard position % 1_000 == 0 else { continue }
      let document = try #require(live.document)
      #expect(try JSONValue.parse(document.bytes()) == normalized(naive, position))
      let anew = LiveConfiguration()
      try await anew.replace(with: ConfigurationDocument(parsing: document.bytes()))
      for number in 0..<72 {
        let key = hashes[number]
        #expect(live.key(key)?.verified == anew.key(key)?.verified)
        #expect(live.key(key)?.expiresAt == anew.key(key)?.expiresAt)
      }
      for organization in 0..<UInt8(3) {
        for project in 0..<UInt8(4) {
          let mine = live.controls(of: .number(project), in: .number(organization))
          let other = anew.controls(of: .number(project), in: .number(organization))
          #expect(mine?.organization == other?.organization)
          #expect(mine?.compiled.project == other?.compiled.project)
          #expect(mine.map(verdicts) == other.map(verdicts))
        }
      }
    }
  }

  @Test func `a key that moves to another project at once is that one's`() async throws {
    let live = LiveConfiguration()
    try await live.replace(with: sample(at: 1))
    try live.apply(
      Array(
        #"{"organizations":{"\#(organization1)":{"projects":{"\#(project1)":{"api_keys":null},"\#(project2)":{"environment":"live","api_keys":{"key_9":{"hash":"\#(hash(apiKey(1)))"}}}}}}}"#
          .utf8),
      at: 2)
    #expect(live.key(hashes[1])?.verified.project == project2)
    try live.apply(Array(#"{"organizations":null}"#.utf8), at: 3)
    #expect(live.key(hashes[1]) == nil)
  }

  @Test func `a change of the workspace's rules holds in all of its projects`() async throws {
    let live = LiveConfiguration()
    try await live.replace(with: sample(at: 1))
    let request = RequestDescription(
      country: Country("DE"), provider: "openai", model: "gpt-4o", time: Timestamp(clamping: 0))
    func reason() -> DecisionStep? {
      verdict(live.controls(of: project1, in: organization1), request)
    }
    #expect(reason() == nil)
    try live.apply(
      Array(
        #"{"organizations":{"\#(organization1)":{"rules":{"\#(RuleID.number(1))":{"country":"DE","effect":"deny"}}}}}"#
          .utf8),
      at: 2)
    #expect(reason() == .geography)
    try live.apply(
      Array(#"{"organizations":{"\#(organization1)":{"capacity":{"remaining":0}}}}"#.utf8), at: 3)
    #expect(live.controls(of: project1, in: organization1)?.organization.remaining == 0)
    #expect(reason() == .geography)
    try live.apply(Array(#"{"organizations":{"\#(organization1)":{"rules":null}}}"#.utf8), at: 4)
    #expect(reason() == nil)
  }

  private func verdict(
    _ controls: LiveConfiguration.Controls?, _ request: RequestDescription
  ) -> DecisionStep? {
    controls.flatMap { Controls(rules: $0.compiled.rules).decide(request).step }
  }

  /// What the compiled rules say to some requests.
  private func verdicts(_ controls: LiveConfiguration.Controls) -> [Decision] {
    ["DE", "US", "JP"].flatMap { country in
      ["gpt-0", "gpt-1x", "o3"].map { model in
        Controls(rules: controls.compiled.rules).decide(
          RequestDescription(
            address: IPAddress("10.1.2.3"), country: Country(country), provider: "openai",
            model: model, time: Timestamp(clamping: 1)))
      }
    }
  }

  private let hashes: [[UInt8]] = (0..<72).map { number in
    HMACSHA256(key: pepper).authenticationCode(for: apiKey(number).utf8)
  }

  /// RFC 7396 §2, to the letter.
  private func merged(_ patch: JSONValue, _ target: JSONValue) -> JSONValue {
    guard case .object(let changes) = patch else { return patch }
    var result = target.object ?? [:]
    for (name, value) in changes {
      result[name] = value.isNull ? nil : merged(value, result[name] ?? .null)
    }
    return .object(result)
  }

  /// With what a document always has.
  private func normalized(_ document: JSONValue, _ position: Int64) -> JSONValue {
    var members = document.object ?? [:]
    members["position"] = .integer(position)
    members["organizations"] = .object(
      (members["organizations"]?.object ?? [:]).mapValues { organization in
        var members = organization.object ?? [:]
        members["projects"] = members["projects"] ?? .object([:])
        return .object(members)
      })
    return .object(members)
  }
}

extension SeededGenerator {
  /// A small change that may be applied to anything.
  fileprivate mutating func patch() -> JSONValue {
    let number = UInt8.random(in: 0..<3, using: &self)
    let organization = OrganizationID.number(number).description
    if chance(50) { return .object(["organizations": .object([organization: .null])]) }
    var members: [String: JSONValue] = ["plan": .string(chance(2) ? "plus" : "free")]
    if chance(4) {
      members["capacity"] =
        chance(3) ? .null : .object(["remaining": .integer(Int64.random(in: -2...2, using: &self))])
    }
    if chance(6) { members["providers"] = chance(2) ? .null : .array([.string("openai")]) }
    if chance(5) { members["rules"] = rules() }
    if chance(60) {
      members["projects"] = .null
    } else if !chance(5) {
      let project = UInt8.random(in: 0..<4, using: &self)
      members["projects"] = .object([
        ProjectID.number(project).description: chance(8) ? .null : self.project(project, of: number)
      ])
    }
    return .object(["organizations": .object([organization: .object(members)])])
  }

  private mutating func project(_ number: UInt8, of organization: UInt8) -> JSONValue {
    var members: [String: JSONValue] = ["environment": .string(chance(2) ? "live" : "test")]
    if chance(3) {
      members["panic_mode"] =
        chance(2) ? .null : .object(["since": .string("2026-01-01T00:00:00Z")])
    }
    if chance(3) {
      members["thresholds"] = .object(["max_tokens": chance(2) ? .null : .integer(5)])
    }
    if chance(3) { members["rules"] = chance(9) ? .null : rules() }
    if chance(2) {
      // No two projects have the same key.
      let key = 24 * Int(organization) + 6 * Int(number) + Int.random(in: 0..<6, using: &self)
      members["api_keys"] = .object([
        "key_\(key)": chance(3)
          ? .null
          : .object([
            "hash": .string(keyHashes[key]),
            "expires_at": chance(2) ? .null : .string("2030-01-01T00:00:00.000000Z"),
          ])
      ])
    }
    return .object(members)
  }

  private mutating func rules() -> JSONValue {
    let id = RuleID.number(UInt8.random(in: 0..<5, using: &self)).description
    if chance(3) { return .object([id: .null]) }
    // A rule is about one thing, so a change of it says that it is not about the others.
    var rule: [String: JSONValue] = [
      "network": .null, "country": .null, "region": .null, "model": .null, "provider": .null,
      "effect": .string(chance(2) ? "deny" : "allow"),
    ]
    switch Int.random(in: 0..<4, using: &self) {
    case 0: rule["network"] = .string("10.\(Int.random(in: 0..<3, using: &self)).0.0/16")
    case 1: rule["country"] = .string(["DE", "US"].randomElement(using: &self)!)
    case 2: rule["region"] = .string(["europe", "asia"].randomElement(using: &self)!)
    default:
      rule["provider"] = .string("openai")
      rule["model"] = .string("gpt-\(Int.random(in: 0..<2, using: &self))*")
    }
    return .object([id: .object(rule)])
  }
}

private let keyHashes = (0..<72).map { hash(apiKey($0)) }
