import Domain
import EventStore
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

/// What `signalbox verify` finds, and how it names the place.
@Suite struct VerificationTests {
  /// A change that nobody should be able to make, and what is said of it.
  struct Forgery: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let sql: String
    let check: Finding.Check
    var version: Int64?
    var table: String?
    var key = ""
    var reason: String
  }

  static let forgeries = [
    Forgery(
      testDescription: "an event's payload",
      sql: "UPDATE events SET payload = payload || '{\"name\":\"forged\"}' WHERE version = 3",
      check: .chain, version: 3, reason: "was changed"),
    Forgery(
      testDescription: "an event's actor",
      sql: "UPDATE events SET actor_id = gen_random_uuid() WHERE version = 3",
      check: .chain, version: 3, reason: "was changed"),
    Forgery(
      testDescription: "an event that is gone", sql: "DELETE FROM events WHERE version = 3",
      check: .chain, version: 3, reason: "missing, up to version 3"),
    Forgery(
      testDescription: "an event that is gone, by its position",
      sql: "DELETE FROM events WHERE version = 3", check: .positions, reason: "missing"),
    Forgery(
      testDescription: "a link", sql: "UPDATE events SET previous_hash = hash WHERE version = 3",
      check: .chain, version: 3, reason: "does not follow"),
    Forgery(
      testDescription: "an unknown type",
      sql: "UPDATE events SET type = 'project.vanished' WHERE version = 3",
      check: .fold, version: 3, reason: "cannot be folded"),
    Forgery(
      testDescription: "the log's head",
      sql: "UPDATE event_log_head SET position = position + 1 WHERE singleton",
      check: .positions, reason: "its head says"),
    Forgery(
      testDescription: "a row that differs", sql: "UPDATE projects SET rate_limit = 7",
      check: .tables, table: "projects", key: "project_id=",
      reason: "differs from what the events say in rate_limit"),
    Forgery(
      testDescription: "a row that is gone", sql: "DELETE FROM organization_slugs",
      check: .tables, table: "organization_slugs", reason: "the row is missing"),
    Forgery(
      testDescription: "a row that no event made",
      sql:
        "INSERT INTO memberships (organization_id, user_id, role, version, created_at, updated_at) "
        + "SELECT organization_id, gen_random_uuid(), 'owner', 1, now(), now() FROM organizations",
      check: .tables, table: "memberships", key: "user_id=", reason: "no event says so"),
    Forgery(
      testDescription: "an audit row that is gone",
      sql: "DELETE FROM workspace_audit_events WHERE version = 2",
      check: .audit, version: 2, table: "workspace_audit_events", reason: "the row is missing"),
    Forgery(
      testDescription: "an audit row that differs",
      sql: "UPDATE workspace_audit_events SET actor_kind = 'system' WHERE version = 2",
      check: .audit, version: 2, table: "workspace_audit_events", reason: "in actor_kind"),
    Forgery(
      testDescription: "a balance",
      sql: "UPDATE organizations SET credit_logs_balance = credit_logs_balance + 1",
      check: .ledger, table: "organizations", reason: "is not the sum of the ledger"),
    Forgery(
      testDescription: "the ledger",
      sql:
        "UPDATE events SET payload = jsonb_set(payload, '{units}', '1') WHERE type = 'credits.purchased'",
      check: .ledger, reason: "is not the sum of the ledger"),
    Forgery(
      testDescription: "numbers at the end of their type",
      sql:
        "UPDATE events SET payload = payload || '{\"units\": 9223372036854775807, \"balance\": -9223372036854775808}' "
        + "WHERE type = 'credits.purchased'", check: .ledger, reason: "is not the sum of the ledger"
    ),
  ]

  @Test func `what was done by commands holds, and every forgery is found and named`() async throws
  {
    try await TestControlPlane.with { planes in
      let plane = planes[0]
      let organization = try await plane.makeOrganization()
      _ = try await plane.client.makeProject(in: "/v1/organizations/\(organization)")
      let order = PurchaseOrder(
        purchaseID: CreditPurchaseID(Identifiers.next()), paymentID: "pi_1",
        package: CreditPackage.all[0], amount: 1500, currency: "usd")
      _ = try await plane.handle(.credits(.complete(order)), in: organization)
      try await plane.database.withSession { session throws in
        let clean = try Verification().run(session, deadline: .soon)
        #expect(clean.findings == [])
        #expect(clean.events == clean.position)
        try session.executeScript(Self.unlocking, deadline: .soon)
        for forgery in Self.forgeries {
          try session.executeScript(Self.saving, deadline: .soon)
          try session.executeScript(forgery.sql, deadline: .soon)
          let report = try Verification().run(session, deadline: .soon)
          #expect(
            report.findings.contains { Self.matches($0, forgery, organization) },
            "\(forgery.testDescription): \(report.findings.map(\.line))")
          let some = try Verification(organization: organization).run(session, deadline: .soon)
          if forgery.check != .positions {
            #expect(
              some.findings.contains { Self.matches($0, forgery, organization) },
              "\(forgery.testDescription): \(some.findings.map(\.line))")
          }
          try session.executeScript(Self.restoring, deadline: .soon)
        }
        #expect(try Verification().run(session, deadline: .soon).findings == [])
        #expect(session.transactionStatus == .idle)
      }
    }
  }

  @Test func `a tail that was cut cleanly is found by a head that was kept`() async throws {
    try await TestControlPlane.with { planes in
      let organization = try await planes[0].makeOrganization()
      _ = try await planes[0].client.makeProject(in: "/v1/organizations/\(organization)")
      try await planes[0].database.withSession { session throws in
        var heads: [KnownHead] = []
        _ = try Verification().run(session, deadline: .soon) { heads.append($0) }
        let text = heads.map { $0.json.bytes() + Array("\n".utf8) }.flatMap { $0 }
        let known = try KnownHead.list(parsing: text)
        #expect(known == heads && !known.isEmpty)
        #expect(try Verification(known: known).run(session, deadline: .soon).holds)
        try session.executeScript(Self.unlocking, deadline: .soon)
        // Whoever cuts it rebuilds everything else, too.
        try session.executeScript(
          """
          DELETE FROM projects;
          DELETE FROM workspace_audit_events WHERE position = (SELECT max(position) FROM events);
          DELETE FROM events WHERE position = (SELECT max(position) FROM events);
          UPDATE event_log_head SET position = position - 1 WHERE singleton;
          """, deadline: .soon)
        let found = try Verification(known: known).run(session, deadline: .soon).findings
        let cut = try #require(found.first { $0.check == .heads })
        let head = try #require(heads.first { $0.stream == cut.stream })
        #expect(cut.version == head.version)
        #expect(cut.reason.hasPrefix("missing: the stream ends at version"))
        let forged = known.map { KnownHead(stream: $0.stream, version: 1, hash: $0.hash) }
        let other = try Verification(known: forged).run(session, deadline: .soon).findings
        #expect(other.contains { $0.check == .heads && $0.version == 1 })
      }
    }
  }

  @Test(arguments: ["{}", "x", #"{"organization_id":"org_1","version":1,"hash":"00"}"#])
  func `heads that are none are refused, with their line`(line: String) {
    let error = #expect(throws: KnownHead.Unreadable.self) {
      try KnownHead.list(parsing: Array(line.utf8))
    }
    #expect(error?.line == 1)
  }

  private static func matches(
    _ finding: Finding, _ forgery: Forgery, _ organization: OrganizationID
  ) -> Bool {
    finding.check == forgery.check && (forgery.version.map { $0 == finding.version } ?? true)
      && (forgery.table.map { $0 == finding.table } ?? true)
      && (finding.key ?? "").hasPrefix(forgery.key) && finding.reason.contains(forgery.reason)
      && (forgery.check == .positions || finding.stream == organization.uuid)
  }

  private static let tables = [
    "events", "event_log_head", "organizations", "organization_slugs", "memberships", "projects",
    "workspace_audit_events",
  ]

  /// So that rows can be changed at will, and put back.
  private static let unlocking = """
    ALTER TABLE events DISABLE TRIGGER events_append_only;
    ALTER TABLE events NO FORCE ROW LEVEL SECURITY;
    DO $$ DECLARE found record; BEGIN
      FOR found IN SELECT conrelid::regclass AS relation, conname FROM pg_constraint
        WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conparentid = 0
      LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.relation, found.conname);
      END LOOP;
    END $$;
    """

  private static var saving: String {
    tables.map { "CREATE TEMPORARY TABLE saved_\($0) AS SELECT * FROM \($0);" }
      .joined(separator: "\n")
  }

  private static var restoring: String {
    tables.map {
      "DELETE FROM \($0); INSERT INTO \($0) SELECT * FROM saved_\($0); DROP TABLE saved_\($0);"
    }.joined(separator: "\n")
  }
}
