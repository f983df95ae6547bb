import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

/// `…/projects/{project}/api-keys`, by outcome.
@Suite struct APIKeyOutcomeTests {
  /// A project of an organization of its own.
  static func project(
    of client: TestClient, environment: String = "live"
  ) async throws -> (organization: String, project: String) {
    let organization = try await client.makeOrganization()
    return (organization, try await client.makeProject(in: organization, environment: environment))
  }

  // MARK: 2xx

  @Test(arguments: [("live", "pk_live_"), ("test", "pk_test_")])
  func `201 shows the key, and nothing else ever does`(
    environment: String, prefix: String
  ) async throws {
    let plane = try await TestControlPlane.shared
    let client = plane.client
    let (organization, project) = try await Self.project(of: client, environment: environment)
    let made = try await client.post("\(project)/api-keys", #"{"name":"Web"}"#)
    #expect(made.status == 201, "\(made.text)")
    #expect(made["cache-control"] == "no-store")
    let (key, path) = (
      try #require(made.json["token"]?.string), try #require(made["location"])
    )
    #expect(TokenFormat(prefix: prefix).matches(key))
    #expect(try made.json["prefix"]?.string == prefix)
    #expect(try made.json["last_four"]?.string == String(key.suffix(4)))
    #expect(try made.json["expires_at"] == .null)

    let read = try await client.get(path)
    #expect(read.status == 200)
    #expect(read["etag"] == #""1""#)
    var shown = try made.json.object
    shown?["token"] = nil
    #expect(try read.json.object == shown)
    let rotated = try await client.post("\(path):rotate", #"{"grace_seconds":60}"#)
    #expect(rotated.status == 200, "\(rotated.text)")
    let next = try #require(rotated.json["token"]?.string)
    #expect(TokenFormat(prefix: prefix).matches(next) && next != key)
    _ = try await client.patch(path, #"{"name":"B"}"#)
    #expect(try await client.send("DELETE", path).status == 204)

    let replies = try await [
      client.get(path), client.get("\(project)/api-keys"), client.get("\(path)?as_of=7"),
      client.get("\(organization)/events"), client.get("\(organization)/audit-events"),
      client.post("\(project)/api-keys?dry_run=true", #"{"name":"Web"}"#),
    ]
    let secrets = [key, next]
    for reply in replies {
      #expect(reply.status == 200, "\(reply.text)")
      for secret in secrets { #expect(!reply.text.contains(secret.dropFirst(prefix.count))) }
    }
    let hashes = secrets.map { plane.controlPlane.services.apiKeyHasher.secret($0).hash }
    for hash in hashes { #expect(!replies[4].text.contains(hash)) }
    // Nor does any table.
    let id = try #require(OrganizationID(String(organization.split(separator: "/")[2])))
    try await plane.database.withSession { session throws in
      for table in ["events", "workspace_audit_events", "api_keys", "idempotency_records"] {
        for secret in secrets {
          let rows = try session.execute(
            "SELECT count(*) FROM \(fragment: Query(unchecked: table)) AS t WHERE t::text LIKE \("%\(secret.dropFirst(prefix.count))%")",
            deadline: .soon)
          #expect(try rows[0].decode(Int64.self) == 0, "\(table)")
        }
      }
      let audit = try session.execute(
        """
        SELECT count(*) FROM workspace_audit_events AS t \
        WHERE organization_id = \(id.uuid) AND action LIKE 'api_key.%'
        """, deadline: .soon)
      #expect(try audit[0].decode(Int64.self) == 5)
    }
  }

  @Test func `a repetition with the same Idempotency-Key shows the same key`() async throws {
    let client = try await TestControlPlane.shared.client
    let (_, project) = try await Self.project(of: client)
    let headers = ["Idempotency-Key": "key-\(project)"]
    let one = try await client.post("\(project)/api-keys", #"{"name":"A"}"#, headers: headers)
    let two = try await client.post("\(project)/api-keys", #"{"name":"A"}"#, headers: headers)
    #expect(one.status == 201 && two.status == 201)
    #expect(two["idempotency-replayed"] == "true")
    #expect(one.body == two.body)
    #expect(try await client.all("\(project)/api-keys").count == 1)

    let path = try #require(one["location"])
    let rotations = try await [
      client.post("\(path):rotate", headers: ["Idempotency-Key": "rotate-\(project)"]),
      client.post("\(path):rotate", headers: ["Idempotency-Key": "rotate-\(project)"]),
    ]
    #expect(rotations.map(\.status) == [200, 200])
    #expect(rotations[0].body == rotations[1].body)
    #expect(try await client.all("\(project)/api-keys").count == 2)
  }

  @Test func `the reply that is not kept any more is not made up`() async throws {
    try await TestControlPlane.with { planes in
      let client = planes[0].client
      let (_, project) = try await Self.project(of: client)
      let headers = ["Idempotency-Key": "every-day"]
      let one = try await client.post("\(project)/api-keys", #"{"name":"A"}"#, headers: headers)
      #expect(one.status == 201)
      try await planes[0].database.withSession { session throws in
        _ = try session.execute("DELETE FROM idempotency_records", deadline: .soon)
      }
      let late = try await client.post("\(project)/api-keys", #"{"name":"A"}"#, headers: headers)
      #expect(late.status == 201, "a new request")
      #expect(try late.json["token"] != one.json["token"])
      #expect(try late.json["id"] != one.json["id"])
    }
  }

  @Test func `both keys are good until the grace is over`() async throws {
    let plane = try await TestControlPlane.shared
    let client = plane.client
    let (organization, project) = try await Self.project(of: client)
    let made = try await client.post("\(project)/api-keys", #"{"name":"A"}"#)
    let path = try #require(made["location"])
    let rotated = try await client.post("\(path):rotate", #"{"grace_seconds":2}"#)
    let next = "\(project)/api-keys/\(try rotated.json["id"]?.string ?? "")"
    #expect(try rotated.json["rotated_from"] == made.json["id"])
    let old = try await client.get(path).json
    #expect(try old["rotated_to"] == rotated.json["id"])

    let id = try #require(OrganizationID(String(organization.split(separator: "/")[2])))
    func closures(at time: Timestamp) async throws -> [APIKey.Closure?] {
      try await plane.database.withSession { session throws in
        try [path, next].map { path throws in
          let ids = path.split(separator: "/")
          let rows = try session.execute(
            APIKeyTable.find(
              APIKeyID(String(ids[6]))!, of: ProjectID(String(ids[4]))!, in: id), deadline: .soon)
          return try APIKeyRow(rows[0]).key.closure(at: time)
        }
      }
    }
    let end = try #require(old["expires_at"]?.string.flatMap(Self.time))
    #expect(try await closures(at: end.advanced(by: -1)) == [nil, nil])
    #expect(try await closures(at: end) == [.rotated, nil])
    try await Task.sleep(for: .seconds(2))
    let refused = try await client.patch(path, #"{"expires_at":null}"#)
    #expect(refused.status == 409)
    #expect(try refused.problem == "api-key-closed")
    // Without a body there is no grace.
    let last = try await client.post("\(next):rotate")
    #expect(last.status == 200)
    #expect(try await closures(at: .now) == [.rotated, .rotated])
    #expect(try await client.post("\(next):rotate").status == 409)
  }

  @Test func `200 for a change, 412 when somebody was first`() async throws {
    let client = try await TestControlPlane.shared.client
    let (_, project) = try await Self.project(of: client)
    let path = try #require(
      try await client.post("\(project)/api-keys", #"{"name":"A"}"#)["location"])
    let renamed = try await client.patch(path, #"{"name":"B"}"#, ifMatch: #""1""#)
    #expect(renamed.status == 200 && renamed["etag"] == #""2""#)
    #expect(try await client.patch(path, #"{"name":"C"}"#, ifMatch: #""1""#).status == 412)
    #expect(try await client.patch(path, #"{"name":"C"}"#, ifMatch: nil).status == 428)
    let limited = try await client.patch(path, #"{"expires_at":"2099-01-01T00:00:00Z"}"#)
    #expect(try limited.json["expires_at"]?.string == "2099-01-01T00:00:00.000000Z")
    #expect(try await client.patch(path, #"{"expires_at":null}"#).json["expires_at"] == .null)
    let ended = try await client.patch(path, #"{"expires_at":"2020-01-01T00:00:00Z"}"#)
    #expect(ended.status == 200)
    #expect(try ended.json["expires_at"] == ended.json["updated_at"])
    #expect(try await client.patch(path, #"{"expires_at":null}"#).status == 409)
    #expect(try await client.post("\(path):rotate").status == 409)
    let unchanged = try await client.get(path, headers: ["If-None-Match": ended["etag"] ?? ""])
    #expect(unchanged.status == 304)
  }

  @Test func `204 revokes once, and the key stays in the list and the past`() async throws {
    let client = try await TestControlPlane.shared.client
    let (organization, project) = try await Self.project(of: client)
    let path = try #require(
      try await client.post("\(project)/api-keys", #"{"name":"A"}"#)["location"])
    let version = try await client.get("\(organization)/events?limit=200").json["data"]?.array?
      .last?["version"]?.integer
    let first = try await client.send("DELETE", path)
    let second = try await client.send("DELETE", path)
    #expect(first.status == 204 && first["signalbox-position"] != nil)
    #expect(second.status == 204 && second["signalbox-position"] == nil)
    let key = try #require(try await client.all("\(project)/api-keys").first)
    #expect(key["revoked_at"]?.string != nil)
    #expect(key["revoked_reason"] == .null)
    #expect(key["version"]?.integer == 2)
    let past = try await client.get("\(path)?as_of=\(version ?? 0)").json
    #expect(past["revoked_at"] == .null)
    for reply in try await [
      client.patch(path, #"{"name":"B"}"#), client.post("\(path):rotate"),
    ] {
      #expect(reply.status == 409)
      #expect(try reply.problem == "api-key-closed")
    }
    let id = key["id"]?.string ?? ""
    let audit = try await client.get("\(organization)/audit-events?target=\(id)")
    #expect(try audit.json["data"]?.array?.count == 2)
  }

  @Test func `a page ends where the next one begins`() async throws {
    let client = try await TestControlPlane.shared.client
    let (organization, project) = try await Self.project(of: client)
    for name in 0..<5 {
      _ = try await client.post("\(project)/api-keys", #"{"name":"\#(name)"}"#)
    }
    let names = try await client.all("\(project)/api-keys", limit: 2).map { $0["name"]?.string }
    #expect(names == ["4", "3", "2", "1", "0"])
    let other = try await client.makeProject(in: organization, "Other")
    let cursor = try await client.get("\(project)/api-keys?limit=1").json["next_cursor"]?.string
    #expect(try await client.get("\(other)/api-keys?cursor=\(cursor ?? "")").status == 422)
    #expect(try await client.all("\(other)/api-keys").isEmpty)
  }

  // MARK: 4xx

  @Test(arguments: [
    ("{}", ["/name"]), (#"{"name":"","token":"x"}"#, ["/name", "/token"]),
    (#"{"name":"A","expires_at":"2020-01-01T00:00:00Z"}"#, ["/expires_at"]),
    (#"{"name":"A","expires_at":"soon"}"#, ["/expires_at"]),
    (#"{"name":"A","environment":"live"}"#, ["/environment"]),
  ])
  func `422 for a key that cannot be`(body: String, places: [String]) async throws {
    let client = try await TestControlPlane.shared.client
    let (_, project) = try await Self.project(of: client)
    let reply = try await client.post("\(project)/api-keys", body)
    #expect(reply.status == 422)
    #expect(try Set(reply.places) == Set(places), "\(reply.text)")
  }

  @Test(arguments: [#"{"grace_seconds":-1}"#, #"{"grace_seconds":604801}"#, #"{"grace":1}"#])
  func `422 for a grace that cannot be`(body: String) async throws {
    let client = try await TestControlPlane.shared.client
    let (_, project) = try await Self.project(of: client)
    let path = try #require(
      try await client.post("\(project)/api-keys", #"{"name":"A"}"#)["location"])
    #expect(try await client.post("\(path):rotate", body).status == 422)
  }

  @Test func `404 across tenants and across projects`() async throws {
    let plane = try await TestControlPlane.shared
    let client = plane.client
    let (organization, project) = try await Self.project(of: client)
    let path = try #require(
      try await client.post("\(project)/api-keys", #"{"name":"A"}"#)["location"])
    let id = try #require(path.split(separator: "/").last)
    let elsewhere = try await Self.project(of: client).project
    let beside = try await client.makeProject(in: organization, "Beside")
    let stranger = try await plane.makeUser().client
    for (caller, key) in [
      (client, "\(elsewhere)/api-keys/\(id)"), (client, "\(beside)/api-keys/\(id)"),
      (stranger, path),
    ] {
      #expect(try await caller.get(key).status == 404)
      #expect(try await caller.get("\(key)?as_of=4").status == 404)
      // Not 412, which would say that there is such a key.
      #expect(try await caller.patch(key, #"{"name":"B"}"#, ifMatch: #""9""#).status == 404)
      #expect(try await caller.post("\(key):rotate").status == 404)
      #expect(try await caller.send("DELETE", key).status == 404)
    }
    let unknown = elsewhere.dropLast() + (elsewhere.hasSuffix("0") ? "1" : "0")
    for keys in ["\(unknown)/api-keys", "\(organization)/projects/x/api-keys"] {
      #expect(try await client.get(keys).status == 404)
      #expect(try await client.post(keys, #"{"name":"A"}"#).status == 404)
    }
    #expect(try await client.get(path).json["version"]?.integer == 1)
  }

  @Test func `409 in an archived project, but keys can be revoked`() async throws {
    let client = try await TestControlPlane.shared.client
    let (_, project) = try await Self.project(of: client)
    let path = try #require(
      try await client.post("\(project)/api-keys", #"{"name":"A"}"#)["location"])
    _ = try await client.post("\(project)/archive", headers: ["If-Match": "*"])
    for reply in try await [
      client.post("\(project)/api-keys", #"{"name":"B"}"#), client.post("\(path):rotate"),
      client.patch(path, #"{"name":"B"}"#),
    ] {
      #expect(reply.status == 409)
      #expect(try reply.problem == "archived")
    }
    #expect(try await client.send("DELETE", path).status == 204)
  }

  @Test func `a token that is bound to a project makes keys there and nowhere else`() async throws {
    let plane = try await TestControlPlane.shared
    let owner = plane.client
    let (organization, project) = try await Self.project(of: owner)
    let other = try await owner.makeProject(in: organization, "Other")
    let soon = Timestamp.now.advanced(by: 86_400_000_000).rfc3339
    let id = try #require(project.split(separator: "/").last)
    let made = try await owner.post(
      "\(organization)/service-tokens",
      #"{"name":"CI","role":"developer","expires_at":"\#(soon)","project_ids":["\#(id)"]}"#)
    let token = owner.with(token: try #require(made.json["token"]?.string))
    let key = try await token.post("\(project)/api-keys", #"{"name":"A"}"#)
    #expect(key.status == 201, "\(key.text)")
    #expect(try key.json["created_by"]?["kind"]?.string == "token")
    #expect(try await token.post("\(other)/api-keys", #"{"name":"A"}"#).status == 404)
    #expect(try await token.get("\(other)/api-keys").status == 404)
    let tokenID = try made.json["id"]?.string ?? ""
    _ = try await owner.send("DELETE", "\(organization)/service-tokens/\(tokenID)")
    #expect(try await token.post("\(project)/api-keys", #"{"name":"B"}"#).status == 401)
  }

  static func time(_ text: String) -> Timestamp? {
    Timestamp(rfc3339: text)
  }
}

/// At the limit of a plan, with real concurrency.
@Suite struct APIKeyLimitTests {
  @Test func `of 100 who want a key at once, as many get one as the plan allows`() async throws {
    try await TestControlPlane.with(replicas: 2, { $0.plans = .standard }) { planes in
      let client = planes[0].client
      let (organization, project) = try await APIKeyOutcomeTests.project(of: client)
      for (allowed, tier) in [(2, "free"), (10, "plus")] {
        _ = try await client.put(
          "\(organization)/plan", #"{"plan_tier":"\#(tier)"}"#, headers: ["If-Match": "*"])
        let replies = try await withThrowingTaskGroup(of: HTTPReply.self) { group in
          for number in 0..<100 {
            group.addTask {
              try await planes[number % 2].client.post(
                "\(project)/api-keys", #"{"name":"\#(number)"}"#)
            }
          }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(replies.map(\.status)) == [201, 402])
        let keys = try await client.all("\(project)/api-keys")
        #expect(keys.count == allowed)
        let refused = try #require(replies.first { $0.status == 402 })
        #expect(try refused.problem == "plan-limit-exceeded")
        #expect(try refused.json["limit"]?.string == "api_keys_per_project")
        #expect(try refused.json["usage"]?.integer == Int64(allowed))
      }
      let keys = try await client.all("\(project)/api-keys")
      let paths = keys.map { "\(project)/api-keys/\($0["id"]?.string ?? "")" }
      // In rotation it counts once, revoked not at all.
      #expect(try await client.post("\(paths[0]):rotate", #"{"grace_seconds":60}"#).status == 200)
      #expect(try await client.post("\(project)/api-keys", #"{"name":"A"}"#).status == 402)
      #expect(try await client.send("DELETE", paths[1]).status == 204)
      #expect(try await client.post("\(project)/api-keys", #"{"name":"A"}"#).status == 201)
      #expect(try await client.post("\(project)/api-keys", #"{"name":"B"}"#).status == 402)
      try await planes[0].database.withApplicationSession { session throws in
        #expect(try Rebuild.differences(session, deadline: .soon) == [])
      }
    }
  }

  @Test func `a role that is taken away makes no key with the next request`() async throws {
    let plane = try await TestControlPlane.shared
    let (organization, project) = try await APIKeyOutcomeTests.project(of: plane.client)
    let id = try #require(OrganizationID(String(organization.split(separator: "/")[2])))
    let ben = try await plane.makeUser()
    try await plane.addMember(ben.id, role: .developer, to: id)
    #expect(try await ben.client.post("\(project)/api-keys", #"{"name":"A"}"#).status == 201)
    _ = try await plane.client.patch("\(organization)/members/\(ben.id)", #"{"role":"viewer"}"#)
    #expect(try await ben.client.post("\(project)/api-keys", #"{"name":"B"}"#).status == 403)
    #expect(try await ben.client.get("\(project)/api-keys").status == 200)
    _ = try await plane.client.send(
      "DELETE", "\(organization)/members/\(ben.id)", headers: ["If-Match": "*"])
    #expect(try await ben.client.get("\(project)/api-keys").status == 404)
  }

  @Test func `a fact that comes before its turn is in the tables too`() async throws {
    try await TestControlPlane.with { planes in
      let client = planes[0].client
      let (organization, project) = try await APIKeyOutcomeTests.project(of: client)
      _ = try await client.post("\(project)/api-keys", #"{"name":"A"}"#)
      let state = try await client.get("\(organization)/onboarding").json["state"]
      #expect(state == .string("project_created"))
      try await planes[0].database.withApplicationSession { session throws in
        let differences = try Rebuild.differences(session, deadline: .soon)
        #expect(differences == [])
      }
    }
  }

  @Test func `the first key is a fact of onboarding`() async throws {
    let client = try await TestControlPlane.shared.client
    let (organization, project) = try await APIKeyOutcomeTests.project(of: client)
    _ = try await client.post("\(organization)/onboarding/facts", #"{"step":"provider_connected"}"#)
    #expect(
      try await client.get("\(organization)/onboarding").json["state"]?.string
        == "provider_connected")
    _ = try await client.post("\(project)/api-keys", #"{"name":"A"}"#)
    #expect(
      try await client.get("\(organization)/onboarding").json["state"]?.string == "key_issued")
  }
}
