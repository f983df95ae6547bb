import Domain
import FoundationEssentials
import JSON
import Support
import Testing

@testable import ControlPlane

/// Where requests come from, and to whom they go, as evidence has it.
@Suite struct RequestLogOriginTests {
  static let nowhere = [
    "XX", "xx", "T1", "EU", "AP", "ZZ", "A1", "A2", "O1", "", "Atlantis", "\\u0000",
  ]

  @Test func `a country that is none is kept as unknown, and counted`() async throws {
    try await TestControlPlane.with { planes in
      let world = try await EvidenceWorld(planes[0])
      let good = EvidenceRecord(project: world.project)
      let records = Self.nowhere.map {
        EvidenceRecord(project: world.project).with("country", "\"\($0)\"")
      }
      let absent = EvidenceRecord(project: world.project).with("country", "null")
      let reply = try await world.report([good] + records + [absent])
      #expect(try reply.outcome == [Int64(records.count) + 2, 0], "\(reply.text)")
      let all = try await world.owner.all("\(world.path)/request-logs")
      #expect(all.count == records.count + 2)
      #expect(all.allSatisfy { $0["country"] == .null && $0["region"] == .string("unknown") })
      #expect(try await world.list("region=unknown").count == records.count + 2)
      let usage = try await world.settledUsage()
      let counted = (usage["data"]?.array ?? []).compactMap { $0["requests"]?.integer }.reduce(0, +)
      #expect(counted == Int64(records.count) + 2, "\(usage)")
    }
  }

  @Test func `Kosovo is a country, and a code in small letters is read`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let records = ["XK", "xk", "DE"].map {
      EvidenceRecord(project: world.project).with("country", "\"\($0)\"")
    }
    #expect(try await world.report(records).outcome == [3, 0])
    #expect(try await Set(world.list("country=XK")) == [records[0].id, records[1].id])
    #expect(try await Set(world.list("region=europe")).count == 3)
    #expect(try await world.list("region=unknown") == [])
    let json = try await world.owner.get("\(world.path)/request-logs/\(records[1].id)").json
    #expect(json["country"] == .string("XK"))
    #expect(json["region"] == .string("europe"))
    let csv = try await world.owner.get("\(world.path)/request-logs:export?format=csv&country=XK")
    #expect(csv.text.split(separator: "\r\n").count == 3)
    #expect(csv.text.contains(",XK,europe,"))
  }

  @Test func `a region of the gateway's own goes before the country's, unless it is none`()
    async throws
  {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let record = EvidenceRecord(project: world.project).with("country", #""DE""#)
    let records = [
      record.with("region", #""asia""#),
      EvidenceRecord(project: world.project)
        .with("country", #""DE""#).with("region", #""atlantis""#),
    ]
    #expect(try await world.report(records).outcome == [2, 0])
    #expect(try await world.list("region=asia") == [records[0].id])
    #expect(try await world.list("region=europe") == [records[1].id])
  }

  @Test(arguments: ["country=XX", "country=de", "country=EU", "region=atlantis", "country="])
  func `a filter for what is no country says what to ask for`(query: String) async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    for path in ["request-logs", "request-logs:export"] {
      let reply = try await world.owner.get("\(world.path)/\(path)?\(query)")
      #expect(reply.status == 422)
      #expect(try reply.places == [String(query.prefix { $0 != "=" })])
    }
  }

  @Test func `providers are kept in small letters, and found in any`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let names = ["OpenAI", "openai", "OPENAI", "Azure OpenAI", "\\u004fpenAI"]
    let records = names.map {
      EvidenceRecord(project: world.project).with("provider", "\"\($0)\"")
    }
    #expect(try await world.report(records).outcome == [5, 0])
    for query in ["openai", "OpenAI"] {
      #expect(
        try await Set(world.list("provider=\(query)"))
          == [records[0].id, records[1].id, records[2].id, records[4].id])
    }
    #expect(try await world.list("provider=Azure%20openai") == [records[3].id])
  }

  @Test func `a replay decides about what is from nowhere, and about any provider`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let records = [
      EvidenceRecord(project: world.project).with("country", #""XX""#),
      EvidenceRecord(project: world.project).with("country", #""DE""#),
      EvidenceRecord(project: world.project).with("country", #""DE""#)
        .with("provider", #""Mistral""#).with("model", #""large""#),
    ]
    #expect(try await world.report(records).outcome == [3, 0])
    let reply = try await world.owner.post(
      "\(world.path)/projects/\(world.project)/rules:replay",
      """
      {"rules":[{"region":"unknown","effect":"deny"},\
      {"provider":"*","model":"LARGE","effect":"deny"}],\
      "from":"2026-01-01T00:00:00Z","to":"2999-01-01T00:00:00Z"}
      """)
    let last = try #require(reply.body.split(separator: UInt8(ascii: "\n")).last)
    let result = try #require(try JSONValue.parse(Array(last))["result"])
    #expect(result["would_be_blocked"] == .integer(2), "\(reply.text)")
    #expect(result["same"] == .integer(1))
  }
}
