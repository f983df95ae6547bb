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

  /// Two clients that stop reading keep the slots of their workspace; nothing else is refused for them.
  @Test func `429 while as many exports go on as there may be, until a client is gone`()
    async throws
  {
    try await TestControlPlane.with { planes in
      let (world, other) = (try await EvidenceWorld(planes[0]), try await EvidenceWorld(planes[0]))
      // More than the kernel keeps for a connection.
      let (model, now) = (String(repeating: "m", count: 200), Timestamp.now)
      for batch in 0..<3 {
        let records = (0..<8000).map { number in
          EvidenceRecord(
            project: world.project, at: now.advanced(by: -Int64(batch * 8000 + number) * 1000),
            model: model
          ).with("route", #""\#(String(repeating: "r", count: 200))""#)
        }
        #expect(try await world.report(records).outcome == [8000, 0])
      }
      let path = "\(world.path)/request-logs:export"
      func export() async throws -> RawClient {
        let client = try RawClient(port: planes[0].client.http.port, receiveBuffer: 4096)
        try await client.send(
          "GET \(path) HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(world.owner.token ?? "")\r\n\r\n"
        )
        let start = try await client.bytes(until: .now + .seconds(10))
        #expect(String(decoding: start, as: UTF8.self).hasPrefix("HTTP/1.1 200 "))
        return client
      }
      var first: RawClient? = try await export()
      let second = try await export()
      let refused = try await world.owner.get(path)
      #expect(refused.status == 429, "\(refused.text.prefix(300))")
      #expect(try refused.problem == "too-many-running")
      #expect(refused["retry-after"] == "30")
      #expect(try await other.owner.get("\(other.path)/request-logs:export").status == 200)
      #expect(try await world.owner.get("\(world.path)/request-logs?limit=1").status == 200)
      #expect(first != nil)
      first = nil
      var statuses: [Int] = []
      let end = ContinuousClock.now + .seconds(15)
      while statuses.last != 200, ContinuousClock.now < end {
        statuses.append(try await world.owner.get("\(path)?model=none").status)
        try await Task.sleep(for: .milliseconds(50))
      }
      #expect(statuses.last == 200, "the place of the client that is gone is free: \(statuses)")
      // An export that has ended keeps no place.
      for _ in 0..<3 {
        #expect(try await world.owner.get("\(path)?model=none").status == 200)
      }
      withExtendedLifetime(second) {}
    }
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
