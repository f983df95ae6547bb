import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

@Suite struct ReplayOutcomeTests {
  static let hour: Int64 = 3_600_000_000

  // MARK: Refused

  @Test func `what is wrong with a draft is said all at once`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let path = "\(world.path)/projects/\(world.project)/rules:replay"
    let reply = try await world.owner.post(
      path,
      #"{"rules":[{"effect":"deny","network":"10.0.0.0/33"},{"model":"a"}],"from":"x","to":7,"a":1}"#
    )
    #expect(reply.status == 422)
    #expect(
      try Set(reply.places) == [
        "/rules/0/network", "/rules/1/effect", "/rules/1/provider", "/from", "/to", "/a",
      ])
    let about = try await world.owner.post(
      path,
      """
      {"rules":[{"effect":"deny"},{"effect":"deny","country":"DE"},{"effect":"allow","country":"DE"}],\
      "from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}
      """)
    #expect(about.status == 422)
    #expect(try about.places == ["/rules/0/network", "/rules/2/country"])
    let backwards = try await world.owner.post(
      path, #"{"rules":[],"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}"#)
    #expect(try backwards.places == ["/to"])
    let many = Array(repeating: #"{"effect":"deny","country":"DE"}"#, count: 5001)
    let tooMany = try await world.owner.post(
      path,
      #"{"rules":[\#(many.joined(separator: ","))],"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}"#
    )
    #expect(try tooMany.places == ["/rules"])
  }

  @Test func `nobody replays what is not theirs`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let other = try await EvidenceWorld(TestControlPlane.shared)
    let body = #"{"rules":[],"from":"2026-01-01T00:00:00Z","to":"2999-01-01T00:00:00Z"}"#
    for (client, path, project) in [
      (other.owner, world.path, world.project), (other.owner, other.path, world.project),
      (other.owner, other.path, "prj_00000000000000000000000000"),
      (world.gateway, world.path, world.project),
    ] {
      let reply = try await client.post("\(path)/projects/\(project)/rules:replay", body)
      #expect(reply.status == 404, "\(reply.text)")
    }
  }

  @Test(arguments: [
    ("application/x-ndjson", 200), ("application/*", 200), ("*/*;q=0.1", 200),
    ("text/html, application/x-ndjson;q=0.5", 200), ("application/json", 406),
    ("application/x-ndjson;q=0, */*", 406), ("text/plain", 406),
  ])
  func `it answers lines, to whoever takes lines`(accept: String, status: Int) async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let reply = try await world.owner.post(
      "\(world.path)/projects/\(world.project)/rules:replay",
      #"{"rules":[],"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}"#,
      headers: ["Accept": accept])
    #expect(reply.status == status, "\(reply.text)")
    #expect(
      reply["content-type"]
        == (status == 200 ? "application/x-ndjson" : "application/problem+json"))
  }

  // MARK: Accepted

  @Test func `it agrees with deciding about every record by hand, and changes nothing`()
    async throws
  {
    try await TestControlPlane.with { planes in
      let world = try await EvidenceWorld(planes[0])
      var random = SeededGenerator(seed: 11)
      // Of the whole workspace, and one of the project, which the draft replaces.
      for rule in [
        #"{"network":"10.1.0.0/16","effect":"deny"}"#, #"{"region":"asia","effect":"deny"}"#,
        #"{"provider":"openai","model":"*","effect":"deny","project_id":"\#(world.project)"}"#,
      ] {
        #expect(try await world.owner.post("\(world.path)/rules", rule).status == 201)
      }
      let now = Timestamp.now
      let reasons = RequestLog.Reason.allCases
      let sent = (0..<12_000).map { number -> EvidenceRecord in
        var record = EvidenceRecord(
          project: world.project,
          at: now.advanced(by: -Int64.random(in: 0..<20 * Self.hour, using: &random)),
          model: ["gpt-4o", "gpt-4o-mini", "o1"].randomElement(using: &random) ?? "")
        record = record.with(
          "address", "\"10.\(Int.random(in: 0..<4, using: &random)).0.\(number % 256)\"")
        record = record.with(
          "country", "\"\(["DE", "FR", "JP", "US"].randomElement(using: &random) ?? "")\"")
        if Bool.random(using: &random) {
          let reason = reasons.randomElement(using: &random) ?? .key
          record = record.with("decision", #""block""#).with("reason", "\"\(reason.rawValue)\"")
        }
        return record
      }
      #expect(try await world.report(sent).outcome == [12_000, 0])
      let draft = [
        #"{"network":"10.2.0.0/16","effect":"deny"}"#,
        #"{"network":"10.2.0.0/25","effect":"allow"}"#,
        #"{"country":"JP","effect":"allow"}"#, #"{"country":"FR","effect":"deny"}"#,
        #"{"provider":"openai","model":"gpt-4o*","effect":"deny"}"#,
        #"{"provider":"openai","model":"gpt-4o-mini","effect":"allow"}"#,
      ]
      let (from, to) = (now.advanced(by: -15 * Self.hour), now.advanced(by: -5 * Self.hour))
      // What was reported is counted, so that nothing else changes meanwhile.
      _ = try await world.settledUsage()
      let before = try await planes[0].counts()
      let reply = try await world.owner.post(
        "\(world.path)/projects/\(world.project)/rules:replay",
        """
        {"rules":[\(draft.joined(separator: ","))],"from":"\(from.rfc3339)","to":"\(to.rfc3339)",\
        "samples":1000}
        """)
      #expect(reply.status == 200)
      #expect(reply["content-type"] == "application/x-ndjson")
      #expect(try await planes[0].counts() == before)

      let lines = try reply.body.split(separator: UInt8(ascii: "\n")).map {
        try JSONValue.parse(Array($0))
      }
      #expect(lines.dropLast().allSatisfy { $0["progress"] != nil })
      let result = try #require(lines.last?["result"])
      let expected = Self.byHand(sent, from, to)
      #expect((lines.count > 1) == (expected.total >= 1000))
      #expect(result["complete"] == .bool(true))
      #expect(result["until"] == result["to"])
      #expect(result["total"]?.integer == Int64(expected.total))
      #expect(result["would_be_blocked"]?.integer == Int64(expected.blocked.count))
      #expect(result["would_be_allowed"]?.integer == Int64(expected.allowed.count))
      #expect(
        result["same"]?.integer
          == Int64(expected.total - expected.blocked.count - expected.allowed.count))
      #expect(!expected.blocked.isEmpty && !expected.allowed.isEmpty)
      let samples = try #require(result["samples"]?.array)
      #expect(samples.count == min(1000, expected.blocked.count + expected.allowed.count))
      for sample in samples {
        let id = sample["log_id"]?.string ?? ""
        if sample["after"]?["decision"]?.string == "block" {
          #expect(expected.blocked[id] == sample["after"]?["reason"]?.string, "\(sample)")
          let isDraft = sample["rule_index"]?.integer != nil
          #expect(isDraft != (sample["rule_id"]?.string != nil), "\(sample)")
        } else {
          #expect(expected.allowed.contains(id))
        }
      }
      let byReason = result["by_reason"]?.array ?? []
      #expect(
        byReason.compactMap { $0["would_be_blocked"]?.integer }.reduce(0, +)
          == Int64(expected.blocked.count))
      #expect(
        byReason.first { $0["reason"]?.string == "model" }?["would_be_blocked"]?.integer
          == Int64(expected.blocked.values.count { $0 == "model" }))
    }
  }

  /// Written anew, without any of the evaluator's tables.
  static func byHand(
    _ records: [EvidenceRecord], _ from: Timestamp, _ to: Timestamp
  ) -> (total: Int, blocked: [String: String], allowed: Set<String>) {
    var (total, blocked, allowed) = (0, [String: String](), Set<String>())
    for record in records {
      let time = RequestLogID(record.id)!.time
      guard time >= from, time < to else { continue }
      total += 1
      func member(_ name: String) -> String? {
        record.members.last { $0.name == name }.map { $0.value.replacing("\"", with: "") }
      }
      let wasBlocked = member("decision") == "block"
      let reason = member("reason") ?? ""
      if ["key", "plan", "quota", "panic_mode"].contains(reason) { continue }
      let address = (member("address") ?? "").split(separator: ".").compactMap { Int($0) }
      let country = member("country") ?? ""
      let model = member("model") ?? ""
      var now: String?
      if address[1] == 1 || (address[1] == 2 && address[3] >= 128) {
        now = "network"
      } else if country == "FR" {
        now = "geography"
      } else if model == "gpt-4o" {
        now = "model"
      } else if ["rate_limit", "abuse", "loop", "budget"].contains(reason) {
        now = reason
      }
      if let now, !wasBlocked { blocked[record.id] = now }
      if now == nil, wasBlocked { allowed.insert(record.id) }
    }
    return (total, blocked, allowed)
  }
}

extension TestControlPlane {
  /// How much there is of everything that a change would leave behind.
  fileprivate func counts() async throws -> [Int64] {
    try await database.withSession { session throws in
      try ["events", "workspace_audit_events", "idempotency_records", "request_logs", "rules"].map {
        table throws in
        try session.execute(
          Query(unchecked: "SELECT count(*) FROM \(table)"), deadline: .soon)[0].decode(Int64.self)
      }
    }
  }
}
