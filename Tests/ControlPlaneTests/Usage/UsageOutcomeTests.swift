import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

@Suite struct UsageOutcomeTests {
  // MARK: Refused

  @Test(arguments: [
    ("period=2026-13", "period"), ("period=november", "period"), ("group_by=", "group_by"),
    ("group_by=day,day", "group_by"), ("group_by=hour", "group_by"),
    ("decision=maybe", "decision"), ("project_id=org_1", "project_id"), ("from=2026", "from"),
  ])
  func `a question that makes no sense names its parameter`(query: String, parameter: String)
    async throws
  {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let reply = try await world.owner.get("\(world.path)/usage?\(query)")
    #expect(reply.status == 422, "\(reply.text)")
    #expect(
      try reply.json["errors"]?.array?.first?["parameter"]?.string == parameter, "\(reply.text)")
  }

  @Test func `nobody sees what another workspace uses`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let stranger = try await world.plane.makeUser().client
    #expect(try await stranger.get("\(world.path)/usage").status == 404)
  }

  // MARK: Counted

  @Test func `what is reported is counted once, and what is blocked is not`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let records = (0..<20).map { number in
      EvidenceRecord(project: world.project, model: number % 2 == 0 ? "gpt-4o" : "gpt-4o-mini")
        .with("decision", number < 5 ? #""block""# : #""allow""#).with("reason", #""model""#)
        .with("cost_micro_usd", "100").with("tokens_in", "7")
    }
    let first = try await world.report(records)
    #expect(try first.remaining == [135], "\(first.text)")
    // The same again, and one more.
    let again = try await world.report(records + [EvidenceRecord(project: world.project)])
    #expect(try again.remaining == [134], "\(again.text)")
    let usage = try await world.settledUsage("?group_by=model,decision")
    #expect(usage.counts == [16, 0, 0])
    #expect(usage["capacity"]?["remaining"] == .integer(134))
    #expect(usage["capacity"]?["included_used"] == .integer(16))
    #expect(usage["projects"]?.array?.first?["project_id"]?.string == world.project)
    #expect(usage["projects"]?.array?.first?["cost_micro_usd"] == .integer(1500))
    let sums = (usage["data"]?.array ?? []).map {
      "\($0["model"]?.string ?? "") \($0["decision"]?.string ?? "") \($0["requests"]?.integer ?? 0) \($0["tokens_in"]?.integer ?? 0)"
    }
    #expect(
      sums == [
        "gpt-4o allow 8 49", "gpt-4o block 3 21", "gpt-4o-mini allow 8 56",
        "gpt-4o-mini block 2 14",
      ])
    let days = try await world.owner.get("\(world.path)/usage?decision=block").json
    #expect(days["data"]?.array?.count == 1)
    #expect(days["data"]?.array?.first?["requests"] == .integer(5))
    #expect(days["data"]?.array?.first?["day"]?.string == String(Timestamp.now.rfc3339.prefix(10)))
  }

  /// The dearest records that there can be, as many as a batch has: everything is counted, and to the unit.
  @Test func `batches of the dearest records are counted`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let most: Int64 = 1_000_000_000
    func batch(_ count: Int, model: String) async throws -> HTTPReply {
      try await world.report(
        (0..<count).map { _ in
          EvidenceRecord(project: world.project, model: model).with("cost_micro_usd", "\(most)")
            .with("tokens_in", "\(most)").with("tokens_out", "\(most)")
        })
    }
    for (count, model) in [(4700, "a"), (4700, "b"), (9300, "c")] {
      let reply = try await batch(count, model: model)
      #expect(try reply.outcome == [Int64(count), 0], "\(reply.text.prefix(500))")
    }
    let usage = try await world.settledUsage("?group_by=model")
    #expect(usage["pending"] == .integer(0))
    #expect(
      usage["projects"]?.array?.first?["cost_micro_usd"] == .integer(18_700 * most), "\(usage)")
    let costs = (usage["data"]?.array ?? []).map { $0["cost_micro_usd"] }
    #expect(costs == [.integer(4700 * most), .integer(4700 * most), .integer(9300 * most)])
  }

  /// As an older version, or a hand, may have left them.
  @Test func `whatever stands in the tables, it is counted and the server lives`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    _ = try await world.report([EvidenceRecord(project: world.project)])
    _ = try await world.settledUsage()
    let organization = try #require(
      OrganizationID(String(world.path.split(separator: "/").last ?? "")))
    let project = try #require(ProjectID(world.project))
    try await world.plane.database.withSession { session in
      for (requests, cost) in [(Int64.max, Int64.max), (.max, .max), (-5, .min), (1, 1)] {
        _ = try session.execute(
          """
          INSERT INTO usage_reports (organization_id, report_id, project_id, requests, \
          cost_micro_usd, recorded_at) VALUES (\(organization.uuid), \(UUID()), \(project.uuid), \
          \(requests), \(cost), now() - interval '1 hour')
          """, deadline: .soon)
      }
      _ = try session.execute(
        """
        UPDATE usage_days SET tokens_in = \(Int64.max), cost_micro_usd = \(Int64.max) \
        WHERE organization_id = \(organization.uuid)
        """, deadline: .soon)
    }
    let reply = try await world.report([
      EvidenceRecord(project: world.project).with("tokens_in", "5").with("cost_micro_usd", "7")
    ])
    #expect(try reply.outcome == [1, 0], "\(reply.text)")
    let usage = try await world.settledUsage()
    #expect(usage["pending"] == .integer(0))
    // What was counted before the sum reached its end is not part of what is refused then.
    #expect(usage.counts.dropLast() == [150, 0])
    #expect(usage.counts.last.map { $0 >= Int64.max - 150 } == true, "\(usage.counts)")
    #expect(usage["projects"]?.array?.first?["cost_micro_usd"] == .integer(.max))
    #expect(usage["data"]?.array?.first?["tokens_in"] == .integer(.max))
    #expect(usage["data"]?.array?.first?["cost_micro_usd"] == .integer(.max))
    // And on it goes.
    #expect(
      try await world.report([EvidenceRecord(project: world.project)]).outcome == [1, 0])
    #expect(try await world.settledUsage()["pending"] == .integer(0))
  }

  @Test func `a counter that counts no further is in a metric, once`() async throws {
    try await TestControlPlane.with { planes in
      let world = try await EvidenceWorld(planes[0])
      let other = String(
        try await world.owner.makeProject(in: world.path, "Other").split(separator: "/")[4])
      let organization = try #require(
        OrganizationID(String(world.path.split(separator: "/").last ?? "")))
      _ = try await world.report([EvidenceRecord(project: world.project)])
      _ = try await world.settledUsage()
      #expect(try await world.saturated() == 0)
      // Two projects whose counters are not full, and that are too much for the workspace together.
      for (project, requests) in [(world.project, Int64.max / 2), (other, .max / 2 + 1000)] {
        try await world.leave(requests, of: #require(ProjectID(project)), in: organization)
      }
      #expect(try await world.saturated { $0 == 1 } == 1, "the workspace's")
      try await world.leave(.max, of: #require(ProjectID(other)), in: organization)
      #expect(try await world.saturated { $0 == 2 } == 2, "the project's, too")
      for _ in 0..<3 {
        #expect(
          try await world.report([EvidenceRecord(project: other)]).outcome == [1, 0])
        _ = try await world.settledUsage()
      }
      #expect(try await world.saturated() == 2, "each is told once")
    }
  }

  @Test func `the first request is a step of onboarding`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    _ = try await world.report([EvidenceRecord(project: world.project)])
    _ = try await world.settledUsage()
    let steps = try await world.owner.get("\(world.path)/onboarding").json["steps"]?.array
    let step = steps?.first { $0["step"]?.string == "first_request_seen" }
    #expect(step?["done_at"]?.string != nil, "\(String(describing: steps))")
  }

  @Test func `a month that is not this one has counters and no capacity`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let usage = try await world.owner.get("\(world.path)/usage?period=2025-01").json
    #expect(usage["capacity"] == .null)
    #expect(usage.counts == [0, 0, 0])
    #expect(usage["ends_at"]?.string == "2025-02-01T00:00:00.000000Z")
  }

  // MARK: At the boundary

  @Test func `when everything is used, the evaluator and the gateways say so`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let evaluate = "\(world.path)/projects/\(world.project)/rules:evaluate"
    let question = #"{"provider":"openai","model":"gpt-4o"}"#
    let before = try await world.owner.post(evaluate, question).json
    #expect(before["decision"]?.string == "allow")
    let reply = try await world.report(
      (0..<151).map { _ in EvidenceRecord(project: world.project) })
    #expect(try reply.remaining == [0])
    #expect(try await world.settledUsage().counts == [150, 0, 1])
    let after = try await world.owner.post(evaluate, question).json
    #expect(after["decision"]?.string == "block", "\(after)")
    #expect(after["reason"]?.string == "quota", "\(after)")
    let snapshot = try await world.gateway.get("/v1/dataplane/snapshot").json
    let id = try #require(world.path.split(separator: "/").last.map(String.init))
    let capacity = snapshot["organizations"]?[id]?["capacity"]
    #expect(capacity?["remaining"] == .integer(0))
    #expect(
      capacity?["resets_at"]?.string == BillingPeriod(containing: .now).end.rfc3339)
    let events = try await world.owner.all(
      "\(world.path)/audit-events?action=usage.threshold_reached")
    #expect(events.count == 2)
  }

  /// The included volume (50,000) is used but for a little, then 64 gateways report at once through two replicas, across
  /// its end and across the end of the credits.
  @Test func `gateways that report at once across the boundary count to the unit`() async throws {
    try await TestControlPlane.with(replicas: 2, { $0.plans = .standard }) { planes in
      let world = try await EvidenceWorld(planes[0])
      let organization = try #require(
        OrganizationID(String(world.path.split(separator: "/").last ?? "")))
      let project = try #require(ProjectID(world.project))
      _ = try await planes[0].handle(.plan(.change(to: .plus)), in: organization)
      try await world.use(49_000, of: project, in: organization)
      let order = PurchaseOrder(
        purchaseID: CreditPurchaseID(Identifiers.next()), paymentID: "pi_boundary",
        package: CreditPackage.all[0], amount: 1500, currency: "usd")
      _ = try await planes[0].handle(
        .credits(.complete(order)), in: organization, by: .system)
      // Leaves 1,500 of 100,000.
      _ = try await planes[1].handle(
        .credits(.refund(paymentID: order.paymentID, refunded: 1477)), in: organization,
        by: .system)
      let balance = try await world.owner.get("\(world.path)/credits").json["credit_logs_balance"]?
        .integer
      let credits = try #require(balance)
      let sent = try await world.reportFromEverywhere(
        gateways: 64, batches: 3, records: 20, through: planes)
      #expect(sent == 64 * 3 * 20)
      let usage = try await world.settledUsage()
      let counts = usage.counts
      #expect(counts == [50_000, credits, 49_000 + sent - 50_000 - credits], "\(usage)")
      let entries = try await world.owner.all("\(world.path)/credits/ledger")
      #expect(entries.map { $0["units"]?.integer ?? 0 }.reduce(0, +) == 0)
      #expect(
        try await world.owner.get("\(world.path)/credits").json["credit_logs_balance"]
          == .integer(0))
      let differences = try await planes[0].database.withApplicationSession { session throws in
        try Rebuild.differences(session, deadline: .now + .seconds(30))
      }
      #expect(differences.isEmpty, "\(differences.prefix(3))")
    }
  }

  @Test func `what is refunded after it was spent is a debt, which buys nothing`() async throws {
    try await TestControlPlane.with({ $0.plans = .standard }) { planes in
      let world = try await EvidenceWorld(planes[0])
      let organization = try #require(
        OrganizationID(String(world.path.split(separator: "/").last ?? "")))
      let project = try #require(ProjectID(world.project))
      _ = try await planes[0].handle(.plan(.change(to: .plus)), in: organization)
      let order = PurchaseOrder(
        purchaseID: CreditPurchaseID(Identifiers.next()), paymentID: "pi_debt",
        package: CreditPackage.all[0], amount: 1500, currency: "usd")
      _ = try await planes[0].handle(.credits(.complete(order)), in: organization, by: .system)
      try await world.use(150_000, of: project, in: organization)
      _ = try await planes[0].handle(
        .credits(.refund(paymentID: order.paymentID, refunded: 500)), in: organization, by: .system)
      let credits = try await world.owner.get("\(world.path)/credits").json
      #expect(credits["credit_logs_balance"] == .integer(-33_333))
      #expect(credits["credit_debt"] == .integer(33_333))
      #expect(credits["spendable"] == .bool(false))
      let usage = try await world.owner.get("\(world.path)/usage").json
      #expect(usage.counts == [50_000, 100_000, 0])
      #expect(usage["capacity"]?["remaining"] == .integer(0))
      let told = try await world.owner.all(
        "\(world.path)/audit-events?action=credits.debt_incurred")
      #expect(told.count == 1)
    }
  }
}

