import Domain
import EventStore
import FoundationEssentials
import JSON
import Logging
import Postgres
import Support
import Testing

@testable import ControlPlane

/// What becomes of items that background jobs cannot carry out: FAULTS.md row 20.
@Suite struct SetAsideTests {
  // MARK: Refused

  @Test func `nothing that is not set aside can be replayed`() async throws {
    let client = try await TestControlPlane.shared.client
    for id in ["sai_01jdexamp1e0000000000000sa", "sai_", "org_01jdexamp1e0000000000000rg", "a"] {
      let reply = try await client.post("/v1/platform/set-aside/\(id)\(":replay")")
      #expect(reply.status == 404, "\(id): \(reply.text)")
    }
    #expect(try await client.get("/v1/platform/set-aside?kind=mail").status == 422)
  }

  @Test func `what is set aside is shown page by page`() async throws {
    try await TestControlPlane.with { planes in
      let (client, database) = (planes[0].client, planes[0].database)
      try await database.withSession { session in
        _ = try session.execute(
          """
          INSERT INTO job_attempts (kind, item, attempts, error, set_aside_at) \
          SELECT CASE WHEN n % 2 = 0 THEN 'usage' ELSE 'snapshot' END, n::text, 3, 'test', \
          now() - n * interval '1 minute' FROM generate_series(1, 20) AS n
          """, deadline: .soon)
      }
      let all = try await client.all("/v1/platform/set-aside", limit: 3)
      #expect(all.map { $0["item"]?.string } == (1...20).map { "\($0)" })
      let some = try await client.all("/v1/platform/set-aside?kind=usage", limit: 3)
      #expect(some.map { $0["item"]?.string } == (1...10).map { "\(2 * $0)" })
      let page = try await client.get("/v1/platform/set-aside?limit=1").json
      let cursor = try #require(page["next_cursor"]?.string)
      #expect(
        try await client.get("/v1/platform/set-aside?kind=usage&cursor=\(cursor)").status == 422)
    }
  }

  // MARK: Usage

  @Test func `a workspace that cannot be counted is set aside, and others are counted all along`()
    async throws
  {
    try await TestControlPlane.with { planes in
      let (plane, client) = (planes[0], planes[0].client)
      let bad = try await EvidenceWorld(plane)
      let good = try await EvidenceWorld(plane)
      let id = try #require(OrganizationID(String(bad.path.split(separator: "/").last ?? "")))
      try await plane.database.poison(
        "usage_reports", "DELETE", when: "OLD.organization_id = '\(id.uuid)'")
      for _ in 0..<3 {
        _ = try await bad.report([EvidenceRecord(project: bad.project)])
        _ = try await good.report([EvidenceRecord(project: good.project)])
      }
      #expect(try await good.settledUsage()["pending"] == .integer(0))
      let item = try #require(try await client.setAside(.usage).first)
      #expect(item["item"]?.string == "\(id)" && item["organization_id"]?.string == "\(id)")
      #expect(try await client.setAsideMetric("signalbox_set_aside_items", .usage) == 1)
      #expect(try await client.setAsideMetric("signalbox_set_aside_total", .usage) == 1)
      // It is left alone, whatever comes; and others are not.
      _ = try await bad.report([EvidenceRecord(project: bad.project)])
      _ = try await good.report([EvidenceRecord(project: good.project)])
      #expect(try await good.settledUsage()["pending"] == .integer(0))
      #expect(try await client.setAside(.usage).first?["attempts"] == .integer(3))
      // Not yet mended.
      let dry = try await client.post(
        "/v1/platform/set-aside/\(item["id"]?.string ?? "")\(":replay")?dry_run=true")
      #expect(try dry.json["resource"]?["status"]?.string == "set_aside", "\(dry.text)")
      #expect(try await client.replay(item) == "set_aside")
      try await plane.database.mend("usage_reports")
      #expect(try await client.replay(item) == "done")
      #expect(try await client.setAside(.usage, count: 0).isEmpty)
      #expect(try await client.setAsideMetric("signalbox_set_aside_items", .usage) == 0)
      let usage = try await bad.settledUsage()
      #expect(usage["pending"] == .integer(0) && usage.counts == [4, 0, 0], "\(usage)")
    }
  }
}

