import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane
@testable import Domain

/// The compiled rules that a process remembers.
@Suite struct CompiledRulesTests {
  private static func evaluate(_ client: TestClient, _ project: String) async throws -> String? {
    try await client.post("\(project)/rules:evaluate", #"{"provider":"openai","model":"gpt-4o"}"#)
      .json["rule_id"]?.string
  }

  @Test func `whoever has changed a rule, of the workspace or the project, sees it decide at once`()
    async throws
  {
    try await TestControlPlane.with(replicas: 2) { planes in
      let client = planes[0].client
      let organization = try await client.makeOrganization()
      let project = try await client.makeProject(in: organization)
      let id = String(project.split(separator: "/")[4])
      for round in 0..<10 {
        // Made here and asked there, and the other way around.
        let (here, there) = (planes[round % 2].client, planes[(round + 1) % 2].client)
        #expect(try await Self.evaluate(there, project) == nil)
        let own = round % 3 == 0 ? "" : #""project_id":"\#(id)","#
        let rule = try await here.post(
          "\(organization)/rules", #"{\#(own)"provider":"*","model":"gpt-*","effect":"deny"}"#)
        let ruleID = try #require(rule.json["id"]?.string, "\(rule.text)")
        #expect(try await Self.evaluate(there, project) == ruleID)
        #expect(try await Self.evaluate(here, project) == ruleID)
        let other = try await there.put(
          "\(project)/rules",
          #"{"rules":[{"provider":"openai","model":"gpt-4o","effect":"allow"}]}"#,
          headers: ["If-Match": "*"])
        #expect(other.status == 200, "\(other.text)")
        let replaced = try await Self.evaluate(here, project)
        #expect(replaced != nil && replaced != ruleID)
        _ = try await here.put("\(project)/rules", #"{"rules":[]}"#, headers: ["If-Match": "*"])
        if round % 3 == 0 {
          _ = try await there.send(
            "DELETE", try #require(rule["location"]), headers: ["If-Match": "*"])
        }
      }
    }
  }

  @Test func `what others did in other workspaces compiles nothing anew`() async throws {
    try await TestControlPlane.with { planes in
      let client = planes[0].client
      let organization = try await client.makeOrganization()
      let project = try await client.makeProject(in: organization)
      func compilations() async throws -> Int {
        try await planes[0].client.metric("signalbox_rule_compilations_total")
      }
      _ = try await Self.evaluate(client, project)
      let before = try await compilations()
      let other = try await client.makeOrganization()
      _ = try await client.post("\(other)/rules", RuleOutcomeTests.deny)
      _ = try await client.patch(organization, #"{"name":"Other"}"#)
      for _ in 0..<20 { _ = try await Self.evaluate(client, project) }
      #expect(try await compilations() == before)
      _ = try await client.post("\(organization)/rules", RuleOutcomeTests.deny)
      // All at once, which compile once.
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<16 { group.addTask { _ = try await Self.evaluate(client, project) } }
        try await group.waitForAll()
      }
      #expect(try await compilations() == before + 1)
      #expect(try await client.metric("signalbox_compiled_rules_bytes") > 0)
    }
  }

  /// FAULTS.md row 22: what a workspace has must not be what each of its requests costs.
  @Test func `with 5,000 rules a decision takes at most twenty times what it takes with none`()
    async throws
  {
    try await TestControlPlane.with { planes in
      let client = planes[0].client
      let organization = try await client.makeOrganization()
      let none = try await client.makeProject(in: organization)
      let many = try await client.makeProject(in: organization)
      let id = try #require(ProjectID(String(many.split(separator: "/")[4])))
      try await planes[0].addPatterns(5000, to: id)
      let name = String(repeating: "a", count: 198) + "b"
      func median(_ project: String) async throws -> Duration {
        var times: [Duration] = []
        for _ in 0..<21 {
          let start = ContinuousClock.now
          let reply = try await client.post(
            "\(project)/rules:evaluate", #"{"provider":"openai","model":"\#(name)"}"#)
          times.append(.now - start)
          #expect(reply.status == 200)
        }
        return times.sorted()[times.count / 2]
      }
      // Once before, which compiles them.
      _ = try await median(many)
      let (without, with) = (try await median(none), try await median(many))
      let shown = try await client.post(
        "\(many)/rules:evaluate", #"{"provider":"openai","model":"\#(name)n"}"#)
      #expect(try shown.json["steps"]?.array?.last?["rule_count"] == .integer(5000))
      print("rules:evaluate with none \(without), with 5,000 \(with)")
      #expect(with <= without * 20)
    }
  }

  // MARK: The memory

  private static func key(_ organization: Int, _ project: Int) -> RuleSetMemory.Key {
    RuleSetMemory.Key(
      organizationID: OrganizationID(UUID(UInt128(organization))),
      projectID: ProjectID(UUID(UInt128(project))))
  }

  private static func rules(_ count: Int) -> RuleSet {
    var rules: [RuleID: Rule] = [:]
    for number in 0..<count {
      guard let pattern = ModelPattern("model-\(number)*x") else { continue }
      let time = Timestamp(clamping: 0)
      rules[RuleID(UUID(UInt128(number)))] = Rule(
        match: .model(provider: .any, pattern), effect: .deny, createdBy: .system, createdAt: time,
        updatedAt: time)
    }
    return RuleSet(rules)
  }

  @Test func `memory stays within its bytes, and what was used last stays longest`() {
    let rules = Self.rules(20)
    let memory = RuleSetMemory(capacity: 40 * (rules.byteCount + 256))
    for organization in 0..<200 {
      memory.remember(rules, at: 1, for: Self.key(organization, 1))
      // The first one is used all the time.
      #expect(memory.value(for: Self.key(0, 1)) { _, _ in true } != nil)
      #expect(memory.bytes <= 40 * (rules.byteCount + 256))
    }
    #expect(memory.value(for: Self.key(1, 1)) { _, _ in true } == nil)
    #expect(memory.value(for: Self.key(199, 1)) { _, _ in true } != nil)
  }

  @Test func `one workspace does not push out the others`() {
    let rules = Self.rules(20)
    let memory = RuleSetMemory(capacity: 40 * (rules.byteCount + 256))
    for organization in 1...20 { memory.remember(rules, at: 1, for: Self.key(organization, 1)) }
    for project in 0..<1000 { memory.remember(rules, at: 1, for: Self.key(0, project)) }
    for organization in 1...20 {
      #expect(memory.value(for: Self.key(organization, 1)) { _, _ in true } != nil)
    }
    #expect(memory.value(for: Self.key(0, 999)) { _, _ in true } != nil)
    // What is larger than a workspace's share is not kept at all.
    memory.remember(Self.rules(2000), at: 2, for: Self.key(0, 999))
    #expect(memory.value(for: Self.key(0, 999)) { _, _ in true } == nil)
  }

  @Test
  func `what was read before something happened is not used, nor takes the place of newer rules`() {
    let memory = RuleSetMemory(capacity: 1 << 20)
    let key = Self.key(1, 1)
    memory.remember(Self.rules(1), at: 5, for: key)
    #expect(memory.value(for: key) { position, _ in position >= 5 } != nil)
    #expect(memory.value(for: key) { position, _ in position >= 6 } == nil)
    memory.remember(Self.rules(1), at: 4, for: key)
    #expect(memory.value(for: key) { position, _ in position >= 5 } != nil)
  }
}

extension TestControlPlane {
  /// Rules straight in the table, of which none matches a name that does not end with n.
  fileprivate func addPatterns(_ count: Int64, to project: ProjectID) async throws {
    try await database.withSession { session in
      _ = try session.execute(
        """
        INSERT INTO model_rules (organization_id, rule_id, project_id, provider, model, effect, \
          created_by_kind, version, created_at, updated_at) \
        SELECT organization_id, gen_random_uuid(), project_id, '*', repeat('*a', 80 + (n % 15)::integer) || '*' || \
          CASE WHEN n < 2500 THEN 'b' ELSE '' END || 'n', 'deny', 'system', 1, now(), now() \
        FROM projects, generate_series(0, \(count)::bigint - 1) AS n WHERE project_id = \(project.uuid)
        """, deadline: .soon)
    }
  }
}

extension TestClient {
  /// The value of a metric without labels.
  func metric(_ name: String) async throws -> Int {
    let text = try await get("/metrics").text
    let line = text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }
    return try #require(line.flatMap { Int($0.dropFirst(name.count + 1)) }, "\(name)")
  }
}