extension EvidenceWorld {
  /// The month when nothing that was reported waits any more to be counted.
  func settledUsage(_ query: String = "") async throws -> JSONValue {
    for _ in 0..<400 {
      let usage = try await owner.get("\(path)/usage\(query)").json
      if usage["pending"] == .integer(0) { return usage }
      try await Task.sleep(for: .milliseconds(50))
    }
    return try await owner.get("\(path)/usage\(query)").json
  }

  /// How many counters were found full, at most some seconds after they were.
  func saturated(_ isExpected: (Int) -> Bool = { _ in true }) async throws -> Int? {
    var found: Int?
    for _ in 0..<200 {
      found = try await plane.client.get("/metrics").text.split(separator: "\n").lazy
        .first { $0.hasPrefix("signalbox_usage_saturated_total ") }
        .flatMap { $0.split(separator: " ").last }.flatMap { Int($0) }
      if let found, isExpected(found) { return found }
      try await Task.sleep(for: .milliseconds(50))
    }
    return found
  }

  /// Leaves a report of that many requests to be counted, as a process that ended long ago would.
  func leave(_ requests: Int64, of project: ProjectID, in organization: OrganizationID) async throws
  {
    try await plane.database.withSession { session in
      _ = try session.execute(
        """
        INSERT INTO usage_reports (organization_id, report_id, project_id, requests, cost_micro_usd, \
        recorded_at) VALUES (\(organization.uuid), \(UUID()), \(project.uuid), \(requests), 0, \
        now() - interval '1 hour')
        """, deadline: .soon)
    }
  }

