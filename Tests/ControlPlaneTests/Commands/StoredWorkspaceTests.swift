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
