import Domain
import FoundationEssentials
import Postgres
import Support
import Testing

@testable import ControlPlane

@Suite struct RebuildTests {
  @Test func `tables that were written by commands equal the log`() async throws {
    try await TestControlPlane.with(replicas: 2) { replicas in
      try await Self.makeHistory(replicas, seed: 42)
      try await replicas[0].database.withApplicationSession { session throws in
        #expect(try Rebuild.differences(session, deadline: .soon) == [])
      }
    }
  }

  /// The table that a forgery is found in, and how many rows differ.
  static let forgeries = [
    ("organizations", "UPDATE organizations SET name = 'forged'", 2),
    ("organization_slugs", "UPDATE organization_slugs SET slug = 'forged'", 2),
    ("memberships", "UPDATE memberships SET role = 'viewer'", 2),
    ("memberships", "DELETE FROM memberships", 1),
    (
      "memberships",
      """
      INSERT INTO memberships (organization_id, user_id, role, version, created_at, updated_at) \
      SELECT organization_id, gen_random_uuid(), 'owner', 1, now(), now() FROM organizations
      """,
      1
    ),
    ("projects", "UPDATE projects SET panic_mode = NOT panic_mode", 2),
    ("projects", "UPDATE projects SET rate_limit = COALESCE(rate_limit, 0) + 1", 2),
    ("projects", "UPDATE projects SET updated_at = updated_at + interval '1 microsecond'", 2),
    ("projects", "DELETE FROM projects", 1),
    ("workspace_audit_events", "DELETE FROM workspace_audit_events WHERE version = 2", 1),
    (
      "workspace_audit_events",
      "UPDATE workspace_audit_events SET actor_id = gen_random_uuid() WHERE version = 2", 2
    ),
    (
      "workspace_audit_events",
      "UPDATE workspace_audit_events SET after = after || '{\"name\": \"forged\"}' WHERE version = 2",
      2
    ),
  ]

  @Test func `a row that says something else is found`() async throws {
    try await TestControlPlane.with { planes in
      _ = try await planes[0].client.makeProject(in: planes[0].client.makeOrganization())
      try await planes[0].database.withSession { session throws in
        // So that rows can be put back.
        try session.executeScript(
          """
          ALTER TABLE memberships DROP CONSTRAINT memberships_organization_id_fkey;
          ALTER TABLE projects DROP CONSTRAINT projects_organization_id_fkey;
          """, deadline: .soon)
        for (table, forgery, count) in Self.forgeries {
          try session.executeScript(
            "CREATE TEMPORARY TABLE before AS SELECT * FROM \(table)", deadline: .soon)
          try session.executeScript(forgery, deadline: .soon)
          let differences = try Rebuild.differences(session, deadline: .soon)
          #expect(Set(differences.map(\.table)) == [table], "\(forgery)")
          #expect(differences.count == count, "\(forgery): \(differences)")
          try session.executeScript(
            """
            DELETE FROM \(table); INSERT INTO \(table) SELECT * FROM before; DROP TABLE before
            """, deadline: .soon)
        }
        #expect(try Rebuild.differences(session, deadline: .soon) == [])
      }
    }
  }

  @Test func `address and user agent are the audit's own`() async throws {
    try await TestControlPlane.with { planes in
      _ = try await planes[0].client.makeOrganization()
      try await planes[0].database.withSession { session throws in
        try session.executeScript(
          "UPDATE workspace_audit_events SET ip = NULL, user_agent = NULL", deadline: .soon)
        #expect(try Rebuild.differences(session, deadline: .soon) == [])
      }
    }
  }

  @Test func `an event that cannot be folded is an error, and the session is as before`()
    async throws
  {
    try await TestControlPlane.with { planes in
      _ = try await planes[0].client.makeOrganization()
      try await planes[0].database.withSession { session throws in
        try session.executeScript(
          """
          ALTER TABLE events DISABLE TRIGGER events_append_only;
          ALTER TABLE events NO FORCE ROW LEVEL SECURITY;
          UPDATE events SET type = 'organization.vanished' WHERE type = 'organization.created';
          """, deadline: .soon)
        #expect(throws: UnknownEventType.self) {
          try Rebuild.differences(session, deadline: .soon)
        }
        #expect(session.transactionStatus == .idle)
      }
    }
  }

  /// Commands of all kinds in random order, the same with the same seed.
  static func makeHistory(_ replicas: [TestControlPlane], seed: UInt64) async throws {
    var random = SeededGenerator(seed: seed)
    for number in 0..<3 {
      let organization = try await replicas[0].makeOrganization("org-\(seed)-\(number)")
      var projects: [ProjectID] = []
      for step in 0..<40 {
        let command: WorkspaceCommand
        let project = projects.randomElement(using: &random)
        var thresholds = ThresholdChanges()
        thresholds.rateLimit = step % 3 == 0 ? .some(nil) : Int64(step + 1)
        switch (Int.random(in: 0..<6, using: &random), project) {
        case (0, _), (_, nil):
          let id = ProjectID(Identifiers.next())
          projects.append(id)
          command = .project(.create(id, name: "P\(step)", environment: .test))
        case (1, let id?): command = .project(.archive(id))
        case (2, let id?): command = .project(.setPanicMode(id, enabled: true, reason: "\(step)"))
        case (3, let id?): command = .project(.setPanicMode(id, enabled: false, reason: nil))
        case (4, let id?): command = .project(.change(id, name: "Q\(step)", thresholds: thresholds))
        case (_, _?): command = .organization(.rename(name: "Ä\(step)", slug: nil))
        }
        do {
          _ = try await replicas[step % replicas.count].handle(command, in: organization)
        } catch CommandError.rejected(.archived) {
          // Archived projects take no changes: a part of the history like any other.
        }
      }
    }
  }
}
