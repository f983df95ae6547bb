import Domain
import EventStore
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

/// Many clients at once, through two replicas on one PostgreSQL.
@Suite(.serialized) struct ConcurrencyTests {
  @Test func `64 clients of one workspace lose nothing and double nothing`() async throws {
    try await TestControlPlane.with(replicas: 2) { replicas in
      let organization = try await replicas[0].client.makeOrganization()
      let created = try await Self.inParallel(64) { client in
        let path = try await replicas[client % 2].client.makeProject(in: organization, "\(client)")
        _ = try await replicas[(client + 1) % 2].client.put(
          "\(path)/panic-mode", #"{"enabled":true}"#)
        return path
      }
      #expect(Set(created).count == 64)
      let projects = try await replicas[1].client.all("\(organization)/projects")
      #expect(projects.count == 64)
      #expect(projects.allSatisfy { $0["panic_mode"]?["enabled"] == .bool(true) })
      #expect(projects.allSatisfy { $0["version"]?.integer == 2 })
      try await Self.expectSoundLog(replicas[0].database, events: 5 + 2 * 64)
    }
  }

  @Test func `64 clients of as many workspaces share one gapless log`() async throws {
    try await TestControlPlane.with(replicas: 2) { replicas in
      _ = try await Self.inParallel(64) { client in
        let (one, other) = (replicas[client % 2].client, replicas[(client + 1) % 2].client)
        let path = try await one.makeProject(in: other.makeOrganization("\(client)"))
        // The other replica knows at once.
        #expect(try await other.get(path).status == 200)
        #expect(try await other.patch(path, #"{"name":"B"}"#, ifMatch: #""1""#).status == 200)
        #expect(try await one.get(path).json["name"]?.string == "B")
      }
      try await Self.expectSoundLog(replicas[0].database, events: 1 + 64 * 6)
    }
  }

  /// Large changes are prepared beside the writer, on what may be outdated by the time they are appended.
  @Test func `large changes and small ones of the same workspace, through two replicas`()
    async throws
  {
    try await TestControlPlane.with(replicas: 2) { replicas in
      let organization = try await replicas[0].client.makeOrganization()
      let project = try await replicas[0].client.makeProject(in: organization)
      let sets = (0..<4).map { set in
        let rules = (0..<200).map {
          #"{"provider":"openai","model":"m\#(set * 100 + $0)","effect":"deny"}"#
        }
        return #"{"rules":[\#(rules.joined(separator: ","))]}"#
      }
      let replies = try await Self.inParallel(16) { client in
        let own = replicas[client % 2].client
        guard client < 8 else {
          return try await own.patch(project, #"{"name":"\#(client)"}"#, ifMatch: "*")
        }
        return try await own.put(
          "\(project)/rules", sets[client % 4],
          headers: client < 4
            ? ["If-Match": "*", "Idempotency-Key": "set-\(client)"] : ["If-Match": "*"])
      }
      #expect(replies.allSatisfy { $0.status == 200 }, "\(replies.map(\.status))")
      // Each was appended where its reply says, and nowhere else.
      let positions = replies.compactMap { $0["signalbox-position"] }
      #expect(Set(positions).count == positions.count)
      let rules = try await replicas[1].client.get("\(project)/rules").json["data"]?.array
      #expect(rules?.count == 200)
      let again = try await replicas[1].client.put(
        "\(project)/rules", sets[1], headers: ["If-Match": "*", "Idempotency-Key": "set-1"])
      #expect(again["idempotency-replayed"] == "true")
      #expect(replies.contains { $0.body == again.body })
      try await Self.expectSoundLog(replicas[0].database, events: 6 + positions.count)
    }
  }

  @Test func `64 clients with one key have one effect`() async throws {
    try await TestControlPlane.with(replicas: 2) { replicas in
      let organization = try await replicas[0].client.makeOrganization()
      let replies = try await Self.inParallel(64) { client in
        try await replicas[client % 2].client.post(
          "\(organization)/projects", #"{"name":"A","environment":"live"}"#,
          headers: ["Idempotency-Key": "the-same"])
      }
      #expect(Set(replies.map(\.status)).isSubset(of: [201, 409]))
      let made = replies.filter { $0.status == 201 }
      #expect(made.count >= 1)
      #expect(made.count { $0["idempotency-replayed"] == nil } == 1)
      #expect(Set(made.map(\.text)).count == 1)
      #expect(try await replicas[0].client.all("\(organization)/projects").count == 1)
      try await Self.expectSoundLog(replicas[0].database, events: 6)
    }
  }

  @Test func `of two writers with one If-Match one wins`() async throws {
    try await TestControlPlane.with(replicas: 2) { replicas in
      let path = try await replicas[0].client.makeProject(
        in: replicas[0].client.makeOrganization())
      for version in 1...20 {
        let replies = try await Self.inParallel(2) { writer in
          try await replicas[writer].client.patch(
            path, #"{"name":"\#(version) by \#(writer)"}"#, ifMatch: "\"\(version)\"")
        }
        #expect(replies.map(\.status).sorted() == [200, 412])
        let winner = try #require(replies.first { $0.status == 200 })
        #expect(try await replicas[0].client.get(path).json == winner.json)
      }
      try await Self.expectSoundLog(replicas[0].database, events: 6 + 20)
    }
  }

  @Test func `of 16 who want one slug one gets it`() async throws {
    try await TestControlPlane.with(replicas: 2) { replicas in
      for round in 0..<5 {
        let replies = try await Self.inParallel(16) { client in
          try await replicas[client % 2].client.post(
            "/v1/organizations", #"{"name":"A","slug":"wanted-\#(round)"}"#)
        }
        #expect(replies.count { $0.status == 201 } == 1)
        #expect(replies.count { $0.status == 409 } == 15)
      }
      try await Self.expectSoundLog(replicas[0].database, events: 1 + 5 * 3)
    }
  }

  @Test func `a poisonous command in a full batch fails alone`() async throws {
    try await TestControlPlane.with { planes in
      let plane = planes[0]
      let organization = try await plane.makeOrganization()
      let outcomes = try await Self.inParallel(200) { client in
        let name: ExactText = client % 50 == 7 ? "nul \u{0}" : "\(client)"
        let id = ProjectID(Identifiers.next())
        do {
          _ = try await plane.handle(
            .project(.create(id, name: name, environment: .live)), in: organization)
          return true
        } catch CommandError.failed {
          return false
        }
      }
      #expect(outcomes.count { !$0 } == 4)
      try await Self.expectSoundLog(plane.database, events: 5 + 196)
    }
  }

  /// Versions and positions without gaps, chains unbroken, tables equal to the log.
  /// - Parameter count: the admin's token, three for a workspace, two for its first project, one for whatever else.
  private static func expectSoundLog(
    _ database: TestDatabase, events count: Int, at location: SourceLocation = #_sourceLocation
  ) async throws {
    try await database.withApplicationSession { session throws in
      let events = try session.execute(
        EventLog.events(after: 0, limit: 1_000_000), deadline: .soon
      ).map { row throws in try RecordedEvent(row) }
      #expect(events.map(\.position) == (0..<count).map { Int64($0) + 1 }, sourceLocation: location)
      let head = try session.execute(EventLog.head, deadline: .soon)[0].decode(Int64.self)
      #expect(head == Int64(count), sourceLocation: location)
      var heads: [UUID: StreamHead] = [:]
      for event in events {
        let defect = try HashChain.defect(in: event, after: heads[event.organizationID] ?? .empty)
        #expect(defect == nil, sourceLocation: location)
        heads[event.organizationID] = StreamHead(version: event.version, hash: event.hash)
      }
      #expect(
        try Rebuild.differences(session, deadline: .soon) == [], sourceLocation: location)
    }
  }

  private static func inParallel<Value: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (Int) async throws -> Value
  ) async throws -> [Value] {
    try await withThrowingTaskGroup(of: Value.self) { group in
      for number in 0..<count { group.addTask { try await body(number) } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
  }
}
