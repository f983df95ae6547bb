import Domain
import FoundationEssentials
import Glibc
import JSON
import Postgres
import Support
import Synchronization
import Testing

@testable import ControlPlane

/// From the log to a receiver, by the real server.
@Suite(.serialized) struct WebhookDeliveryTests {
  // MARK: Refused

  /// FAULTS.md row 13.
  @Test
  func
    `a name that leads to a private network is not connected to, and the log of deliveries says why`()
    async throws
  {
    let receiver = try await WebhookReceiver.start()
    let names = ChangingNames([["127.0.0.1"], ["10.0.0.1", "::1"], ["169.254.169.254"]])
    try await TestControlPlane.with({
      $0.webhooks.resolver = names
      $0.webhooks.targets = TargetPolicy(ports: [UInt16(receiver.port)])
    }) { planes in
      let client = planes[0].client
      let endpoint = try await client.makeWebhookEndpoint(
        "https://hooks.example.com:\(receiver.port)/")
      _ = try await client.makeProject(in: endpoint.organization)
      let tried = try await client.deliveries(of: endpoint) { deliveries in
        deliveries.contains { $0["last_attempt"] != .null }
      }
      let attempt = tried.first { $0["last_attempt"] != .null }?["last_attempt"]
      #expect(attempt?["response_status"] == .null)
      #expect(attempt?["failure"]?.string?.contains("not on the internet") == true)
      #expect(receiver.connections == 0)
    }
  }

  @Test func `what happens in another workspace is delivered there and nowhere else`() async throws
  {
    try await TestControlPlane.withOpenWebhooks { planes in
      let client = planes[0].client
      let receiver = try await WebhookReceiver.start()
      let one = try await client.makeWebhookEndpoint(receiver.url(), types: ["project.*"])
      let other = try await client.makeWebhookEndpoint(receiver.url(), types: ["project.*"])
      for name in ["A", "B", "C"] { _ = try await client.makeProject(in: other.organization, name) }
      _ = try await client.makeProject(in: one.organization, "D")
      let there = try await client.deliveries(of: other) { deliveries in
        deliveries.count >= 3 && deliveries.allSatisfy { $0["status"] == .string("delivered") }
      }
      let here = try await client.deliveries(of: one) { deliveries in
        deliveries.count >= 1 && deliveries.allSatisfy { $0["status"] == .string("delivered") }
      }
      #expect(there.count == 3)
      #expect(here.count == 1)
    }
  }

