import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

/// What the database shows of people when the application asks for too much: the second lock.
@Suite struct PeopleRowSecurityTests {
  private static let tables = [
    "users", "personal_access_tokens", "data_subjects", "idempotency_records",
  ]

  /// How many rows of a table that meet a condition the application sees as a principal.
  private static func count(
    _ condition: Query, as principal: String, _ database: TestDatabase
  ) async throws -> Int64 {
    try await database.withApplicationSession { session throws in
      try session.pipeline(
        [
          "SELECT set_config('signalbox.principal', \(principal), true)",
          "SELECT count(*) FROM " + condition,
        ], deadline: .soon)[1][0].decode(Int64.self)
    }
  }

  @Test(arguments: tables)
  func `row security holds for the owner of the schema too`(table: String) async throws {
    let database = try await TestControlPlane.shared.database
    let flags = try await database.withSession { session throws in
      try session.execute(
        "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = \(table)",
        deadline: .soon)[0].decode((Bool, Bool).self)
    }
    #expect(flags == (true, true))
  }

  @Test(arguments: tables)
  func `who does not say for whom they read sees nothing, loudly`(table: String) async throws {
    let plane = try await TestControlPlane.shared
    let database = plane.database
    // Of a table without rows, no row would be asked about.
    let path = try await plane.client.makeOrganization()
    let invited = try await plane.client.post(
      "\(path)/invitations", #"{"email":"\#(UUID())@example.com","role":"viewer"}"#,
      headers: ["Idempotency-Key": UUID().uuidString])
    #expect(invited.status == 201)
    try await database.withApplicationSession { session throws in
      _ = try session.execute("RESET signalbox.principal", deadline: .soon)
      #expect(throws: PostgresError.self) {
        try session.execute(
          "SELECT count(*) FROM \(fragment: Query(unchecked: table))", deadline: .soon)
      }
    }
  }

  @Test func `the application cannot read the server's secrets`() async throws {
    let database = try await TestControlPlane.shared.database
    try await database.withApplicationSession { session throws in
      for statement: Query in [
        "SELECT value FROM server_secrets",
        "INSERT INTO server_secrets (name, value) VALUES ('x', '')",
        "DELETE FROM server_secrets",
      ] {
        #expect(throws: PostgresError.self) { try session.execute(statement, deadline: .soon) }
      }
    }
  }

  @Test func `people see themselves and those they share a workspace with`() async throws {
    let plane = try await TestControlPlane.shared
    let database = plane.database
    let (ada, ben, eve) = (
      try await plane.makeUser(), try await plane.makeUser(), try await plane.makeUser()
    )
    let path = try await ada.client.makeOrganization()
    let id = try #require(OrganizationID(String(path.split(separator: "/")[2])))
    try await plane.addMember(ben.id, role: .viewer, to: id, by: ada.id)
    func sees(_ principal: String, _ other: UserID) async throws -> Bool {
      try await Self.count("users WHERE user_id = \(other.uuid)", as: principal, database) == 1
    }
    let (asAda, asEve) = ("user:\(ada.id.uuid)", "user:\(eve.id.uuid)")
    #expect(try await sees(asAda, ada.id))
    #expect(try await sees(asAda, ben.id))
    #expect(try await !sees(asAda, eve.id))
    #expect(try await !sees(asEve, ada.id))
    #expect(try await sees("service_token:\(id.uuid)", ben.id))
    #expect(try await !sees("service_token:\(id.uuid)", eve.id))
    #expect(try await sees("system", eve.id))
    #expect(try await Self.count("users", as: asEve, database) == 1)
    // As soon as they share nothing any more, they are strangers.
    #expect(try await ada.client.send("DELETE", "\(path)/members/\(ben.id)").status == 200)
    #expect(try await !sees(asAda, ben.id))
    #expect(try await ada.client.get("\(path)/members/\(ben.id)?as_of=6").status == 200)
  }

  @Test func `tokens and stored replies are shown to no one else`() async throws {
    let plane = try await TestControlPlane.shared
    let database = plane.database
    let (ada, eve) = (try await plane.makeUser(), try await plane.makeUser())
    let key = UUID().uuidString
    _ = try await ada.client.post(
      "/v1/organizations", #"{"name":"A"}"#, headers: ["Idempotency-Key": key])
    let (asAda, asEve) = ("user:\(ada.id.uuid)", "user:\(eve.id.uuid)")
    let tokens: Query = "personal_access_tokens WHERE user_id = \(ada.id.uuid)"
    #expect(try await Self.count(tokens, as: asAda, database) == 1)
    #expect(try await Self.count(tokens, as: asEve, database) == 0)
    #expect(try await Self.count("personal_access_tokens", as: asEve, database) == 1)
    let replies: Query = "idempotency_records WHERE key = \(key)"
    #expect(try await Self.count(replies, as: "system", database) == 1)
    #expect(try await Self.count(replies, as: asAda, database) == 0)
    #expect(try await Self.count(replies, as: asEve, database) == 0)
  }

  @Test func `the key of an invited address opens for the workspace that invited`() async throws {
    let plane = try await TestControlPlane.shared
    let database = plane.database
    let (ada, eve) = (try await plane.makeUser(), try await plane.makeUser())
    let path = try await ada.client.makeOrganization()
    let invited = try await ada.client.post(
      "\(path)/invitations", #"{"email":"\#(UUID())@example.com","role":"viewer"}"#)
    #expect(invited.status == 201)
    let keys: Query = "data_subjects"
    #expect(try await Self.count(keys, as: "user:\(ada.id.uuid)", database) == 1)
    #expect(try await Self.count(keys, as: "user:\(eve.id.uuid)", database) == 0)
    let listed = try await ada.client.get("\(path)/invitations").json["data"]?.array
    #expect(listed?.first?["email"]?.string?.hasSuffix("@example.com") == true)
  }

  /// The application's check is off: strangers pass for owners, and the database shows them nothing nevertheless.
  @Test func `behind an open door, members, tokens and addresses stay hidden`() async throws {
    try await TestControlPlane.with({ $0.checksMembership = false }) { planes in
      let plane = planes[0]
      let ada = try plane.signIn("ada.hidden@example.com", name: "Ada Hidden")
      let eve = try plane.signIn("eve@example.com")
      let path = try await ada.makeOrganization()
      let adaID = try await ada.userID(plane)
      _ = try await ada.post(
        "\(path)/invitations", #"{"email":"ben.hidden@example.com","role":"viewer"}"#)
      for target in [
        "\(path)/members", "\(path)/members/\(adaID)", "\(path)/invitations",
        "\(path)/service-tokens", "/v1/me/tokens", "/v1/me",
      ] {
        let reply = try await eve.get(target)
        #expect(!reply.text.lowercased().contains("hidden"), "\(target): \(reply.text)")
      }
      #expect(try await ada.get("\(path)/members").text.contains("Ada Hidden"))
      #expect(try await ada.get("\(path)/invitations").text.contains("ben.hidden@example.com"))
    }
  }
}
