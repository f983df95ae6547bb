import Domain
import JSON
import Support
import Testing

@Suite struct AuditEventTests {
  @Test func `every event says who, what, whence, before and after`() async throws {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.client.makeOrganization()
    let project = try await plane.client.makeProject(in: organization)
    let id = String(project.split(separator: "/")[4])
    let reply = try await plane.client.patch(
      project, #"{"name":"Helper"}"#,
      headers: ["X-Request-Id": "audit-1", "User-Agent": "tests/1.0"])
    let entry = try #require(try await plane.client.all("\(organization)/audit-events").first)
    #expect(entry["action"] == .string("project.renamed"))
    #expect(entry["position"].flatMap(\.integer).map(String.init) == reply["signalbox-position"])
    #expect(entry["target"] == .object(["kind": .string("project"), "id": .string(id)]))
    #expect(entry["actor"]?["id"] == .string(plane.adminID.description))
    #expect(entry["request_id"] == .string("audit-1"))
    #expect(entry["user_agent"] == .string("tests/1.0"))
    #expect(entry["ip"] == .string("127.0.0.1"))
    #expect(entry["before"]?["name"] == .string("Assistant"))
    #expect(entry["after"]?["name"] == .string("Helper"))
    #expect(entry["before"]?.object?.keys.sorted() == ["name", "updated_at", "version"])
    #expect(entry["after"]?.object?.keys.sorted() == ["name", "updated_at", "version"])
  }

  @Test func `what was created has no before`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let entries = try await client.all("\(organization)/audit-events")
    #expect(
      entries.map { $0["action"]?.string } == [
        "organization.plan_changed", "member.added", "organization.created",
      ])
    #expect(entries[1...].allSatisfy { $0["before"] == .null })
    let read = try await client.get(organization).json
    #expect(entries[2]["after"]?["name"] == read["name"])
    #expect(entries[0]["after"]?["version"] == read["version"])
  }

  @Test func `a change refused, repeated or only tried leaves no entry`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    _ = try await client.patch(organization, #"{"name":"B"}"#, ifMatch: #""9""#)
    _ = try await client.patch(organization, #"{"name":"Acme"}"#)
    _ = try await client.patch("\(organization)?dry_run=true", #"{"name":"B"}"#)
    #expect(try await client.all("\(organization)/audit-events").count == 3)
  }

  @Test func `filters hold together`() async throws {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.client.makeOrganization()
    let projects = [
      try await plane.client.makeProject(in: organization, "A"),
      try await plane.client.makeProject(in: organization, "B"),
    ]
    for project in projects {
      for on in [true, false] {
        _ = try await plane.client.put("\(project)/panic-mode", #"{"enabled":\#(on)}"#)
      }
    }
    let id = projects[0].split(separator: "/")[4]
    let all = try await plane.client.all("\(organization)/audit-events", limit: 3)
    #expect(all.count == 10)
    let positions = all.compactMap { $0["position"]?.integer }
    #expect(positions == positions.sorted(by: >))
    func count(_ query: String) async throws -> Int {
      try await plane.client.all("\(organization)/audit-events?\(query)", limit: 2).count
    }
    #expect(try await count("target=\(id)") == 3)
    #expect(try await count("action=project.panic_mode_enabled") == 2)
    #expect(try await count("target=\(id)&action=project.panic_mode_enabled") == 1)
    #expect(try await count("actor=\(plane.adminID)") == 10)
    #expect(try await count("actor=usr_00000000000000000000000000") == 0)
    #expect(try await count("action=nothing.like_it") == 0)
    let middle = try #require(all[4]["occurred_at"]?.string)
    let (since, until) = (try await count("since=\(middle)"), try await count("until=\(middle)"))
    #expect(since + until == 10)
    #expect(since >= 5)
    #expect(try await count("since=\(middle)&until=\(middle)") == 0)
  }

  @Test(arguments: [
    "actor=me", "target=org_1", "since=today", "until=2026-02-30T00:00:00Z", "ip=::1",
  ])
  func `a filter that is none is refused`(query: String) async throws {
    let client = try await TestControlPlane.shared.client
    let reply = try await client.get("\(try await client.makeOrganization())/audit-events?\(query)")
    #expect(reply.status == 422)
    #expect(try reply.places == [String(query.prefix { $0 != "=" })])
  }
}
