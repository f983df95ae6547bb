import Domain
import FoundationEssentials
import JSON
import Support
import Testing

@testable import ControlPlane

/// Service tokens make no others, and those who take away access hear of the tokens that are left.
@Suite struct MadeTokensOutcomeTests {
  /// A workspace, and an admin of it who made a token of their own role.
  private struct World {
    let plane: TestControlPlane
    let owner: TestClient
    let path: String
    let admin: (id: UserID, client: TestClient)
    let tokenID: String
    let token: TestClient

    init() async throws {
      plane = try await TestControlPlane.shared
      let owner = try await plane.makeUser()
      self.owner = owner.client
      path = try await owner.client.makeOrganization()
      let id = try #require(OrganizationID(String(path.split(separator: "/")[2])))
      admin = try await plane.makeUser()
      try await plane.addMember(admin.id, role: .admin, to: id, by: owner.id)
      let made = try await admin.client.post("\(path)/service-tokens", Self.body("admin"))
      tokenID = try #require(made.json["id"]?.string, "\(made.text)")
      token = plane.client.with(token: try #require(made.json["token"]?.string))
    }

    static func body(_ role: String) -> String {
      let soon = Timestamp.now.advanced(by: 86_400_000_000).rfc3339
      return #"{"name":"CI","role":"\#(role)","expires_at":"\#(soon)"}"#
    }

    func listed(_ reply: HTTPReply) throws -> [String?] {
      (try reply.json["service_tokens"]?.array ?? []).map { $0["id"]?.string }
    }
  }

  @Test func `a token neither makes nor rotates tokens, and may end them`() async throws {
    let world = try await World()
    let tokens = "\(world.path)/service-tokens"
    for (path, body) in [
      (tokens, World.body("viewer")),
      ("\(tokens)/\(world.tokenID)/rotate", #"{"grace_seconds":60}"#),
    ] {
      for query in ["", "?dry_run=true"] {
        let reply = try await world.token.post(path + query, body)
        #expect(reply.status == 403, "\(reply.text)")
        #expect(try reply.problem == "person-required")
      }
    }
    #expect(try await world.owner.all(tokens).count == 1)
    #expect(try await world.token.get(tokens).status == 200)
    #expect(try await world.token.send("DELETE", "\(tokens)/\(world.tokenID)").status == 204)
    #expect(try await world.token.get(tokens).status == 401)
  }

  @Test func `the reply to a removal lists the tokens that go on working`() async throws {
    let world = try await World()
    let member = "\(world.path)/members/\(world.admin.id)"
    let dry = try await world.owner.send("DELETE", "\(member)?dry_run=true")
    #expect(dry.status == 200)
    #expect(try dry.json["resource"]?["service_tokens"]?.array?.count == 1)
    let reply = try await world.owner.send("DELETE", member)
    #expect(reply.status == 200, "\(reply.text)")
    #expect(try world.listed(reply) == [world.tokenID])
    #expect(try reply.json["service_tokens"]?.array?.first?["revoked_at"] == .null)
    #expect(try await world.admin.client.get(world.path).status == 404)
    #expect(try await world.token.get(world.path).status == 200)
  }

  @Test func `a removal ends the tokens too when it says so, in one command`() async throws {
    let world = try await World()
    let member = "\(world.path)/members/\(world.admin.id)?revoke_tokens=true"
    let key = ["Idempotency-Key": UUID().uuidString]
    let reply = try await world.owner.send("DELETE", member, headers: key)
    #expect(reply.status == 200, "\(reply.text)")
    #expect(try world.listed(reply) == [world.tokenID])
    #expect(try reply.json["service_tokens"]?.array?.first?["revoked_at"]?.string != nil)
    #expect(try await world.token.get(world.path).status == 401)
    let events = try await world.owner.all("\(world.path)/events")
    let types = events.suffix(2).map { $0["type"]?.string }
    #expect(types == ["member.removed", "service_token.revoked"])
    let again = try await world.owner.send("DELETE", member, headers: key)
    #expect(again.body == reply.body)
    for query in ["revoke_tokens=maybe", "revoke=true"] {
      let wrong = try await world.owner.send(
        "DELETE", "\(world.path)/members/\(world.admin.id)?\(query)")
      #expect(wrong.status == 422, "\(wrong.text)")
    }
  }

  @Test(arguments: [false, true])
  func `who leaves hears of their tokens and can end them`(revokes: Bool) async throws {
    let world = try await World()
    let reply = try await world.admin.client.post(
      "\(world.path)/leave\(revokes ? "?revoke_tokens=true" : "")")
    #expect(reply.status == 200, "\(reply.text)")
    #expect(try world.listed(reply) == [world.tokenID])
    #expect(try await world.token.get(world.path).status == (revokes ? 401 : 200))
  }

  @Test(arguments: [false, true])
  func `a lower role lists the tokens that may do more, and can end them`(
    revokes: Bool
  ) async throws {
    let world = try await World()
    let weak = try await world.admin.client.post(
      "\(world.path)/service-tokens", World.body("viewer"))
    #expect(weak.status == 201)
    let reply = try await world.owner.patch(
      "\(world.path)/members/\(world.admin.id)\(revokes ? "?revoke_tokens=true" : "")",
      #"{"role":"developer"}"#)
    #expect(reply.status == 200, "\(reply.text)")
    #expect(try world.listed(reply) == [world.tokenID])
    #expect(try await world.token.get(world.path).status == (revokes ? 401 : 200))
    let kept = world.token.with(token: try #require(weak.json["token"]?.string))
    #expect(try await kept.get(world.path).status == 200)
  }

  @Test func `who is erased leaves no token behind, in an archived workspace either`()
    async throws
  {
    let world = try await World()
    let archived = try await world.admin.client.makeOrganization("Archived")
    let made = try await world.admin.client.post(
      "\(archived)/service-tokens", World.body("viewer"))
    let other = world.token.with(token: try #require(made.json["token"]?.string))
    #expect(
      try await world.admin.client.post("\(archived)/archive", headers: ["If-Match": "*"]).status
        == 200)
    let erased = try await world.admin.client.send("DELETE", "/v1/users/\(world.admin.id)")
    #expect(erased.status == 204, "\(erased.text)")
    #expect(try await world.token.get(world.path).status == 401)
    #expect(try await other.get(archived).status == 401)
  }

  @Test func `a personal token opens nothing of a workspace that its person has left`()
    async throws
  {
    let world = try await World()
    #expect(try await world.admin.client.get(world.path).status == 200)
    #expect(
      try await world.owner.send("DELETE", "\(world.path)/members/\(world.admin.id)").status == 200)
    #expect(try await world.admin.client.get(world.path).status == 404)
    #expect(try await world.admin.client.get("/v1/me").status == 200)
  }
}