  /// A developer may set up endpoints, and may not read about invitations and service tokens.
  @Test func `events about invitations and service tokens, and secrets, reach no endpoint`()
    async throws
  {
    try await TestControlPlane.withOpenWebhooks { planes in
      let client = planes[0].client
      let receiver = try await WebhookReceiver.start()
      let endpoint = try await client.makeWebhookEndpoint(receiver.url())
      let organization = endpoint.organization
      let end = Timestamp.now.advanced(by: 86_400_000_000).rfc3339
      let token = try await client.post(
        "\(organization)/service-tokens",
        #"{"name":"CI","role":"viewer","expires_at":"\#(end)"}"#)
      #expect(token.status == 201, "\(token.text)")
      let invitation = try await client.post(
        "\(organization)/invitations", #"{"email":"new@example.com","role":"viewer"}"#)
      #expect(invitation.status == 201, "\(invitation.text)")
      let project = try await client.makeProject(in: organization)
      _ = try await client.put("\(project)/provider-keys/openai", #"{"key":"sk-webhooks-0123"}"#)
      let key = try await client.post("\(project)/api-keys", #"{"name":"Web"}"#)
      #expect(key.status == 201, "\(key.text)")
      // Deliveries come in the order of the log, so those before the key's were made before it.
      #expect(
        try await receiver.wait { messages in
          messages.contains { $0.text.contains("api_key.created") }
        })
      let messages = try receiver.messages.map { try JSONValue.parse($0.body) }
      let types = Set(messages.compactMap { $0["type"]?.string })
      #expect(types.isSuperset(of: ["project.created", "provider_key.set", "api_key.created"]))
      let hidden = types.filter { $0.hasPrefix("invitation.") || $0.hasPrefix("service_token.") }
      #expect(hidden.isEmpty)
      for payload in messages.compactMap({ $0["data"]?["payload"]?.object }) {
        let text = String(decoding: JSONValue.object(payload).canonicalBytes(), as: UTF8.self)
        for word in ["hash", "sealed", "envelope"] { #expect(!text.contains(word), "\(text)") }
      }
      let deliveries = try await client.all("\(endpoint.path)/deliveries")
      #expect(
        !deliveries.contains { delivery in
          let type = delivery["event_type"]?.string ?? ""
          return type.hasPrefix("invitation.") || type.hasPrefix("service_token.")
        })
    }
  }

  @Test func `a redirect is a failure, and is not followed`() async throws {
    try await TestControlPlane.withOpenWebhooks { planes in
      let client = planes[0].client
      let other = try await WebhookReceiver.start()
      let receiver = try await WebhookReceiver.start { _ in
        .reply(302, headers: [("Location", other.url())])
      }
      let endpoint = try await client.makeWebhookEndpoint(receiver.url(), types: ["project.*"])
      _ = try await client.makeProject(in: endpoint.organization)
      let deliveries = try await client.deliveries(of: endpoint) {
        $0.first?["last_attempt"]?["response_status"]?.integer == 302
      }
      #expect(deliveries.first?["status"]?.string == "pending")
      #expect(other.connections == 0)
    }
  }

  @Test func `whoever answers 410 is sent nothing any more, until somebody enables it`()
    async throws
  {
    try await TestControlPlane.withOpenWebhooks { planes in
      let client = planes[0].client
      let receiver = try await WebhookReceiver.start { _ in .reply(410) }
      let endpoint = try await client.makeWebhookEndpoint(receiver.url(), types: ["project.*"])
      for number in 0..<3 {
        _ = try await client.makeProject(in: endpoint.organization, "\(number)")
      }
      let end = ContinuousClock.now + .seconds(10)
      while try await client.get(endpoint.path).json["status"]?.string != "disabled",
        ContinuousClock.now < end
      { try await Task.sleep(for: .milliseconds(20)) }
      #expect(try await client.get(endpoint.path).json["disabled_reason"]?.string == "gone")
      try await Task.sleep(for: .milliseconds(700))
      #expect(receiver.messages.count == 1)
      let dead = try await client.all("\(endpoint.path)/deliveries?status=dead")
      #expect(dead.count == 1)
      let audit = try await client.all(
        "\(endpoint.organization)/audit-events?action=webhook_endpoint.disabled")
      #expect(audit.first?["actor"]?["kind"]?.string == "system")

      receiver.answer { _ in .ok }
      _ = try await client.post("\(endpoint.path):enable")
      #expect(try await receiver.wait { $0.count == 3 })
      // What it was given up for is sent when somebody asks.
      let id = try #require(dead.first?["event_id"]?.string)
      _ = try await client.post("\(endpoint.path)/deliveries/\(id):retry")
      #expect(try await receiver.wait { $0.count == 4 })
      #expect(receiver.messages[3]["webhook-id"] == id)
      #expect(receiver.messages[0]["webhook-id"] == id)
    }
  }

  // MARK: Delivered

  @Test func `an event arrives as the list shows it`() async throws {
    try await TestControlPlane.withOpenWebhooks { planes in
      let client = planes[0].client
      let receiver = try await WebhookReceiver.start { _ in
        .reply(200, body: Array("thanks\u{0}\u{1}ä".utf8) + [0xFF])
      }
      let endpoint = try await client.makeWebhookEndpoint(receiver.url("/a?b=c"))
      _ = try await client.makeProject(in: endpoint.organization, "Zürich \\\"🚂\\\" é")
      #expect(try await receiver.wait { !$0.isEmpty })
      let message = try #require(receiver.messages.first { $0.text.contains("project.created") })
      #expect(message.path == "/a?b=c")
      #expect(message["content-type"] == "application/json")
      let content = try JSONValue.parse(message.body)
      let events = try await client.events(of: endpoint.organization).filter {
        $0["event_id"] == content["data"]?["event_id"]
      }
      var expected = try #require(events.first?.object)
      expected["organization_id"] = .string(
        String(try #require(endpoint.organization.split(separator: "/").last)))
      #expect(content["data"] == .object(expected))
      #expect(content["type"] == expected["type"])
      #expect(content["timestamp"] == expected["occurred_at"])
      #expect(message["webhook-id"] == expected["event_id"]?.string)

      let id = try #require(message["webhook-id"])
      let deliveries = try await client.deliveries(of: endpoint) {
        $0.contains { $0["event_id"]?.string == id && $0["status"]?.string == "delivered" }
      }
      #expect(deliveries.count == 2, "the project, and the onboarding that followed")
      let one = try await client.get("\(endpoint.path)/deliveries/\(id)").json
      #expect(one["attempts"]?.integer == 1)
      #expect(one["last_attempt"]?["response_status"]?.integer == 200)
      #expect(
        one["last_attempt"]?["response_excerpt"]?.string == "thanks\u{FFFD}\u{FFFD}ä\u{FFFD}")
      #expect(one["last_attempt"]?["failure"] == .null)
      #expect(one["next_attempt_at"] == .null)
    }
  }

  @Test func `what is wanted arrives once and in order, on whatever replica it happens`()
    async throws
  {
    try await TestControlPlane.withOpenWebhooks(replicas: 2) { planes in
      let client = planes[0].client
      let receiver = try await WebhookReceiver.start()
      let endpoint = try await client.makeWebhookEndpoint(
        receiver.url(), types: ["project.created", "rule.*"])
      for number in 0..<40 {
        _ = try await planes[number % 2].client.makeProject(
          in: endpoint.organization, "\(number)")
      }
      let wanted = try await client.events(of: endpoint.organization)
        .filter { $0["type"]?.string == "project.created" }
        .compactMap { $0["event_id"]?.string }
      #expect(wanted.count == 40)
      #expect(try await receiver.wait { $0.count >= 40 })
      try await Task.sleep(for: .milliseconds(300))
      #expect(receiver.messages.compactMap { $0["webhook-id"] } == wanted)
    }
  }

  /// Ordered where it answers: what is behind a failure waits for its second attempt, and no longer.
  @Test func `a failure is tried again with the same id, and holds up those behind it once`()
    async throws
  {
    try await TestControlPlane.withOpenWebhooks { planes in
      let client = planes[0].client
      let receiver = try await WebhookReceiver.start { message in
        message.text.contains("Poison") ? .reply(500) : .ok
      }
      let endpoint = try await client.makeWebhookEndpoint(
        receiver.url(), types: ["project.created"])
      for name in ["Poison", "Good", "Better"] {
        _ = try await client.makeProject(in: endpoint.organization, name)
      }
      #expect(try await receiver.wait { $0.count == 4 })
      let messages = receiver.messages
      #expect(messages[0]["webhook-id"] == messages[1]["webhook-id"])
      #expect(messages[0].body == messages[1].body)
      #expect(messages[2].text.contains("Good") && messages[3].text.contains("Better"))
      let pause = messages[1].at - messages[0].at
      #expect((.milliseconds(4400)..<(.seconds(20))).contains(pause), "\(pause)")
      let waiting = try await client.deliveries(of: endpoint) {
        $0.filter { $0["status"]?.string == "delivered" }.count == 2
      }.first { $0["status"]?.string == "pending" }
      #expect(waiting?["attempts"]?.integer == 2)
    }
  }

  @Test func `the last attempt that fails is the last, and a replay delivers again`() async throws {
    try await TestControlPlane.withOpenWebhooks { planes in
      let (plane, client) = (planes[0], planes[0].client)
      let receiver = try await WebhookReceiver.start { _ in .reply(503) }
      let endpoint = try await client.makeWebhookEndpoint(
        receiver.url(), types: ["project.created"])
      let project = try await client.post(
        "\(endpoint.organization)/projects", #"{"name":"A","environment":"live"}"#)
      #expect(try await receiver.wait { $0.count == 1 })
      _ = try await client.deliveries(of: endpoint) { $0.first?["attempts"]?.integer == 1 }
      try await plane.database.withApplicationSession { session throws in
        _ = try session.execute(
          "UPDATE webhook_deliveries SET attempts = 9, next_attempt_at = now()", deadline: .soon)
        _ = try session.execute("UPDATE webhook_cursors SET due_at = now()", deadline: .soon)
      }
      let dead = try await client.deliveries(of: endpoint, status: "dead") { !$0.isEmpty }
      #expect(dead.first?["attempts"]?.integer == 10)
      #expect(dead.first?["next_attempt_at"] == .null)

      receiver.answer { _ in .ok }
      let position = try #require(project["signalbox-position"].flatMap { Int64($0) })
      let replay = try await client.post(
        "\(endpoint.path):replay", #"{"from_position":\#(position - 1)}"#)
      #expect(replay.status == 200, "\(replay.text)")
      #expect(try await receiver.wait { $0.count == 3 })
      #expect(receiver.messages[2]["webhook-id"] == receiver.messages[0]["webhook-id"])
      _ = try await client.deliveries(of: endpoint) { $0.first?["status"]?.string == "delivered" }
      // Also of what was delivered before.
      _ = try await client.post("\(endpoint.path):replay", #"{"from_position":1}"#)
      #expect(try await receiver.wait { $0.count == 4 })
    }
  }

  /// A good name is of the URL that has answered, and not of the endpoint.
  @Test func `at another URL an endpoint is unproven until it answers there`() async throws {
    try await TestControlPlane.withOpenWebhooks { planes in
      let client = planes[0].client
      let good = try await WebhookReceiver.start()
      let other = try await WebhookReceiver.start()
      let endpoint = try await client.makeWebhookEndpoint(
        good.url(), types: ["project.created"])
      #expect(try await Self.isProven(planes[0]) { !$0 }, "it has not answered yet")
      _ = try await client.makeProject(in: endpoint.organization, "First")
      #expect(try await Self.isProven(planes[0]) { $0 })
      let description = try await client.patch(endpoint.path, #"{"description":"The same"}"#)
      #expect(description.status == 200, "\(description.text)")
      _ = try await client.makeProject(in: endpoint.organization, "Second")
      #expect(try await good.wait { $0.count == 2 })
      #expect(try await Self.isProven(planes[0]) { $0 }, "the URL is the same")
      // An answer that is on its way while the URL changes says nothing of the new one.
      good.answer { _ in
        usleep(700_000)
        return .ok
      }
      _ = try await client.makeProject(in: endpoint.organization, "Third")
      #expect(try await good.wait { $0.count == 3 })
      _ = try await client.patch(endpoint.path, #"{"url":"\#(other.url())"}"#)
      _ = try await client.deliveries(of: endpoint) { deliveries in
        deliveries.count == 3 && deliveries.allSatisfy { $0["status"]?.string == "delivered" }
      }
      #expect(try await Self.isProven(planes[0]) { !$0 }, "nothing has failed")
      #expect(other.messages.isEmpty)
      _ = try await client.makeProject(in: endpoint.organization, "Fourth")
      #expect(try await other.wait { $0.count == 1 })
      #expect(try await Self.isProven(planes[0]) { $0 })
    }
  }

  /// Waits until the only cursor of a database is as expected.
  private static func isProven(
    _ plane: TestControlPlane, _ isExpected: (Bool) -> Bool
  ) async throws -> Bool {
    for _ in 0..<200 {
      let rows = try await plane.database.withApplicationSession { session throws in
        try session.execute("SELECT failures FROM webhook_cursors", deadline: .soon)
      }
      let failures = try rows.first?.decode(Int32.self)
      if let failures, isExpected(failures == Int32(0)) { return true }
      try await Task.sleep(for: .milliseconds(50))
    }
    return false
  }

  @Test func `while it is disabled nothing is sent, and enabled it goes on as it is told`()
    async throws
  {
    try await TestControlPlane.withOpenWebhooks { planes in
      let client = planes[0].client
      let receiver = try await WebhookReceiver.start()
      let endpoint = try await client.makeWebhookEndpoint(
        receiver.url(), types: ["project.created"])
      _ = try await client.post("\(endpoint.path):disable")
      _ = try await client.makeProject(in: endpoint.organization, "First")
      try await Task.sleep(for: .milliseconds(400))
      #expect(receiver.messages.isEmpty)
      _ = try await client.post("\(endpoint.path):enable")
      #expect(try await receiver.wait { $0.count == 1 })
      _ = try await client.post("\(endpoint.path):disable")
      _ = try await client.makeProject(in: endpoint.organization, "Second")
      _ = try await client.post("\(endpoint.path):enable", #"{"skip_missed":true}"#)
      _ = try await client.makeProject(in: endpoint.organization, "Third")
      #expect(try await receiver.wait { $0.count == 2 })
      #expect(receiver.messages.last?.text.contains("Third") == true)
    }
  }

  @Test func `a ping goes ahead of all that waits, to a disabled endpoint too, and once`()
    async throws
  {
    try await TestControlPlane.withOpenWebhooks { planes in
      let client = planes[0].client
      let receiver = try await WebhookReceiver.start { _ in .reply(500) }
      let endpoint = try await client.makeWebhookEndpoint(
        receiver.url(), types: ["project.created"])
      _ = try await client.makeProject(in: endpoint.organization)
      #expect(try await receiver.wait { $0.count == 1 })
      _ = try await client.post("\(endpoint.path):disable")
      let ping = try await client.post("\(endpoint.path):ping")
      #expect(ping.status == 200, "\(ping.text)")
      #expect(try ping.json["status"]?.string == "pending")
      let id = try #require(ping.json["event_id"]?.string)
      #expect(try await receiver.wait { $0.count == 2 })
      let content = try JSONValue.parse(receiver.messages[1].body)
      #expect(content["type"]?.string == "webhook.ping")
      #expect(receiver.messages[1]["webhook-id"] == id)
      let dead = try await client.deliveries(of: endpoint, status: "dead") { !$0.isEmpty }
      #expect(dead.first?["event_id"]?.string == id)
      #expect(dead.first?["position"] == .null)
    }
  }

  @Test func `who holds a lease and is gone is waited for, and nothing is lost`() async throws {
    try await TestControlPlane.withOpenWebhooks { planes in
      let (plane, client) = (planes[0], planes[0].client)
      let receiver = try await WebhookReceiver.start()
      let endpoint = try await client.makeWebhookEndpoint(
        receiver.url(), types: ["project.created"])
      let (_, id) = try endpoint.ids
      _ = try await client.makeProject(in: endpoint.organization)
      #expect(try await receiver.wait { $0.count == 1 })
      _ = try await client.deliveries(of: endpoint) { $0.first?["status"]?.string == "delivered" }
      try await plane.database.withApplicationSession { session throws in
        _ = try session.execute(
          """
          UPDATE webhook_cursors SET lease_id = gen_random_uuid(), lease_until = now() + interval '2 s' \
          WHERE endpoint_id = \(id.uuid)
          """, deadline: .soon)
      }
      _ = try await client.makeProject(in: endpoint.organization)
      try await Task.sleep(for: .milliseconds(1000))
      #expect(receiver.messages.count == 1)
      #expect(try await receiver.wait { $0.count == 2 })
      // One of before a clock was set back.
      _ = try await client.deliveries(of: endpoint) {
        $0.allSatisfy { $0["status"]?.string == "delivered" }
      }
      try await plane.database.withApplicationSession { session throws in
        _ = try session.execute(
          """
          UPDATE webhook_cursors SET lease_id = gen_random_uuid(), lease_until = now() + interval '1 day' \
          WHERE endpoint_id = \(id.uuid)
          """, deadline: .soon)
      }
      _ = try await client.makeProject(in: endpoint.organization)
      #expect(try await receiver.wait { $0.count == 3 })
    }
  }

  @Test func `an endpoint that is deleted is sent nothing, and what belonged to it is swept`()
    async throws
  {
    try await TestControlPlane.withOpenWebhooks { planes in
      let (plane, client) = (planes[0], planes[0].client)
      let receiver = try await WebhookReceiver.start { _ in .reply(500) }
      let endpoint = try await client.makeWebhookEndpoint(receiver.url(), types: ["project.*"])
      let kept = try await client.makeWebhookEndpoint(
        receiver.url("/kept"), types: ["project.*"], in: endpoint.organization)
      _ = try await client.makeProject(in: endpoint.organization)
      #expect(try await receiver.wait { $0.count == 2 })
      #expect(try await client.send("DELETE", endpoint.path).status == 204)
      #expect(try await client.get("\(endpoint.path)/deliveries").status == 404)
      let pool = Pool(options: plane.database.application.asSystem, minimum: 0, maximum: 1)
      let store = WebhookStore(pool: pool, holder: 1)
      #expect(try await store.sweep(finishedBefore: .now.advanced(by: -60_000_000)) == 1)
      #expect(try await store.sweep(finishedBefore: .now.advanced(by: -60_000_000)) == 0)
      await store.close()
      let left = try await plane.database.withApplicationSession { session throws in
        try session.execute("SELECT endpoint_id FROM webhook_cursors", deadline: .soon)
          .map { row throws(PostgresError) in WebhookEndpointID(try row.decode(UUID.self)) }
      }
      #expect(left == [try kept.ids.1])
      try await Task.sleep(for: .seconds(6))
      #expect(receiver.messages.count { $0.path == "/hooks" } == 1)
    }
  }

  @Test func `what is old and finished is swept, and what waits is not`() async throws {
    try await TestControlPlane.withOpenWebhooks { planes in
      let (plane, client) = (planes[0], planes[0].client)
      let receiver = try await WebhookReceiver.start { message in
        message.text.contains("Bad") ? .reply(500) : .ok
      }
      let endpoint = try await client.makeWebhookEndpoint(
        receiver.url(), types: ["project.created"])
      for name in ["Good", "Good too", "Bad"] {
        _ = try await client.makeProject(in: endpoint.organization, name)
      }
      _ = try await client.deliveries(of: endpoint) {
        $0.count { $0["status"]?.string == "delivered" } == 2
      }
      let store = WebhookStore(
        pool: Pool(options: plane.database.application.asSystem, minimum: 0, maximum: 1), holder: 1)
      #expect(
        try await store.sweep(finishedBefore: .now.advanced(by: 60_000_000), step: 1) == 2)
      // The one that failed is still pending, and its age is told in whole seconds.
      try await Task.sleep(for: .milliseconds(1100))
      let age = try await store.oldestPending()
      #expect(1...60 ~= age, "\(age)")
      await store.close()
      #expect(try await client.all("\(endpoint.path)/deliveries").count == 1)
    }
  }

  /// FAULTS.md row 13: one that hangs takes one place, and nobody else's time.
  @Test func `an endpoint that hangs delays no other`() async throws {
    try await TestControlPlane.withOpenWebhooks(timeLimit: .seconds(15)) { planes in
      let client = planes[0].client
      let hanging = try await WebhookReceiver.start { _ in .hang }
      let good = try await WebhookReceiver.start()
      let organization = try await client.makeOrganization()
      for number in 0..<4 {
        _ = try await client.makeWebhookEndpoint(
          hanging.url("/\(number)"), types: ["project.created"], in: organization)
      }
      _ = try await client.makeWebhookEndpoint(
        good.url(), types: ["project.created"], in: organization)
      let start = ContinuousClock.now
      for number in 0..<20 { _ = try await client.makeProject(in: organization, "\(number)") }
      #expect(try await good.wait { $0.count == 20 })
      // Before the first of the others is given up.
      #expect(ContinuousClock.now - start < .seconds(14))
      #expect(hanging.messages.count == 4, "each of them has one attempt under way")
    }
  }

  // MARK: Schedule

  @Test func `attempts are made by the schedule of Standard Webhooks, a tenth more or less`() {
    let seconds: [Int64] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    for (attempts, delay) in seconds.enumerated() {
      #expect(
        WebhookSchedule.delay(afterAttempts: attempts + 1, random: 0) == .seconds(delay))
      for _ in 0..<100 {
        let found = WebhookSchedule.delay(afterAttempts: attempts + 1) ?? .zero
        #expect((.seconds(delay) * 0.899...(.seconds(delay) * 1.101)).contains(found))
      }
    }
    #expect(WebhookSchedule.delay(afterAttempts: 10) == nil)
    // What the receiver asks for counts when it is later, within a day, and adds no attempt.
    for (wanted, seconds) in [
      ("60", 60), ("3", 5), ("0", 5), ("86400", 86_400), ("4294967295", 86_400),
      ("99999999999999999999", 5), ("-1", 5), ("soon", 5), ("", 5),
      ("Wed, 21 Oct 2026 07:28:00 GMT", 5),
    ] as [(String, Int64)] {
      #expect(
        WebhookSchedule.delay(afterAttempts: 1, retryAfter: wanted, random: 0)
          == .seconds(seconds), "\(wanted)")
    }
    #expect(WebhookSchedule.delay(afterAttempts: 10, retryAfter: "60") == nil)
  }
}

extension TestClient {
  /// An endpoint's deliveries, once this is so of them or ten seconds have passed.
  func deliveries(
    of endpoint: MadeWebhookEndpoint, status: String? = nil,
    once isDone: ([JSONValue]) -> Bool
  ) async throws -> [JSONValue] {
    let query = status.map { "?status=\($0)" } ?? ""
    let end = ContinuousClock.now + .seconds(10)
    while true {
      let found = try await all("\(endpoint.path)/deliveries\(query)")
      if isDone(found) { return found }
      if ContinuousClock.now > end {
        Issue.record("\(found)")
        return found
      }
      try await Task.sleep(for: .milliseconds(20))
    }
  }
}

extension TestClient {
  /// All events of an organization, oldest first.
  func events(of organization: String) async throws -> [JSONValue] {
    var events: [JSONValue] = []
    while true {
      let after = events.last?["position"]?.integer ?? 0
      let page = try await get("\(organization)/events?limit=200&after=\(after)").json
      guard let data = page["data"]?.array, !data.isEmpty else { return events }
      events += data
    }
  }
}
