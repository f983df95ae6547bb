import ConfigurationFeed
import Domain
import FoundationEssentials
import JSON

/// SplitMix64: the same numbers on every run, so that a failure can be looked into.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

func json(_ text: String) throws -> JSONValue { try JSONValue.parse(Array(text.utf8)) }

func document(_ text: String) throws -> ConfigurationDocument {
  try ConfigurationDocument(parsing: Array(text.utf8))
}

extension TypeID {
  /// One of few, by its number.
  static func number(_ number: UInt8) -> Self {
    Self(UUID(uuid: (1, 0x93, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, number)))
  }
}

let organization1 = OrganizationID.number(1)
let organization2 = OrganizationID.number(2)
let project1 = ProjectID.number(1)
let project2 = ProjectID.number(2)

extension SeededGenerator {
  mutating func chance(_ one: Int) -> Bool { Int.random(in: 0..<one, using: &self) == 0 }

  mutating func time() -> Timestamp {
    Timestamp(clamping: Int64.random(in: 0..<4_000_000_000_000_000, using: &self))
  }

  mutating func rule() -> ConfiguredRule {
    let match: Rule.Match =
      switch Int.random(in: 0..<4, using: &self) {
      case 0:
        .network(
          Network(
            IPAddress(
              bits: UInt128(0xFFFF) << 32 | UInt128(UInt32.random(in: 0...(.max), using: &self))),
            prefixLength: Int.random(in: 0...32, using: &self))!)
      case 1: .country(Country.allCases.randomElement(using: &self)!)
      case 2: .region(Region.allCases.randomElement(using: &self)!)
      default:
        .model(
          provider: ProviderPattern("openai")!,
          ModelPattern("gpt-\(Int.random(in: 0..<9, using: &self))*")!)
      }
    return ConfiguredRule(
      match: match, effect: chance(2) ? .allow : .deny, expiresAt: chance(2) ? time() : nil)
  }

  mutating func rules() -> [RuleID: ConfiguredRule] {
    var rules: [RuleID: ConfiguredRule] = [:]
    for number in 0..<UInt8(4) where chance(2) { rules[.number(number)] = rule() }
    return rules
  }

  mutating func project() -> ConfiguredProject {
    var project = ConfiguredProject(
      environment: chance(2) ? .live : .test,
      thresholds: Thresholds(
        rateLimit: chance(2) ? 60 : nil, abuseThreshold: chance(2) ? 5 : nil,
        maxTokens: chance(2) ? 4096 : nil,
        loopSensitivity: Thresholds.LoopSensitivity.allCases.randomElement(using: &self)!),
      requestsPerMonth: chance(2) ? 1000 : nil, costPerMonth: chance(2) ? 5_000_000 : nil,
      panicMode: chance(3) ? .init(since: time(), until: chance(2) ? time() : nil) : nil,
      rules: rules())
    for number in 0..<3 where chance(2) {
      project.apiKeys["key_\(number)"] = ConfiguredAPIKey(
        hash: "\(next())", expiresAt: chance(2) ? time() : nil)
    }
    if chance(2) {
      project.providerKeys["openai"] = ConfiguredProviderKey(
        sealed: "\(next())", fingerprint: "f")
    }
    return project
  }

  mutating func organization() -> ConfiguredOrganization {
    ConfiguredOrganization(
      plan: PlanTier.allCases.randomElement(using: &self)!,
      providers: chance(2) ? ["openai", "openrouter"] : nil,
      remaining: chance(2) ? Int64.random(in: -5...5, using: &self) : nil, rules: rules())
  }

  /// The members `organizations` of a document.
  mutating func organizations() -> [OrganizationID: JSONObject] {
    var organizations: [OrganizationID: JSONObject] = [:]
    for number in 0..<UInt8(3) where !chance(4) {
      var projects: [ProjectID: ConfiguredProject] = [:]
      for number in 0..<UInt8(4) where !chance(3) { projects[.number(number)] = project() }
      organizations[.number(number)] = organization().json(with: projects)
    }
    return organizations
  }
}

/// The whole document as one tree.
func tree(_ organizations: [OrganizationID: JSONObject], at position: Int64) -> JSONObject {
  var members = JSONObject()
  for (id, json) in organizations { members.set(key: id.description, json) }
  var document = JSONObject()
  document.set("format", 1)
  document.set("position", position)
  document.set("organizations", members)
  return document
}