/// Payments and webhooks.
@Suite struct SetAsideDeliveryTests {
  @Test(arguments: [true, false])
  func `a Stripe event that cannot be read becomes a dead letter, and others are applied`(
    isReplayedAsItem: Bool
  ) async throws {
    try await TestControlPlane.with { planes in
      let (client, database) = (planes[0].client, planes[0].database)
      let world = try await StripeWorld.make(on: planes[0])
      let refund = world.refund(500)
      #expect(try await client.outcome(refund) == "parked")
      let id = world.id("evt_refunded")
      let payload = try await database.withSession { session in
        let rows = try session.execute(
          "SELECT payload::text FROM stripe_events WHERE event_id = \(id)", deadline: .soon)
        _ = try session.execute(
          "UPDATE stripe_events SET payload = '{}' WHERE event_id = \(id)", deadline: .soon)
        return try rows[0].decode(String.self)
      }
      // The waits between the attempts are of no interest.
      for _ in 0..<200 where try await client.all("/v1/platform/set-aside").isEmpty {
        try await database.withSession { session in
          _ = try session.execute(
            """
            UPDATE stripe_events SET retry_at = now() \
            WHERE event_id = \(id) AND retry_at IS NOT NULL
            """, deadline: .soon)
        }
        try await Task.sleep(for: .milliseconds(200))
      }
      let item = try #require(try await client.setAside(.stripeEvent).first)
      #expect(item["item"]?.string == id)
      let letter = try await client.stripeEvent(id)
      #expect(letter["status"]?.string == "failed" && letter["retry_at"] == .null, "\(letter)")
      #expect(letter["reason"]?.string?.contains("set aside") == true, "\(letter)")
      // Stripe sends it again, and nothing is tried.
      let attempts = letter["attempts"]?.integer
      #expect(try await client.outcome(refund) == "failed")
      #expect(try await client.stripeEvent(id)["attempts"]?.integer == attempts)
      // Others are applied: the purchase that the refund waits for, too.
      #expect(try await client.outcome(world.purchase()) == "applied")
      #expect(try await world.balance() > 0)
      #expect(try await client.replay(item) == "set_aside")
      #expect(try await client.stripeEvent(id)["status"]?.string == "failed")
      let balance = try await world.balance()
      try await database.withSession { session in
        _ = try session.execute(
          "UPDATE stripe_events SET payload = \(payload)::jsonb WHERE event_id = \(id)",
          deadline: .soon)
      }
      if isReplayedAsItem {
        #expect(try await client.replay(item) == "done")
      } else {
        let reply = try await client.post("/v1/platform/stripe-events/\(id)\(":replay")")
        #expect(reply.status == 200, "\(reply.text)")
      }
      #expect(try await client.stripeEvent(id)["status"]?.string == "applied")
      #expect(try await world.balance() < balance)
      #expect(try await client.setAside(.stripeEvent, count: 0).isEmpty)
    }
  }

