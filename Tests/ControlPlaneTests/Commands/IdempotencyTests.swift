import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@Suite struct IdempotencyTests {
  @Test func `a repetition gets the first reply and has no effect`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let body = #"{"name":"B","environment":"live"}"#
    let key = UUID().uuidString
    let first = try await client.post(
      "\(organization)/projects", body, headers: ["Idempotency-Key": key])
    #expect(first.status == 201)
    #expect(first["idempotency-replayed"] == nil)
    let id = try #require(first["location"])
    _ = try await client.patch(id, #"{"name":"C"}"#)
    // Quoted and bare are the same key.
    let second = try await client.post(
      "\(organization)/projects", body, headers: ["Idempotency-Key": "\"\(key)\""])
    #expect(second.status == 201)
    #expect(second["idempotency-replayed"] == "true")
    #expect(second.body == first.body)
    for name in ["location", "etag", "signalbox-position"] {
      #expect(second[name] == first[name], "\(name)")
    }
    #expect(try await client.all("\(organization)/projects").count == 1)
  }

  @Test func `another request with the same key is refused`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let key = ["Idempotency-Key": UUID().uuidString]
    let projects = "\(organization)/projects"
    _ = try await client.post(projects, #"{"name":"B","environment":"live"}"#, headers: key)
    for (target, body) in [
      (projects, #"{"name":"B","environment":"test"}"#),
      (projects, #"{"name": "B","environment":"live"}"#),
      ("/v1/organizations", #"{"name":"B"}"#),
    ] {
      let reply = try await client.post(target, body, headers: key)
      #expect(reply.status == 422)
      #expect(try reply.problem == "idempotency-key-reused")
    }
    #expect(try await client.all(projects).count == 1)
  }

  @Test func `a key is its caller's own`() async throws {
    let plane = try await TestControlPlane.shared
    let stranger = try await plane.makeUser().client
    let key = ["Idempotency-Key": UUID().uuidString]
    let one = try await plane.client.post("/v1/organizations", #"{"name":"B"}"#, headers: key)
    let other = try await stranger.post("/v1/organizations", #"{"name":"B"}"#, headers: key)
    #expect(other.status == 201)
    #expect(other["idempotency-replayed"] == nil)
    #expect(try other.json["id"] != one.json["id"])
  }

  @Test func `after 24 hours the same key is a new request`() async throws {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.client.makeOrganization()
    let value = UUID().uuidString
    let key = ["Idempotency-Key": value]
    let body = #"{"name":"B","environment":"live"}"#
    let first = try await plane.client.post("\(organization)/projects", body, headers: key)
    func age(_ hours: Int64) async throws {
      let aged = try await plane.database.withSession { session throws in
        try session.execute(
          """
          UPDATE idempotency_records SET created_at = now() - \(hours) * interval '1 hour' \
          WHERE key = \(value)
          """, deadline: .soon
        ).affected
      }
      #expect(aged == 1)
    }
    try await age(23)
    let second = try await plane.client.post("\(organization)/projects", body, headers: key)
    #expect(second["idempotency-replayed"] == "true")
    #expect(second.body == first.body)
    try await age(25)
    let third = try await plane.client.post("\(organization)/projects", body, headers: key)
    #expect(third.status == 201)
    #expect(third["idempotency-replayed"] == nil)
    #expect(third["location"] != first["location"])
  }

  /// While somebody else holds the log's head all of them wait, and would come into one batch, where no reply is stored.
  @Test func `of many with one key that wait together one is carried out`() async throws {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.client.makeOrganization()
    let key = ["Idempotency-Key": UUID().uuidString]
    let body = #"{"name":"B","environment":"live"}"#
    async let holding: Void = plane.database.withSession { session throws in
      try session.executeScript(
        "BEGIN; SELECT FROM event_log_head FOR UPDATE; SELECT pg_sleep(0.5); COMMIT",
        deadline: .soon)
    }
    try await Task.sleep(for: .milliseconds(150))
    // It takes the writer up; those that follow wait behind it.
    async let first = plane.client.makeOrganization()
    try await Task.sleep(for: .milliseconds(50))
    let replies = try await withThrowingTaskGroup { group in
      for _ in 0..<8 {
        group.addTask {
          try await plane.client.post("\(organization)/projects", body, headers: key)
        }
      }
      return try await group.reduce(into: [HTTPReply]()) { $0.append($1) }
    }
    _ = try await (holding, first)
    // One that comes when the first is done gets its reply, which says so.
    let made = replies.filter { $0.status == 201 && $0["idempotency-replayed"] == nil }
    #expect(made.count == 1, "\(replies.map(\.status))")
    #expect(replies.allSatisfy { [201, 409].contains($0.status) }, "\(replies.map(\.status))")
    #expect(try await plane.client.all("\(organization)/projects").count == 1)
  }

  @Test func `a refusal is not stored`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeOrganization()
    let headers = ["Idempotency-Key": UUID().uuidString, "If-Match": #""3""#]
    let stale = try await client.post("\(path)/archive", headers: headers)
    #expect(stale.status == 412)
    _ = try await client.patch(path, #"{"name":"B"}"#)
    #expect(try await client.post("\(path)/archive", headers: headers).status == 200)
  }

  @Test func `what changed nothing is stored too`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeOrganization()
    _ = try await client.post("\(path)/archive", headers: ["If-Match": "*"])
    let headers = ["Idempotency-Key": UUID().uuidString, "If-Match": "*"]
    for replayed in [nil, "true"] {
      let reply = try await client.post("\(path)/archive", headers: headers)
      #expect(reply.status == 200)
      #expect(reply["idempotency-replayed"] == replayed)
    }
  }

  @Test(arguments: ["", "\"", "a,b", "\"a\"b", "ä", String(repeating: "k", count: 256)])
  func `a malformed key is refused`(key: String) async throws {
    let reply = try await TestControlPlane.shared.client.post(
      "/v1/organizations", #"{"name":"B"}"#, headers: ["Idempotency-Key": key])
    #expect(reply.status == 400)
    #expect(try reply.places == ["Idempotency-Key"])
  }
}
