import Domain
import FoundationEssentials
import Glibc
import JSON
import Postgres
import Support
import Testing

extension FaultTests {
  /// FAULTS.md row 20, for items that take the process down with them.
  @Suite struct SetAside {
    @Test func `killed three times in the same workspace, it leaves that alone and serves others`()
      async throws
    {
      try await FaultRun.with(Webhooks.settings) { run in
        let client = TestClient(run.server)
        let receiver = try await WebhookReceiver.start()
        let (bad, good) = (try await client.makeOrganization(), try await client.makeOrganization())
        for (organization, path) in [(bad, "/bad"), (good, "/good")] {
          try await Self.makeEndpoint(client, organization, receiver.url(path))
        }
        let id = try #require(OrganizationID(String(bad.split(separator: "/").last ?? "")))
        try await run.database.withSession { session in
          try session.executeScript(
            """
            CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
            CREATE TRIGGER stall BEFORE INSERT ON webhook_deliveries FOR EACH ROW
            WHEN (NEW.organization_id = '\(id.uuid)') EXECUTE FUNCTION stall();
            """, deadline: .now + .seconds(10))
        }
        _ = try await client.makeProject(in: bad, "Bad")
        for number in 1...3 {
          #expect(try await run.isStalled(within: .seconds(30)), run.hint)
          run.server.killNow()
          // As the system does once it finds that nobody listens.
          _ = try await run.database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
          // What was just delivered may still be leased: nobody waits for that to end.
          _ = try await run.database.rows(
            "UPDATE webhook_cursors SET lease_until = now() - interval '1 second'")
          try await run.server.start()
          _ = try await client.makeProject(in: good, "\(number)")
          #expect(try await receiver.wait(for: .seconds(30)) { $0.events == number }, run.hint)
        }
        let items = try await client.setAsideItems(within: .seconds(30))
        #expect(items.map { $0["item"]?.string } == ["\(id)"], run.hint)
        #expect(items.first?["attempts"]?.integer == 3, run.hint)
        #expect(try await run.isStalled(within: .seconds(3)) == false, run.hint)
        // A restart in order changes nothing.
        run.server.signal(SIGTERM)
        #expect(try await run.server.awaitExit(within: .seconds(20)) == 0, run.hint)
        try await run.server.start()
        _ = try await client.makeProject(in: good, "last")
        #expect(try await receiver.wait(for: .seconds(30)) { $0.events == 4 }, run.hint)
        #expect(receiver.messages.allSatisfy { $0.path == "/good" }, run.hint)
        _ = try await run.database.rows("DROP TRIGGER stall ON webhook_deliveries")
        let item = try #require(items.first?["id"]?.string)
        let reply = try await client.post("/v1/platform/set-aside/\(item)\(":replay")")
        #expect(try reply.json["status"]?.string == "done", "\(reply.text)")
        #expect(try await receiver.wait(for: .seconds(10)) { $0.events == 5 }, run.hint)
      }
    }

    @Test func `killed three times during a delivery, it gives that up and sends the next`()
      async throws
    {
      try await FaultRun.with(Webhooks.settings) { run in
        let client = TestClient(run.server)
        let receiver = try await WebhookReceiver.start {
          $0.text.contains("Poison") ? .hang : .ok
        }
        let organization = try await client.makeOrganization()
        try await Self.makeEndpoint(client, organization, receiver.url())
        _ = try await client.makeProject(in: organization, "Poison")
        _ = try await client.makeProject(in: organization, "Next")
        #expect(try await receiver.wait { $0.count == 1 }, run.hint)
        // Asked to end in the middle of it, which does not count.
        run.server.signal(SIGTERM)
        #expect(try await run.server.awaitExit(within: .seconds(20)) == 0, run.hint)
        try await run.server.start()
        for number in 2...4 {
          #expect(try await receiver.wait(for: .seconds(20)) { $0.count == number }, run.hint)
          run.server.killNow()
          // Nobody waits for the lease to end.
          _ = try await run.database.rows(
            "UPDATE webhook_cursors SET lease_until = now() - interval '1 second'")
          try await run.server.start()
        }
        #expect(try await receiver.wait(for: .seconds(20)) { $0.count == 5 }, run.hint)
        #expect(receiver.messages.last?.text.contains("Next") == true, run.hint)
        let items = try await client.setAsideItems(within: .seconds(10))
        #expect(items.map { $0["kind"]?.string } == ["webhook_delivery"], run.hint)
        #expect(items.first?["attempts"]?.integer == 3, run.hint)
        receiver.answer { _ in .ok }
        let item = try #require(items.first?["id"]?.string)
        let reply = try await client.post("/v1/platform/set-aside/\(item)\(":replay")")
        #expect(try reply.json["status"]?.string == "done", "\(reply.text)")
        #expect(try await receiver.wait(for: .seconds(10)) { $0.count == 6 }, run.hint)
        #expect(receiver.messages.last?.text.contains("Poison") == true, run.hint)
      }
    }

    private static func makeEndpoint(
      _ client: TestClient, _ organization: String, _ url: String
    ) async throws {
      let reply = try await client.post(
        "\(organization)/webhook-endpoints", #"{"url":"\#(url)","event_types":["project.created"]}"#
      )
      #expect(reply.status == 201, "\(reply.text)")
    }
  }
}

extension FaultRun {
  /// Whether a statement of the server's stalls.
  fileprivate func isStalled(within patience: Duration) async throws -> Bool {
    let end = ContinuousClock.now + patience
    while ContinuousClock.now < end {
      let count = try await database.count(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
      if count > 0 { return true }
      try await Task.sleep(for: .milliseconds(50))
    }
    return false
  }
}

extension TestClient {
  /// What is set aside, once there is something.
  fileprivate func setAsideItems(within patience: Duration) async throws -> [JSONValue] {
    let end = ContinuousClock.now + patience
    while true {
      let items = try await all("/v1/platform/set-aside")
      if !items.isEmpty || ContinuousClock.now > end { return items }
      try await Task.sleep(for: .milliseconds(100))
    }
  }
}

extension [WebhookReceiver.Message] {
  /// How many events they are about: one may come twice.
  fileprivate var events: Int { Set(map { $0["webhook-id"] ?? "" }).count }
}