  @Test func `a workspace whose webhooks cannot be dispatched is set aside alone`() async throws {
    try await TestControlPlane.withOpenWebhooks { planes in
      let (client, database) = (planes[0].client, planes[0].database)
      let receiver = try await WebhookReceiver.start()
      let bad = try await client.makeWebhookEndpoint(
        receiver.url("/bad"), types: ["project.created"])
      let good = try await client.makeWebhookEndpoint(
        receiver.url("/good"), types: ["project.created"])
      let id = try bad.ids.0
      try await database.poison(
        "webhook_deliveries", "INSERT", when: "NEW.organization_id = '\(id.uuid)'")
      for number in 1...3 {
        _ = try await client.makeProject(in: bad.organization)
        _ = try await client.makeProject(in: good.organization)
        #expect(try await receiver.wait { $0.count == number })
      }
      let item = try #require(try await client.setAside(.webhookDispatch).first)
      #expect(item["item"]?.string == "\(id)")
      #expect(try await client.setAsideMetric("signalbox_set_aside_total", .webhookDispatch) == 1)
      _ = try await client.makeProject(in: good.organization)
      #expect(try await receiver.wait { $0.count == 4 })
      #expect(receiver.messages.allSatisfy { $0.path == "/good" })
      try await database.mend("webhook_deliveries")
      #expect(try await client.replay(item) == "done")
      #expect(try await receiver.wait { $0.count == 7 })
      #expect(receiver.messages.count { $0.path == "/bad" } == 3)
      #expect(try await client.setAside(.webhookDispatch, count: 0).isEmpty)
    }
  }

  @Test func `an event that cannot be read stops no endpoint`() async throws {
    try await TestControlPlane.withOpenWebhooks { planes in
      let (client, database) = (planes[0].client, planes[0].database)
      let receiver = try await WebhookReceiver.start()
      let endpoint = try await client.makeWebhookEndpoint(
        receiver.url(), types: ["project.created"])
      #expect(try await client.post("\(endpoint.path):disable").status == 200)
      for name in ["A", "B", "C"] {
        _ = try await client.makeProject(in: endpoint.organization, name)
      }
      let organization = try endpoint.ids.0.uuid
      let (event, hash) = try await database.withSession { session in
        let rows = try session.execute(
          """
          SELECT event_id, hash FROM events WHERE organization_id = \(organization) \
          AND type = 'project.created' ORDER BY version OFFSET 1 LIMIT 1
          """, deadline: .soon)
        let found = try rows[0].decode((UUID, [UInt8]).self)
        try session.executeScript(
          """
          ALTER TABLE events DISABLE TRIGGER events_append_only;
          ALTER TABLE events NO FORCE ROW LEVEL SECURITY; ALTER TABLE events ALTER hash DROP NOT NULL;
          UPDATE events SET hash = NULL WHERE event_id = '\(found.0)';
          """, deadline: .soon)
        return found
      }
      #expect(try await client.post("\(endpoint.path):enable").status == 200)
      // What is behind it waits for its second attempt only.
      #expect(try await receiver.wait(for: .seconds(20)) { $0.count == 2 })
      let item = try #require(try await client.setAside(.webhookDelivery).first)
      #expect(item["item"]?.string?.hasSuffix("/\(EventID(event))") == true, "\(item)")
      let delivery = try await client.get("\(endpoint.path)/deliveries?status=dead").json
      #expect(delivery["data"]?.array?.count == 1, "\(delivery)")
      try await database.withSession { session in
        _ = try session.execute(
          "UPDATE events SET hash = \(hash) WHERE event_id = \(event)", deadline: .soon)
      }
      #expect(try await client.replay(item) == "done")
      #expect(try await receiver.wait { $0.count == 3 })
      #expect(receiver.messages.last?["webhook-id"] == "\(EventID(event))")
    }
  }
}

