import ControlPlane
import Domain
import FoundationEssentials
import JSON
import Mail
import Postgres
import Support
import Testing

/// People come and go: sign in, invite, accept, hand over, and are forgotten.
@Suite struct PeopleTests {
  @Test func `whoever signs in is known, by the name that the token says now`() async throws {
    let plane = try await TestControlPlane.shared
    let email = "\(UUID())@example.com"
    let first = try await plane.signIn(email, name: "Ada").get("/v1/me").json
    let second = try await plane.signIn(email.uppercased(), name: "Ada L.").get("/v1/me").json
    #expect(first["user"]?["id"] == second["user"]?["id"])
    #expect(first["user"]?["name"] == .string("Ada"))
    #expect(second["user"]?["name"] == .string("Ada L."))
    #expect(second["memberships"] == .array([]))
  }

  @Test func `an invitation is good once, for one address, until it is sent again`() async throws {
    let plane = try await TestControlPlane.shared
    let owner = try plane.signIn("\(UUID())@example.com")
    let path = try await owner.makeOrganization()
    let email = "\(UUID())@example.com".lowercased()
    let made = try await owner.post(
      "\(path)/invitations", #"{"email":"\#(email)","role":"developer"}"#)
    #expect(made.status == 201, "\(made.text)")
    #expect(!made.text.contains("sbi_"))
    let id = try #require(made.json["id"]?.string)
    let first = try await Self.token(to: email, plane)
    let guest = try plane.signIn(email)
    let other = try plane.signIn("\(UUID())@example.com")
    #expect(try await other.accept(first).status == 403)
    #expect(try await guest.get(path).status == 404)
    let twice = try await owner.post(
      "\(path)/invitations", #"{"email":"\#(email.uppercased())","role":"viewer"}"#)
    #expect(twice.status == 409, "\(twice.text)")

    #expect(try await owner.post("\(path)/invitations/\(id)/resend").status == 200)
    let second = try await Self.token(to: email, plane, not: first)
    #expect(try await guest.accept(first).status == 404)
    let accepted = try await guest.accept(second)
    #expect(accepted.status == 200, "\(accepted.text)")
    #expect(try accepted.json["organization_id"]?.string == String(path.split(separator: "/")[2]))
    #expect(try await guest.get(path).status == 200)
    #expect(try await guest.accept(second).status == 409)
    // The log holds neither address nor token.
    let events = try await owner.get("\(path)/events").text
    for secret in [email, first, second] { #expect(!events.contains(secret)) }
  }

  @Test func `people whose address is beyond ASCII are invited, and no one else accepts`()
    async throws
  {
    let plane = try await TestControlPlane.shared
    let owner = try plane.signIn("\(UUID())@example.com")
    let mark = "\(UUID())".lowercased()
    let path = try await owner.makeOrganization()
    let invited = try await owner.post(
      "\(path)/invitations", #"{"email":"JÜRGEN-\#(mark)@exämple.com","role":"viewer"}"#)
    #expect(invited.status == 201, "\(invited.text)")
    #expect(try invited.json["email"]?.string == "JÜRGEN-\(mark)@exämple.com")
    let token = try await Self.token(to: "jürgen-\(mark)@exämple.com", plane)
    for other in [
      "jurgen-\(mark)@exämple.com", "jürgen-\(mark)@example.com",
      "ju\u{308}rgen-\(mark)@exämple.com",
    ] {
      #expect(try await plane.signIn(other).accept(token).status == 403, "\(other)")
    }
    let twice = try await owner.post(
      "\(path)/invitations", #"{"email":"jürgen-\#(mark)@xn--exmple-cua.com","role":"viewer"}"#)
    #expect(twice.status == 409, "\(twice.text)")
    let jürgen = try plane.signIn("jürgen-\(mark)@exämple.com")
    let accepted = try await jürgen.accept(token)
    #expect(accepted.status == 200, "\(accepted.text)")
    let member = try await owner.post(
      "\(path)/invitations", #"{"email":"Jürgen-\#(mark)@exämple.com","role":"viewer"}"#)
    #expect(try member.problem == "already-member")
    for bad in ["\u{212A}im@example.com", "ad\u{202E}a@example.com", "a@b.com\\nBcc: eve@x.org"] {
      let reply = try await owner.post(
        "\(path)/invitations", #"{"email":"\#(bad)","role":"viewer"}"#)
      #expect(reply.status == 422, "\(reply.text)")
    }
  }

  @Test func `nobody is invited to where they are`() async throws {
    let plane = try await TestControlPlane.shared
    let mail = "\(UUID())@example.com"
    let owner = try plane.signIn(mail)
    let path = try await owner.makeOrganization()
    let invited = try await owner.post(
      "\(path)/invitations", #"{"email":"\#(mail.uppercased())","role":"viewer"}"#)
    #expect(invited.status == 409, "\(invited.text)")
    #expect(try invited.json["type"]?.string?.hasSuffix("already-member") == true)
  }

  @Test(arguments: [
    ("POST", "/v1/organizations"), ("POST", "/v1/me/tokens"), ("POST", "/v1/invitations/accept"),
    ("DELETE", "/v1/users/\(UserID(UUID()))"),
  ])
  func `what only a person may do is refused before anything is read`(
    method: String, path: String
  ) async throws {
    let plane = try await TestControlPlane.shared
    let owner = try plane.signIn("\(UUID())@example.com")
    let soon = Timestamp.now.advanced(by: 86_400_000_000).rfc3339
    let made = try await owner.post(
      "\(owner.makeOrganization())/service-tokens",
      #"{"name":"CI","role":"admin","expires_at":"\#(soon)"}"#)
    let token = owner.with(token: try #require(made.json["token"]?.string))
    let refused = try await token.send(
      method, "\(path)?bogus=1", headers: ["Idempotency-Key": ""])
    #expect(refused.status == 403, "\(refused.text)")
  }

  @Test func `a service token does what it is for, until it is rotated or revoked`() async throws {
    let plane = try await TestControlPlane.shared
    let owner = try plane.signIn("\(UUID())@example.com")
    let path = try await owner.makeOrganization()
    let (one, other) = (
      try await owner.makeProject(in: path, "One"), try await owner.makeProject(in: path, "Two")
    )
    let project = try #require(one.split(separator: "/").last)
    let soon = Timestamp.now.advanced(by: 86_400_000_000).rfc3339
    let made = try await owner.post(
      "\(path)/service-tokens",
      #"{"name":"CI","role":"developer","expires_at":"\#(soon)","project_ids":["\#(project)"]}"#)
    #expect(made.status == 201, "\(made.text)")
    let id = try #require(made.json["id"]?.string)
    let token = owner.with(token: try #require(made.json["token"]?.string))
    #expect(try await token.patch(one, #"{"name":"Uno"}"#).status == 200)
    #expect(try await token.get(other).status == 404)
    #expect(try await token.get("\(path)/projects").json["data"]?.array?.count == 1)
    #expect(try await token.get("\(path)/members").status == 403)
    let entry = try await owner.get("\(path)/audit-events?action=project.renamed").json
    #expect(entry["data"]?.array?.first?["actor"]?["id"] == .string(id))

    let rotated = try await owner.post(
      "\(path)/service-tokens/\(id)/rotate", #"{"grace_seconds":60}"#)
    let fresh = owner.with(token: try #require(rotated.json["token"]?.string))
    #expect(try await token.get(one).status == 200)
    #expect(try await fresh.get(one).status == 200)
    let final = try await owner.post(
      "\(path)/service-tokens/\(id)/rotate", #"{"grace_seconds":0}"#)
    let last = owner.with(token: try #require(final.json["token"]?.string))
    #expect(try await fresh.get(one).status == 401)
    #expect(try await last.get(one).status == 200)
    #expect(try await owner.send("DELETE", "\(path)/service-tokens/\(id)").status == 204)
    #expect(try await last.get(one).status == 401)
    let text = try await owner.get("\(path)/events").text
    for client in [token, fresh, last] { #expect(!text.contains(client.token ?? "sbx_")) }
  }

  @Test func `who is erased is forgotten, and what they did still verifies`() async throws {
    try await TestControlPlane.with { planes in
      let plane = planes[0]
      let (mail, name) = ("ada@example.com", "Ada Lovelace")
      let owner = try plane.signIn("owner@example.com", name: "Owner")
      let ada = try plane.signIn(mail, name: name)
      let path = try await owner.makeOrganization()
      _ = try await owner.post(
        "\(path)/invitations", #"{"email":"\#(mail)","role":"owner"}"#)
      #expect(try await ada.accept(Self.token(to: mail, plane)).status == 200)
      let id = try await ada.userID(plane)
      _ = try await ada.makeProject(in: path, "Hers")
      let alone = try await ada.makeOrganization("Alone")
      let elsewhere = try await owner.makeOrganization("Elsewhere")
      let pending = try await owner.post(
        "\(elsewhere)/invitations", #"{"email":"\#(mail)","role":"viewer"}"#)
      #expect(try pending.json["email"]?.string == mail)
      // A workspace of her own would be left without an owner: nothing is done, and a dry run says so.
      #expect(try await ada.send("DELETE", "/v1/users/\(id)?dry_run=true").status == 409)
      #expect(try await ada.send("DELETE", "/v1/users/\(id)").status == 409)
      #expect(try await ada.get(path).status == 200)
      #expect(try await owner.send("DELETE", "/v1/users/\(id)").status == 404)
      #expect(try await ada.post("\(alone)/archive", headers: ["If-Match": "*"]).status == 200)
      let erased = try await ada.send("DELETE", "/v1/users/\(id)")
      #expect(erased.status == 204, "\(erased.text)")
      // The identity provider still vouches for her, and would make a new user of her.
      #expect(try await ada.get("/v1/me").status == 401)
      let invitations = try await owner.get("\(elsewhere)/invitations")
      #expect(try invitations.json["data"]?.array?.count == 1)
      #expect(!invitations.text.contains(mail))

      #expect(try await plane.client.get("/v1/me").status == 200)
      let audit = try await owner.get("\(path)/audit-events").text
      #expect(!audit.contains(mail) && !audit.contains(name))
      #expect(audit.contains("\(id)"))
      try await plane.database.withSession { session throws in
        #expect(try Rebuild.differences(session, deadline: .soon) == [])
        for table in ["users", "invitations", "data_subjects", "workspace_audit_events", "events"] {
          let rows = try session.execute(
            "SELECT count(*) FROM \(fragment: Query(unchecked: table)) AS t WHERE t::text ILIKE '%lovelace%' OR t::text ILIKE '%ada@example%'",
            deadline: .soon)
          #expect(try rows[0].decode(Int64.self) == 0, "\(table)")
        }
      }
    }
  }

  @Test func `onboarding goes on by itself and ends when all is there`() async throws {
    let plane = try await TestControlPlane.shared
    let owner = try plane.signIn("\(UUID())@example.com")
    let path = try await owner.makeOrganization()
    let onboarding = "\(path)/onboarding"
    func state() async throws -> String? {
      try await owner.get(onboarding).json["state"]?.string
    }
    #expect(try await state() == "workspace_created")
    let early = try await owner.post("\(onboarding)/complete")
    #expect(early.status == 409)
    #expect(try early.json["missing"]?.array?.isEmpty == false)
    #expect(try early.json["allowed"]?.array != nil)
    // Facts come in any order.
    for fact in ["first_request_seen", "key_issued", "provider_connected"] {
      let body = #"{"step":"\#(fact)"}"#
      #expect(try await owner.post("\(onboarding)/facts", body).status == 403)
      #expect(try await plane.client.post("\(onboarding)/facts", body).status == 200)
    }
    #expect(try await state() == "workspace_created")
    #expect(try await owner.post("\(onboarding)/dismiss").status == 200)
    #expect(try await state() == "dismissed")
    #expect(try await owner.post("\(onboarding)/resume").status == 200)
    _ = try await owner.makeProject(in: path)
    #expect(try await state() == "first_request_seen")
    #expect(try await owner.post("\(onboarding)/complete").status == 200)
    #expect(try await state() == "completed")
  }

  @Test func `a smaller plan keeps what is there and allows no more`() async throws {
    try await TestControlPlane.with({ $0.plans = .standard }) { planes in
      let (plane, owner) = (planes[0], try planes[0].signIn("owner@example.com"))
      let path = try await owner.makeOrganization()
      func put(_ tier: String) async throws -> Int {
        try await owner.send(
          "PUT", "\(path)/plan", #"{"plan_tier":"\#(tier)"}"#, headers: ["If-Match": "*"]
        ).status
      }
      #expect(try await put("plus") == 200)
      for number in 0..<3 { _ = try await owner.makeProject(in: path, "\(number)") }
      #expect(try await put("free") == 200)
      #expect(try await owner.all("\(path)/projects").count == 3)
      let limits = try await owner.get("\(path)/limits").json
      #expect(limits["over_limit"]?.array?.contains(.string("projects")) == true)
      let more = try await owner.post("\(path)/projects", #"{"name":"4","environment":"live"}"#)
      #expect(more.status == 402)
      #expect(try more.json["upgrade"]?.string == "plus")
      _ = plane
    }
  }

  @Test func `what is over in a project is listed, and a dry run shows it first`() async throws {
    try await TestControlPlane.with({ $0.plans = .standard }) { planes in
      let owner = try planes[0].signIn("owner@example.com")
      let path = try await owner.makeOrganization()
      func put(_ tier: String, dryRun: Bool = false) async throws -> JSONValue {
        let reply = try await owner.send(
          "PUT", "\(path)/plan\(dryRun ? "?dry_run=true" : "")", #"{"plan_tier":"\#(tier)"}"#,
          headers: ["If-Match": "*"])
        #expect(reply.status == 200, "\(reply.text)")
        return try reply.json
      }
      _ = try await put("plus")
      let (full, roomy) = (
        try await owner.makeProject(in: path), try await owner.makeProject(in: path)
      )
      // Three keys let somebody in: one of four was revoked, and one that is rotated counts once with the one in its place.
      var keys: [String] = []
      for number in 0..<4 {
        let made = try await owner.post("\(full)/api-keys", #"{"name":"\#(number)"}"#)
        keys.append(try #require(made["location"]))
      }
      #expect(try await owner.send("DELETE", keys[0]).status < 300)
      #expect(try await owner.post("\(keys[1]):rotate", #"{"grace_seconds":600}"#).status < 300)
      let rules = (0..<11).map { #"{"provider":"p","model":"\#($0)","effect":"deny"}"# }
      let set = try await owner.put(
        "\(full)/rules", #"{"rules":[\#(rules.joined(separator: ","))]}"#,
        headers: ["If-Match": "*"])
      #expect(set.status == 200)
      let before = try await owner.get("\(path)/limits").json
      #expect(before["over_limit"] == .array([]))
      let dry = try await put("free", dryRun: true)
      #expect(try await owner.get("\(path)/limits").json == before, "nothing has happened")
      let changed = try await put("free")
      let limits = try await owner.get("\(path)/limits").json
      #expect(dry["resource"] == limits, "the dry run said so")
      #expect(changed == limits)
      let names = ["projects", "api_keys_per_project", "rules_per_project"].map(JSONValue.string)
      #expect(limits["over_limit"] == .array(names))
      let projects = try #require(limits["projects"]?.array)
      #expect(projects.count == 2)
      for (project, counts) in [(full, [3, 11]), (roomy, [0, 0])] as [(String, [Int64])] {
        let id = String(project.split(separator: "/").last ?? "")
        let entry = try #require(projects.first { $0["project_id"] == .string(id) })
        #expect(entry["limits"]?.array?.compactMap { $0["usage"]?.integer } == counts)
        #expect(entry["limits"]?.array?.compactMap { $0["allowed"]?.integer } == [2, 10])
        #expect(entry["over_limit"]?.array?.count == (project == full ? 2 : 0))
      }
    }
  }

  @Test func `who asks too much is told how long to wait`() async throws {
    try await TestControlPlane.with({
      $0.rateLimits = RateLimiter(
        principal: RateLimitPolicy(.principal, quota: 60, window: 3600, burst: 3),
        address: RateLimitPolicy(.address, quota: 60, window: 3600, burst: 2))
    }) { planes in
      let client = planes[0].client
      var replies: [HTTPReply] = []
      for _ in 0..<5 { replies.append(try await client.get("/v1/me")) }
      #expect(replies.map(\.status) == [200, 200, 200, 429, 429])
      #expect(replies[0]["ratelimit"]?.contains("r=2") == true)
      // A minute each; the machine may be slow.
      #expect(30...60 ~= replies[3]["retry-after"].flatMap { Int($0) } ?? 0)
      #expect(try replies[3].problem == "rate-limited")
      let wrong = client.with(token: "sbp_wrong")
      var attempts: [Int] = []
      for _ in 0..<4 { attempts.append(try await wrong.get("/v1/me").status) }
      #expect(attempts == [401, 401, 429, 429])
    }
  }

  @Test func `nobody can have mail sent without end`() async throws {
    try await TestControlPlane.with({
      $0.rateLimits = RateLimiter(
        invitation: RateLimitPolicy(.invitation, quota: 60, window: 3600, burst: 2))
    }) { planes in
      let owner = try planes[0].signIn("owner@example.com")
      let path = try await owner.makeOrganization()
      let made = try await owner.post(
        "\(path)/invitations", #"{"email":"ada@example.com","role":"viewer"}"#)
      let resend = "\(path)/invitations/\(try made.json["id"]?.string ?? "")/resend"
      #expect(try await owner.post("\(resend)?dry_run=true").status == 200)
      #expect(try await owner.post(resend).status == 200)
      let refused = try await owner.post(resend)
      #expect(refused.status == 429)
      #expect(refused["ratelimit"]?.hasPrefix("\"invitation\";r=0") == true)
      #expect(30...60 ~= refused["retry-after"].flatMap { Int($0) } ?? 0)
      #expect(try await owner.makeOrganization("Elsewhere") != path)
    }
  }

  /// The newest token that was sent to an address.
  static func token(
    to email: String, _ plane: TestControlPlane, not former: String? = nil
  ) async throws -> String {
    for _ in 0..<100 {
      let mail = plane.mailbox.messages.first { $0.message.to.text.lowercased() == email }
      let token = mail?.message.text.firstMatch(of: /sbi_[0-9A-Za-z]+/).map { String($0.output) }
      if let token, token != former { return token }
      try await Task.sleep(for: .milliseconds(50))
    }
    throw CancellationError()
  }
}

extension TestClient {
  func accept(_ token: String) async throws -> HTTPReply {
    try await post("/v1/invitations/accept", #"{"token":"\#(token)"}"#)
  }
}
