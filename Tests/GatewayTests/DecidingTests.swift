import ConfigurationFeed
import Cryptography
import Domain
import FoundationEssentials
import Glibc
import JSON
import Logging
import Testing

@testable import Gateway

struct DecidingTests {
  /// A gateway that runs by a saved document, without a control plane.
  private func gateway(
    keys: String? = nil,
    _ change: (inout ConfiguredProject, inout ConfiguredOrganization) -> Void = { _, _ in }
  ) async throws -> GatewayClient {
    try await withTemporaryPath { path in
      try SnapshotFile(path: path).save(sample(at: 3, change))
      let gateway = try GatewayClient(
        GatewayConfiguration(
          controlPlanes: ["http://127.0.0.1:1"], token: "sbg_x", name: "test", apiKeyPepper: pepper,
          snapshotPath: path, keyEncryptionKeys: keys), logger: Logger(label: "test"))
      await gateway.load()
      return gateway
    }
  }

  @Test func `a key is known by its hash, and only as it is written`() async throws {
    let gateway = try await gateway()
    let key = try #require(gateway.verify(key: apiKey(1)).key)
    #expect(key.id == "key_1")
    #expect(key.projectID == project1.description)
    #expect(key.organizationID == organization1.description)
    #expect(gateway.verify(key: apiKey(2)) == .unknown)
    #expect(gateway.verify(key: apiKey(1, prefix: "pk_test_")) == .unknown)
    #expect(gateway.verify(key: apiKey(1, prefix: "sk_live_")) == .malformed)
    #expect(gateway.verify(key: "") == .malformed)
    #expect(gateway.verify(key: apiKey(1) + "0") == .malformed)
    #expect(gateway.verify(key: String(apiKey(1).dropLast())) == .malformed)
    // Every typing error of one character is told.
    for place in 8..<44 {
      var typed = Array(apiKey(1))
      typed[place] = typed[place] == "0" ? "1" : "0"
      #expect(gateway.verify(key: String(typed)) == .malformed)
    }
  }

  /// The first half of a hash only finds the key: another one whose hash begins alike must not pass for it.
  @Test func `half a hash opens nothing`() async throws {
    let gateway = try await gateway { project, _ in
      let code = HMACSHA256(key: pepper).authenticationCode(for: apiKey(1).utf8)
      let changed = Array(code.prefix(16)) + code.dropFirst(16).map { ~$0 }
      project.apiKeys["key_1"] = ConfiguredAPIKey(hash: Base64URL.encode(changed), expiresAt: nil)
    }
    #expect(gateway.verify(key: apiKey(1)) == .unknown)
  }

  @Test func `a key expires at its time, not before`() async throws {
    let end = Date(timeIntervalSince1970: 2_000_000_000)
    let gateway = try await gateway { project, _ in
      project.apiKeys["key_1"] = configuredKey(
        1, expiresAt: Timestamp(clamping: 2_000_000_000_000_000))
    }
    #expect(gateway.verify(key: apiKey(1), at: end - 0.001).key != nil)
    guard case .expired = gateway.verify(key: apiKey(1), at: end) else {
      Issue.record("the key has not expired")
      return
    }
    #expect(gateway.evaluate(request(gateway.verify(key: apiKey(1), at: end))).reason == .key)
  }