/// What happens by itself.
@Suite struct SetAsideUpkeepTests {
  @Test func `a panic mode that cannot be ended keeps no other from its end`() async throws {
    try await TestControlPlane.with { planes in
      let (client, database) = (planes[0].client, planes[0].database)
      var projects: [String] = []
      for _ in 0..<3 {
        projects.append(try await client.makeProject(in: client.makeOrganization()))
      }
      let bad = try #require(ProjectID(String(projects[0].split(separator: "/").last ?? "")))
      try await database.poison(
        "projects", "UPDATE",
        when: "NEW.project_id = '\(bad.uuid)' AND NEW.panic_mode_until IS NULL")
      for (number, project) in projects.enumerated() {
        let end = Timestamp.now.advanced(by: 1_500_000 + Int64(number) * 1000)
        let reply = try await client.put(
          "\(project)/panic-mode", #"{"enabled":true,"until":"\#(end.rfc3339)"}"#)
        #expect(reply.status == 200, "\(reply.text)")
      }
      let item = try #require(try await client.setAside(.panicMode).first)
      #expect(item["item"]?.string == "\(bad)")
      for project in projects.dropFirst() {
        #expect(try await client.get(project).json["panic_mode"]?["enabled"] == .bool(false))
      }
      #expect(try await client.replay(item) == "set_aside")
      try await database.mend("projects")
      #expect(try await client.replay(item) == "done")
      #expect(try await client.get(projects[0]).json["panic_mode"]?["enabled"] == .bool(false))
      #expect(try await client.setAside(.panicMode, count: 0).isEmpty)
    }
  }

  @Test func `a snapshot that cannot be kept is set aside, and replayed from the log`() async throws
  {
    try await TestControlPlane.with { planes in
      let (plane, client, database) = (planes[0], planes[0].client, planes[0].database)
      let id = try await plane.makeOrganization()
      try await database.poison("snapshots", "INSERT", when: "NEW.organization_id = '\(id.uuid)'")
      let pool = Pool(options: database.application.asSystem, minimum: 0, maximum: 2)
      var logger = Logger(label: "test")
      logger.logLevel = .critical
      let writer = SnapshotWriter(
        pool: pool,
        attempts: JobAttempts(
          pool: pool, holder: .random(in: 1 ... .max), metrics: Metrics(), logger: logger),
        logger: logger)
      let stored = try await WorkspaceLoader(pool: pool).load(id).get()
      for attempt in 1...3 {
        writer.save(stored.workspace, of: id, at: stored.head)
        for _ in 0..<200 {
          let attempts = try await database.withSession { session throws in
            try session.execute("SELECT attempts, holder FROM job_attempts", deadline: .soon)
              .first.map { row throws in try row.decode((Int32, Int64?).self) }
          }
          if let attempts, attempts.0 == attempt, attempts.1 == nil { break }
          try await Task.sleep(for: .milliseconds(20))
        }
      }
      let item = try #require(try await client.setAside(.snapshot).first)
      try await database.mend("snapshots")
      #expect(try await client.replay(item) == "done")
      let versions = try await database.withSession { session throws in
        try session.execute("SELECT version FROM snapshots", deadline: .soon)
          .map { row throws in try row.decode(Int64.self) }
      }
      #expect(versions == [stored.head.version])
      await pool.close()
    }
  }

  @Test func `a note that the database refuses is dropped, and the others are kept`() async throws {
    let database = try await TestPostgres.database()
    try await database.withSession { session in
      try session.executeScript(
        """
        CREATE TABLE notes (id bigint PRIMARY KEY, note bigint CHECK (note <> 13));
        GRANT ALL ON notes TO signalbox_app;
        """, deadline: .soon)
    }
    let pool = Pool(options: database.application.asSystem, minimum: 0, maximum: 1)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let notes = LatestNotes<Int64, Int64>(of: "tests", pool: pool, logger: logger) { notes in
      let keys = Array(notes.keys)
      return """
        INSERT INTO notes SELECT * FROM unnest(\(keys), \(keys.map { notes[$0] ?? 0 })) \
        ON CONFLICT (id) DO UPDATE SET note = excluded.note
        """
    }
    for number in 0..<100 { notes.note(Int64(number), of: Int64(number)) }
    await notes.write()
    // It does not come back, and what is noted anew is written.
    notes.note(7, of: 13)
    await notes.write()
    let found = try await database.withSession { session throws in
      try session.execute("SELECT id, note FROM notes ORDER BY id", deadline: .soon)
        .map { row throws in try row.decode((Int64, Int64).self) }
    }
    #expect(found.map(\.0) == (0..<100).map { Int64($0) })
    #expect(found.map(\.1) == (0..<100).map { $0 == 13 ? 7 : Int64($0) })
    await pool.close()
  }
}
