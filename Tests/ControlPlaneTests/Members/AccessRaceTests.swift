import ControlPlane
import Domain
import FoundationEssentials
import JSON
import Mail
import Postgres
import Support
import Testing

/// What must hold whatever the order in which requests arrive, through two replicas on one database.
@Suite struct AccessRaceTests {
  @Test func `of two last owners who demote each other one stays`() async throws {
    try await TestControlPlane.with(replicas: 2) { replicas in
      let plane = replicas[0]
      let (one, other) = (try await plane.makeUser(), try await plane.makeUser())
      let path = try await one.client.makeOrganization()
      let id = try #require(OrganizationID(String(path.split(separator: "/")[2])))
      try await plane.addMember(other.id, role: .owner, to: id, by: one.id)
      let there = TestClient(http: replicas[1].client.http, token: other.client.token)
      for round in 0..<1000 {
        let change: @Sendable (TestClient, UserID) async throws -> HTTPReply = { client, target in
          round % 2 == 0
            ? try await client.patch("\(path)/members/\(target)", #"{"role":"admin"}"#)
            : try await client.post("\(path)/leave")
        }
        async let first = change(one.client, other.id)
        async let second = change(there, one.id)
        let replies = try await [first, second]
        #expect(replies.count { $0.status < 300 } <= 1, "\(round) \(replies.map(\.text))")
        let owners = try await Self.owners(of: id, plane)
        try #require(owners.count == 1, "round \(round): \(owners)")
        // Whoever is left makes the other one an owner again.
        let (left, lost) = owners == [one.id] ? (one, other) : (other, one)
        if replies.contains(where: { $0.status < 300 }) {
          let again = try await left.client.patch(
            "\(path)/members/\(lost.id)", #"{"role":"owner"}"#)
          if again.status == 404 {
            try await plane.addMember(lost.id, role: .owner, to: id, by: left.id)
          }
        }
      }
    }
  }

  /// The other replica remembers the role, and a change does not ask before it is decided: what it rests on is looked at
  /// again behind the lock on the log's head.
  @Test func `a role that was taken away on one replica changes nothing on the other`() async throws
  {
    try await TestControlPlane.with(replicas: 2) { replicas in
      let plane = replicas[0]
      let (owner, member) = (try await plane.makeUser(), try await plane.makeUser())
      let path = try await owner.client.makeOrganization()
      let id = try #require(OrganizationID(String(path.split(separator: "/")[2])))
      try await plane.addMember(member.id, role: .developer, to: id, by: owner.id)
      let project = try await owner.client.makeProject(in: path)
      let there = TestClient(http: replicas[1].client.http, token: member.client.token)
      for round in 0..<20 {
        let before = try await there.patch(project, #"{"name":"Before \#(round)"}"#)
        try #require(before.status == 200, "\(round): \(before.text)")
        let demoted = try await owner.client.patch(
          "\(path)/members/\(member.id)", #"{"role":"viewer"}"#)
        try #require(demoted.status == 200, "\(round): \(demoted.text)")
        let after = try await there.patch(project, #"{"name":"After \#(round)"}"#)
        #expect(after.status == 403, "\(round): \(after.text)")
        let promoted = try await owner.client.patch(
          "\(path)/members/\(member.id)", #"{"role":"developer"}"#)
        try #require(promoted.status == 200, "\(round): \(promoted.text)")
      }
    }
  }

  @Test func `a limit is exact under a hundred at once`() async throws {
    try await TestControlPlane.with(replicas: 2, { $0.plans = .standard }) { replicas in
      let plane = replicas[0]
      let path = try await plane.client.makeOrganization()
      let id = try #require(OrganizationID(String(path.split(separator: "/")[2])))
      // Five projects and fifteen members, the owner among them.
      let plan = try await plane.client.send(
        "PUT", "\(path)/plan", #"{"plan_tier":"plus"}"#, headers: ["If-Match": "*"])
      #expect(plan.status == 200, "\(plan.text)")
      let projects = try await Self.hundred(replicas) { client, number in
        try await client.post(
          "\(path)/projects", #"{"name":"\#(number)","environment":"live"}"#)
      }
      #expect(projects.count { $0.status == 201 } == 5)
      #expect(projects.count { $0.status == 402 } == 95)
      let refused = try #require(projects.first { $0.status == 402 }).json
      #expect(refused["code"]?.string == "plan-limit-exceeded")
      #expect(refused["limit"]?.string == "projects")
      #expect(refused["allowed"]?.integer == 5)
      #expect(refused["usage"]?.integer == 5)
      #expect(refused["plan"]?.string == "plus")
      #expect(refused["upgrade"]?.string == "business")

      let invitations = try await Self.hundred(replicas) { client, number in
        try await client.post(
          "\(path)/invitations", #"{"email":"\#(number)@example.com","role":"viewer"}"#)
      }
      #expect(invitations.count { $0.status == 201 } == 14)
      #expect(invitations.count { $0.status == 402 } == 86)

      let mails = try await Self.mails(14, replicas)
      // Members take the places of their invitations, so that there are never more than fifteen.
      let accepted = try await Self.hundred(replicas) { client, number -> HTTPReply? in
        let mail = mails.first { $0.to.text == "\(number)@example.com" }
        guard let mail else { return nil }
        let person = try plane.signIn("\(number)@example.com")
        let token = try #require(mail.text.firstMatch(of: /sbi_[0-9A-Za-z]+/)).output
        return try await TestClient(http: client.http, token: person.token).post(
          "/v1/invitations/accept", #"{"token":"\#(token)"}"#)
      }
      #expect(accepted.compactMap(\.self).map(\.status) == Array(repeating: 200, count: 14))
      #expect(try await plane.client.all("\(path)/members").count == 15)
      let limits = try await plane.client.get("\(path)/limits").json
      let members = try #require(
        limits["limits"]?.array?.first { $0["limit"] == .string("members") })
      #expect(members["usage"]?.integer == 15)
      let late = try await plane.client.post(
        "\(path)/invitations", #"{"email":"late@example.com","role":"viewer"}"#)
      #expect(late.status == 402)
      _ = id
    }
  }

  private static func owners(
    of id: OrganizationID, _ plane: TestControlPlane
  ) async throws -> [UserID] {
    try await plane.database.withSession { session throws in
      try session.execute(
        """
        SELECT user_id FROM memberships WHERE organization_id = \(id.uuid) AND role = 'owner'
        """, deadline: .soon
      ).map { row throws in UserID(try row.decode(UUID.self)) }
    }
  }

  /// Mail is sent behind the reply.
  private static func mails(
    _ count: Int, _ replicas: [TestControlPlane]
  ) async throws -> [MailMessage] {
    for _ in 0..<100 {
      let mails = replicas.flatMap { $0.mailbox.messages.map(\.message) }
      if mails.count >= count { return mails }
      try await Task.sleep(for: .milliseconds(50))
    }
    return []
  }

  private static func hundred<Value: Sendable>(
    _ replicas: [TestControlPlane],
    _ body: @escaping @Sendable (TestClient, Int) async throws -> Value
  ) async throws -> [Value] {
    try await withThrowingTaskGroup { group in
      for number in 0..<100 {
        group.addTask { try await body(replicas[number % 2].client, number) }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
  }
}