  @Test func `each step of the evaluation has its say`() async throws {
    let rule = RuleID.number(1)
    func reason(
      _ request: (KeyVerification) -> GatewayRequest = { sampleRequest($0) },
      _ change: (inout ConfiguredProject, inout ConfiguredOrganization) -> Void
    ) async throws -> GatewayDecision {
      let gateway = try await gateway(change)
      return gateway.evaluate(request(gateway.verify(key: apiKey(1))))
    }
    #expect(
      try await reason { _, _ in } == GatewayDecision(isAllowed: true, reason: nil, position: 3))
    #expect(try await reason { $1.providers = ["anthropic"] }.reason == .plan)
    #expect(try await reason { $1.providers = ["openai"] }.isAllowed)
    #expect(try await reason { $1.remaining = 0 }.reason == .quota)
    #expect(try await reason { $1.remaining = 1 }.isAllowed)
    #expect(
      try await reason { project, _ in project.panicMode = .init(since: .init(clamping: 0)) }
        .reason == .panicMode)
    #expect(
      try await reason { project, _ in
        project.panicMode = .init(since: .init(clamping: 0), until: .init(clamping: 1))
      }.isAllowed)
    #expect(
      try await reason { project, _ in
        project.rules[rule] = ConfiguredRule(
          match: .network(Network("192.0.2.0/24")!), effect: .deny)
      }
        == GatewayDecision(
          isAllowed: false, reason: .network, ruleID: rule.description, position: 3))
    #expect(
      try await reason { $1.rules[rule] = ConfiguredRule(match: .region(.europe), effect: .deny) }
        .reason
        == .geography)
    #expect(
      try await reason { project, _ in
        project.rules[rule] = ConfiguredRule(
          match: .model(provider: ProviderPattern("openai")!, ModelPattern("gpt-4*")!),
          effect: .deny)
      }.reason == .model)
    #expect(
      try await reason({ request($0, provider: "Mistral", country: "T1") }) { project, _ in
        project.rules[rule] = ConfiguredRule(
          match: .model(provider: .any, ModelPattern("gpt-4*")!), effect: .deny)
      }.reason == .model)
    #expect(
      try await reason({ request($0, tokens: 11) }) { project, _ in project.maxTokens = 10 }.reason
        == .maxTokens)
  }

  @Test
  func `a provider key opens where it belongs, with the keys of its version, and nowhere else`()
    async throws
  {
    let ring = "1:\(Base64URL.encode([UInt8](repeating: 1, count: 32)))"
    let later = "2:\(Base64URL.encode([UInt8](repeating: 2, count: 32)))"
    func seal(_ project: ProjectID) throws -> String {
      let context = ProviderKeyContext(
        organization: bytes(organization1.uuid), project: bytes(project.uuid), provider: "openai")
      return try SealedSecret.seal(
        Array("sk-upstream".utf8), for: context.bytes, under: KeyEncryptionKeys(ring)
      ).text
    }
    let (mine, others) = (try seal(project1), try seal(project2))
    func open(
      _ sealed: String, with keys: String?, provider: String = "openai"
    ) async throws -> Result<String, GatewayClient.ProviderKeyFailure> {
      let gateway = try await gateway(keys: keys) { project, _ in
        project.providerKeys["openai"] = ConfiguredProviderKey(sealed: sealed, fingerprint: "f")
      }
      let key = try #require(gateway.verify(key: apiKey(1)).key)
      return Result { () throws(GatewayClient.ProviderKeyFailure) in
        try gateway.providerKey(of: key, provider: provider)
      }
    }
    #expect(try await open(mine, with: "\(ring),\(later)") == .success("sk-upstream"))
    #expect(try await open(mine, with: ring, provider: "anthropic") == .failure(.absent))
    for (sealed, keys) in [(others, ring), (mine, later), (mine, nil), ("x", ring)] {
      let result = try await open(sealed, with: keys)
      guard case .failure(.sealed) = result else {
        Issue.record("it is open, or absent")
        continue
      }
    }
  }

  @Test(arguments: ["openai", "OpenAI", "OPENAI"])
  func `a provider is the same in capital and in small letters`(name: String) async throws {
    let gateway = try await gateway { project, organization in
      organization.providers = ["openai"]
      project.rules[.number(1)] = ConfiguredRule(
        match: .model(provider: ProviderPattern("openai")!, ModelPattern("gpt-4*")!), effect: .deny)
    }
    let key = gateway.verify(key: apiKey(1))
    #expect(gateway.evaluate(request(key, provider: name)).reason == .model)
    #expect(gateway.evaluate(request(key, provider: name, model: "o3")).isAllowed)
  }

  @Test(arguments: [nil, "", "XX", "xx", "T1", "EU", "AP", "ZZ", "A1", "A2", "O1", "DEU", "\u{0}"])
  func `what is no country is the region unknown, which rules may stop`(
    country: String?
  ) async throws {
    let gateway = try await gateway { _, organization in
      organization.rules[.number(1)] = ConfiguredRule(match: .region(.unknown), effect: .deny)
    }
    let key = gateway.verify(key: apiKey(1))
    #expect(gateway.evaluate(request(key, country: country)).reason == .geography)
    #expect(gateway.evaluate(request(key, country: "XK")).isAllowed)
    #expect(gateway.evaluate(request(key, country: "de")).isAllowed)
  }

  @Test func `a country in small letters is no way around its rule`() async throws {
    let gateway = try await gateway { _, organization in
      organization.rules[.number(1)] = ConfiguredRule(
        match: .country(Country("XK")!), effect: .deny)
    }
    let key = gateway.verify(key: apiKey(1))
    #expect(gateway.evaluate(request(key, country: "xk")).reason == .geography)
    #expect(gateway.evaluate(request(key, country: nil)).isAllowed)
  }

  private func bytes(_ uuid: UUID) -> [UInt8] { withUnsafeBytes(of: uuid.uuid) { Array($0) } }

  @Test func `what is no address is no request`() {
    #expect(GatewayRequest(key: .unknown, address: "10.0.0.1:80", provider: "p", model: "m") == nil)
    #expect(GatewayRequest(key: .unknown, address: "", provider: "p", model: "m") == nil)
    #expect(
      GatewayRequest(key: .unknown, address: nil, country: "T1", provider: "p", model: "m")?.country
        == nil)
  }

  @Test func `the settings for the gateway's own counters`() async throws {
    let gateway = try await gateway { project, _ in
      project.rateLimit = 60
      project.loopSensitivity = .high
      project.requestsPerMonth = 1000
      project.costPerMonth = 5
    }
    let key = try #require(gateway.verify(key: apiKey(1)).key)
    #expect(
      gateway.settings(of: key)
        == ProjectSettings(
          isLive: true, rateLimit: 60, abuseThreshold: nil, maxTokens: nil, loopSensitivity: .high,
          requestsPerMonth: 1000, costPerMonth: 5))
    #expect(
      gateway.settings(of: VerifiedKey(id: "key_1", organization: organization1, project: project2))
        == nil)
  }

  @Test(arguments: [
    ("ftp://x", "sbg_x", "n", 32, 1, "controlPlane"), ("http://x", "sbx_x", "n", 32, 1, "token"),
    ("http://x", "sbg_x", "", 32, 1, "name"), ("http://x", "sbg_x", "n", 31, 1, "apiKeyPepper"),
    ("http://x", "sbg_x", "n", 32, 0, "evidenceCapacity"),
  ])
  func `what is wrong with a configuration is named`(
    url: String, token: String, name: String, pepper: Int, capacity: Int, field: String
  ) {
    let configuration = GatewayConfiguration(
      controlPlanes: [url], token: token, name: name,
      apiKeyPepper: [UInt8](repeating: 1, count: pepper),
      evidenceCapacity: capacity)
    let error = #expect(throws: GatewayConfiguration.Invalid.self) {
      try GatewayClient(configuration, logger: Logger(label: "test"))
    }
    #expect(error?.description.hasPrefix(field) == true)
  }
}