  /// As if that many requests had been reported.
  func use(_ requests: Int64, of project: ProjectID, in organization: OrganizationID) async throws {
    let report = UUID()
    try await plane.database.withSession { session in
      _ = try session.execute(
        """
        INSERT INTO usage_reports (organization_id, report_id, project_id, requests, cost_micro_usd) \
        VALUES (\(organization.uuid), \(report), \(project.uuid), \(requests), 0)
        """, deadline: .soon)
    }
    _ = try await plane.handle(
      .usage(
        .record([
          UsageReport(id: report, projectID: project, requests: requests, costMicroUSD: 0)
        ])), in: organization, by: .system)
  }

  /// Every gateway sends each of its batches twice. Tells how many records were accepted.
  func reportFromEverywhere(
    gateways: Int, batches: Int, records: Int, through planes: [TestControlPlane]
  ) async throws -> Int64 {
    try await withThrowingTaskGroup(of: Int64.self) { group in
      for number in 0..<gateways {
        let client = TestClient(
          http: planes[number % planes.count].client.http, token: gateway.token)
        group.addTask {
          try await report(batches: batches, records: records, from: client)
        }
      }
      return try await group.reduce(0, +)
    }
  }

  private func report(batches: Int, records: Int, from client: TestClient) async throws -> Int64 {
    var accepted: Int64 = 0
    for _ in 0..<batches {
      let lines = (0..<records).map { _ in EvidenceRecord(project: project).text }
      let body = "[\(lines.joined(separator: ","))]"
      var sent = 0
      while sent < 2 {
        let reply = try await client.post("/v1/dataplane/request-logs", body)
        if reply.status == 503 { continue }
        accepted += try reply.outcome[0]
        sent += 1
      }
    }
    return accepted
  }
}

extension JSONValue {
  /// What covered the month's requests: included, credits, nothing.
  var counts: [Int64] {
    ["included", "credits", "refused"].map { self["total"]?[$0]?.integer ?? -1 }
  }
}

extension HTTPReply {
  /// How much is left of each workspace of a batch.
  fileprivate var remaining: [Int64] {
    get throws {
      guard case .object(let capacity)? = try json["capacity"] else { return [] }
      return capacity.values.compactMap { $0["remaining"]?.integer }
    }
  }
}
