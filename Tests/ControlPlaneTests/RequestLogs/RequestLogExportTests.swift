import Domain
import FoundationEssentials
import JSON
import Support
import Testing

@testable import ControlPlane

@Suite struct RequestLogExportTests {
  @Test func `nobody exports another workspace's evidence`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let stranger = try await world.plane.makeUser().client
    #expect(try await stranger.get("\(world.path)/request-logs:export").status == 404)
  }

  @Test func `a format that is not known is refused before anything is sent`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let reply = try await world.owner.get("\(world.path)/request-logs:export?format=xml")
    #expect(reply.status == 422)
    #expect(try reply.json["errors"]?.array?.first?["parameter"]?.string == "format")
  }

  @Test(arguments: [
    ("", "application/json", 406), ("", "application/*", 200), ("?format=csv", "text/*", 200),
    ("?format=csv", "application/x-ndjson", 406), ("?format=csv", "text/html, */*;q=0.1", 200),
  ])
  func `what nobody takes is not sent`(query: String, accept: String, status: Int) async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let reply = try await world.owner.get(
      "\(world.path)/request-logs:export\(query)", headers: ["Accept": accept])
    #expect(reply.status == status)
  }

  @Test func `all pages of what is asked for are there once, newest first`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let now = Timestamp.now
    // More than two pages, and others beside them.
    let records = (0..<4500).map { number in
      EvidenceRecord(
        project: world.project, at: now.advanced(by: -Int64(number) * 1000),
        model: number % 9 == 0 ? "other" : "gpt-4o")
    }
    #expect(try await world.report(records).outcome == [4500, 0])
    let reply = try await world.owner.get("\(world.path)/request-logs:export?model=gpt-4o")
    #expect(reply["content-type"] == "application/x-ndjson")
    let lines = reply.text.split(separator: "\n")
    let ids = try lines.map { try JSONValue.parse(Array($0.utf8))["id"]?.string }
    let expected = records.filter { $0.text.contains("gpt-4o") }
    #expect(ids == expected.map(\.id))
  }

  @Test func `CSV has a line for each record, and no formula`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let now = Timestamp.now
    let records = [
      EvidenceRecord(project: world.project, at: now, model: "=HYPERLINK(1,2)"),
      EvidenceRecord(project: world.project, at: now.advanced(by: -1000), model: "a b")
        .with("route", #""/v1/\"quoted\",x""#).with("tokens_in", "7"),
    ]
    #expect(try await world.report(records).outcome == [2, 0])
    let reply = try await world.owner.get("\(world.path)/request-logs:export?format=csv")
    #expect(reply["content-type"] == "text/csv; charset=utf-8; header=present")
    #expect(reply["content-disposition"]?.hasPrefix("attachment") == true)
    let lines = reply.text.split(separator: "\r\n", omittingEmptySubsequences: false).map(
      String.init)
    try #require(lines.count == 4, "\(reply.text)")
    #expect(lines.first?.hasPrefix("id,organization_id,project_id,") == true)
    #expect(lines[1].hasPrefix(records[0].id))
    #expect(lines[1].contains(#","'=HYPERLINK(1,2)","#))
    #expect(lines[2].contains(#","/v1/""quoted"",x",openai,a b,,unknown,,,7,"#))
    #expect(lines.last == "")
  }
}