struct BackoffTests {
  @Test func `waits double, have a limit, and are spread over all of it`() {
    let backoff = Backoff(base: .milliseconds(500), most: .seconds(30))
    #expect(
      (1...8).map { backoff.limit(afterFailures: $0) / .milliseconds(1) } == [
        500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000,
      ])
    #expect(backoff.limit(afterFailures: .max) == .seconds(30))
    #expect(backoff.limit(afterFailures: 0) == .zero)
    var random = SeededGenerator(state: 1)
    for failures in 1...12 {
      let limit = backoff.limit(afterFailures: failures)
      let delays = (0..<1_000).map { _ in backoff.delay(afterFailures: failures, using: &random) }
      #expect(delays.allSatisfy { .zero <= $0 && $0 <= limit })
      #expect(delays.contains { $0 < limit / 10 } && delays.contains { $0 > limit / 10 * 9 })
    }
  }

  @Test func `never less than the control plane asks for`() {
    let backoff = Backoff(base: .milliseconds(500), most: .seconds(30))
    var random = SeededGenerator(state: 2)
    for failures in 0...12 {
      let delay = backoff.delay(afterFailures: failures, atLeast: .seconds(3), using: &random)
      #expect(.seconds(3) <= delay && delay <= .seconds(30))
    }
  }
}

struct SnapshotFileTests {
  @Test func `what is saved is loaded, and only its owner may read it`() async throws {
    try await withTemporaryPath { path in
      let file = SnapshotFile(path: path)
      #expect(try file.load() == nil)
      let document = try sample(at: 3)
      try file.save(document)
      #expect(try file.load() == document)
      try file.save(sample(at: 4))
      #expect(try file.load()?.position == 4)
      var status = stat()
      #expect(stat(path, &status) == 0)
      #expect(status.st_mode & 0o777 == 0o600)
      #expect(access(path + ".new", F_OK) != 0)
    }
  }

  @Test func `a damaged file is told, and not taken`() async throws {
    try await withTemporaryPath { path in
      let file = SnapshotFile(path: path)
      try file.save(sample(at: 3))
      let bytes = try sample(at: 3).bytes()
      #expect(truncate(path, bytes.count - 5) == 0)
      #expect(throws: ConfigurationError.self) { try file.load() }
      let gateway = try GatewayClient(
        GatewayConfiguration(
          controlPlanes: ["http://127.0.0.1:1"], token: "sbg_x", name: "test", apiKeyPepper: pepper,
          snapshotPath: path), logger: Logger(label: "test"))
      await gateway.load()
      #expect(gateway.status.position == nil)
      #expect(gateway.status.lastError?.hasPrefix("the saved configuration cannot be used") == true)
    }
  }

  @Test func `what is half written does not replace what is whole`() async throws {
    try await withTemporaryPath { path in
      let file = SnapshotFile(path: path)
      try file.save(sample(at: 3))
      // given the remains of a crash in the middle of writing
      let half = open(path + ".new", O_WRONLY | O_CREAT, 0o600)
      #expect(write(half, "{", 1) == 1)
      close(half)
      #expect(try file.load()?.position == 3)
      try file.save(sample(at: 4))
      #expect(try file.load()?.position == 4)
    }
  }
}
