import Domain
import EventStore
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

@Suite struct StoredWorkspaceTests {
  /// A snapshot that lies shows who reads it.
  @Test(arguments: [(Int32(Workspace.foldVersion), "from the snapshot"), (9999, "Acme")])
  func `a state is loaded from the snapshot of the same fold and no other`(
    foldVersion: Int32, name: String
  ) async throws {
    try await TestControlPlane.with(replicas: 2) { replicas in
      let organization = try await replicas[0].makeOrganization()
      try await replicas[0].database.withApplicationSession { session throws in
        var state = StoredWorkspace()
        for row in try session.execute(
          EventLog.events(of: organization.uuid, versions: 1...2), deadline: .soon)
        {
          try state.fold(RecordedEvent(row))
        }
        let text = String(
          decoding: try CanonicalJSONEncoder().encode(state.workspace), as: UTF8.self)
        let forged = text.replacing(#""name":"Acme""#, with: #""name":"from the snapshot""#)
        #expect(forged != text)
        let snapshot = Snapshot(
          organizationID: organization.uuid, head: state.head, foldVersion: foldVersion,
          state: Array(forged.utf8))
        _ = try session.execute(snapshot.insert, deadline: .soon)
      }
      // The replica that has not cached the state loads it.
      let outcome = try await replicas[1].handle(
        .organization(.rename(name: nil, slug: "loaded")), in: organization)
      #expect(try JSONValue.parse(outcome.body)["name"] == .string(name))
      let past = try await replicas[1].client.get("/v1/organizations/\(organization)?as_of=2")
      #expect(try past.json["name"] == .string(name))
    }
  }

  /// What it was padded with is no part of the state: only its size counts.
  @Test func `a large workspace is loaded beside the writer, and then takes its commands`()
    async throws
  {
    try await TestControlPlane.with(replicas: 2) { replicas in
      let large = try await replicas[0].makeOrganization()
      let small = try await replicas[0].makeOrganization()
      try await replicas[0].database.withApplicationSession { session throws in
        var state = StoredWorkspace()
        for row in try session.execute(
          EventLog.events(of: large.uuid, versions: 1...2), deadline: .soon)
        {
          try state.fold(RecordedEvent(row))
        }
        let text = String(
          decoding: try CanonicalJSONEncoder().encode(state.workspace), as: UTF8.self)
        let padding = String(repeating: "x", count: 3 << 20)
        let forged =
          text.replacing(#""name":"Acme""#, with: #""name":"from the snapshot""#)
          .dropLast() + #","padding":"\#(padding)"}"#
        let snapshot = Snapshot(
          organizationID: large.uuid, head: state.head,
          foldVersion: Int32(Workspace.foldVersion), state: Array(forged.utf8))
        _ = try session.execute(snapshot.insert, deadline: .soon)
      }
      let replica = replicas[1]
      let names = try await withThrowingTaskGroup(
        of: JSONValue?.self, returning: [JSONValue?].self
      ) { group in
        for number in 0..<16 {
          group.addTask {
            let outcome = try await replica.handle(
              .organization(.rename(name: nil, slug: "slug-\(number)")),
              in: number.isMultiple(of: 2) ? large : small)
            return try JSONValue.parse(outcome.body)["name"]
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(names.count { $0 == .string("from the snapshot") } == 8)
      #expect(names.count { $0 == .string("Acme") } == 8)
      // The other replica, which had it all along, and this one go on with each other's changes.
      for turn in 0..<4 {
        let outcome = try await replicas[turn % 2].handle(
          .organization(.rename(name: "Turn \(turn)", slug: nil)), in: large)
        #expect(try JSONValue.parse(outcome.body)["name"] == .string("Turn \(turn)"))
      }
    }
  }

  @Test func `a workspace that cannot be folded stops, and the others go on`() async throws {
    try await TestControlPlane.with(replicas: 2) { replicas in
      let (broken, sound) = (
        try await replicas[0].makeOrganization(), try await replicas[0].makeOrganization()
      )
      try await replicas[0].database.withSession { session throws in
        try session.executeScript(
          """
          ALTER TABLE events DISABLE TRIGGER events_append_only;
          ALTER TABLE events NO FORCE ROW LEVEL SECURITY;
          UPDATE events SET type = 'organization.vanished' WHERE type = 'organization.created'
            AND organization_id = '\(broken.uuid)';
          """, deadline: .soon)
      }
      let path = "/v1/organizations"
      let stopped = try await replicas[1].client.patch("\(path)/\(broken)", #"{"name":"B"}"#)
      #expect(stopped.status == 503)
      #expect(try stopped.problem == "workspace-stopped")
      let other = try await replicas[1].client.patch("\(path)/\(sound)", #"{"name":"B"}"#)
      #expect(other.status == 200)
      // What the tables say can still be read.
      #expect(try await replicas[1].client.get("\(path)/\(broken)").status == 200)
    }
  }

  @Test func `long histories are kept as snapshots`() async throws {
    try await TestControlPlane.with { planes in
      let plane = planes[0]
      let organization = try await plane.makeOrganization()
      for number in 0..<505 {
        _ = try await plane.handle(
          .organization(.rename(name: "\(number)", slug: nil)), in: organization)
      }
      let deadline = ContinuousClock.now + .seconds(10)
      var snapshot: Snapshot?
      while snapshot == nil, .now < deadline {
        snapshot = try await plane.database.withApplicationSession { session throws in
          try session.execute(
            Snapshot.newest(of: [organization.uuid], foldVersion: Int32(Workspace.foldVersion)),
            deadline: .soon
          ).first.map { row throws in try Snapshot(row) }
        }
      }
      let state = try StoredWorkspace(try #require(snapshot))
      #expect(state.head.version >= 500)
      #expect(state.workspace.version == state.head.version)
      #expect(state.workspace.organization?.name == "\(state.head.version - 4)")
    }
  }
}
