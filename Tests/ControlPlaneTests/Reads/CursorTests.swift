import JSON
import Support
import Testing

@Suite struct CursorTests {
  @Test func `a cursor is good for nobody and nothing else`() async throws {
    let plane = try await TestControlPlane.shared
    let (one, other) = (
      try await plane.client.makeOrganization(), try await plane.client.makeOrganization()
    )
    for organization in [one, other] {
      for number in 0..<3 {
        _ = try await plane.client.makeProject(in: organization, "\(number)")
      }
    }
    let page = try await plane.client.get("\(one)/projects?limit=1")
    let cursor = try #require(try page.json["next_cursor"]?.string)
    var forged = Array(cursor)
    forged[3] = forged[3] == "A" ? "B" : "A"
    let stranger = try await plane.makeUser().client
    for target in [
      "\(one)/projects?limit=1&cursor=\(String(forged))", "\(one)/projects?cursor=",
      "\(one)/projects?cursor=AAAA", "\(one)/projects?cursor=\(cursor)&cursor=\(cursor)",
      "\(one)/projects?cursor=%00", "\(one)/projects?cursor=\(cursor)&archived=false",
      "\(one)/projects?cursor=\(cursor)&environment=live", "\(one)/audit-events?cursor=\(cursor)",
      "\(other)/projects?cursor=\(cursor)", "/v1/organizations?cursor=\(cursor)",
    ] {
      let reply = try await plane.client.get(target)
      #expect(reply.status == 422, "\(target)")
      #expect(try reply.places.contains("cursor"), "\(reply.text)")
    }
    #expect(try await stranger.get("/v1/organizations?cursor=\(cursor)").status == 422)
    #expect(try await stranger.get("\(one)/projects?cursor=\(cursor)").status == 404)
    #expect(try await plane.client.get("\(one)/projects?cursor=\(cursor)").status == 200)
  }

  @Test(arguments: ["0", "-1", "abc", "", "1.5", "+1"])
  func `a limit that is none is refused`(limit: String) async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    for list in ["projects", "audit-events", "events"] {
      #expect(
        try await client.get("\(organization)/\(list)?limit=\(limit)").status == 422, "\(list)")
    }
  }

  @Test(arguments: ["201", "99999999999999999999999999"])
  func `a limit that is too large is the largest`(limit: String) async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    #expect(try await client.get("\(organization)/projects?limit=\(limit)").status == 200)
  }

  @Test func `pages hold everything once while others insert`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    var before: Set<String> = []
    for number in 0..<30 {
      before.insert(try await client.makeProject(in: organization, "before \(number)"))
    }
    async let insertions: Void = {
      for number in 0..<30 {
        _ = try await client.makeProject(in: organization, "during \(number)")
      }
    }()
    for _ in 0..<5 {
      let seen = try await client.all("\(organization)/projects", limit: 7).compactMap {
        $0["id"]?.string.map { "\(organization)/projects/\($0)" }
      }
      #expect(Set(seen).count == seen.count, "nothing comes twice")
      #expect(before.isSubset(of: seen), "nothing is missing")
    }
    try await insertions
  }

  @Test(arguments: [
    "dryrun=true", "as_of=0", "as_of=-1", "as_of=now", "as_of=2026-13-01T00:00:00Z",
  ])
  func `a parameter that is not one is refused`(query: String) async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeOrganization()
    let reply = try await client.get("\(path)?\(query)")
    #expect(reply.status == 422)
    #expect(try reply.places == [String(query.prefix { $0 != "=" })])
  }
}
