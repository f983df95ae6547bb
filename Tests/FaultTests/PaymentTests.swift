import Domain
import EventStore
import FoundationEssentials
import Glibc
import JSON
import Postgres
import Support
import Synchronization
import Testing

extension FaultTests {
  /// FAULTS.md row 6, and row 17 for what Stripe tells.
  @Suite struct Payments {
    private static let count = getenv("SIGNALBOX_PAYMENT_EVENTS").flatMap {
      Int(String(cString: $0))
    }
    private static let settings = ["SIGNALBOX_STRIPE_WEBHOOK_SECRETS": StripeDelivery.secret]

    @Test
    func
      `payment events, repeated and shuffled, through two replicas of which one dies: every balance is the model's`()
      async throws
    {
      try await FaultRun.with(Self.settings) { run in
        let other = try ServerProcess(
          directory: run.directory, database: run.database.url, settings: Self.settings)
        defer { other.killNow() }
        try await other.start()
        var random = run.random
        let organizations = try await Self.organizations(12, run.server.port)
        let model = PaymentModel(
          events: Self.count ?? 1000, of: organizations, using: &random)
        let killsTheOther = Bool.random(using: &random)
        let (victim, survivor) = killsTheOther ? (other, run.server) : (run.server, other)
        let post = PostOffice(
          model.deliveries(using: &random), ports: [victim.port, survivor.port])
        let start = ContinuousClock.now
        async let delivered: Void = post.deliverAll(clients: 8)
        let half = post.count * Int.random(in: 30...60, using: &random) / 100
        while post.delivered < half, post.wrong.isEmpty {
          try await Task.sleep(for: .milliseconds(5))
        }
        victim.killNow()
        await delivered
        let duration = ContinuousClock.now - start
        #expect(post.wrong == [], run.hint)
        try await Self.settled(model, run)
        try await Self.check(model, run, survivor)
        print(
          "seed \(run.seed): \(model.events.count) events, \(post.count) deliveries, "
            + "\(post.repeated) repeated after the kill or a 503, in \(duration)")
      }
    }

    @Test
    func `while the database does not answer deliveries are refused, and take effect when it does`()
      async throws
    {
      try await FaultRun.with(Self.settings) { run in
        var random = run.random
        let organizations = try await Self.organizations(3, run.server.port)
        let model = PaymentModel(events: 150, of: organizations, using: &random)
        let post = PostOffice(model.deliveries(using: &random), ports: [run.server.port])
        async let delivered: Void = post.deliverAll(clients: 8)
        while post.delivered < post.count / 4, post.wrong.isEmpty {
          try await Task.sleep(for: .milliseconds(5))
        }
        run.database.signalEverything(SIGSTOP)
        try await Task.sleep(for: .seconds(8))
        run.database.signalEverything(SIGCONT)
        await delivered
        #expect(post.wrong == [], run.hint)
        #expect(post.repeated > 0, run.hint)
        try await Self.settled(model, run)
        try await Self.check(model, run, run.server)
      }
    }

    /// What the replica left behind that died is tried again by the other one.
    private static func settled(_ model: PaymentModel, _ run: FaultRun) async throws {
      let patience = ContinuousClock.now + .seconds(60)
      while try await run.database.count(
        "SELECT count(*) FROM stripe_events WHERE status = 'received'") > 0
      {
        try #require(ContinuousClock.now < patience, run.hint)
        try await Task.sleep(for: .milliseconds(100))
      }
    }

    private static func check(
      _ model: PaymentModel, _ run: FaultRun, _ survivor: ServerProcess
    ) async throws {
      let found = try await run.database.rows("SELECT event_id, status FROM stripe_events")
        .map { row throws in try row.decode((String, String).self) }
      let statuses = Dictionary(uniqueKeysWithValues: found)
      let expected = Dictionary(
        uniqueKeysWithValues: model.events.map { ($0.delivery.id, $0.status) })
      let wrong = expected.filter { statuses[$0.key] != $0.value }
      #expect(wrong.isEmpty, run.hint)
      #expect(statuses.count == expected.count, run.hint)
      for (organization, balance) in model.balances {
        let id = try #require(OrganizationID(organization))
        let (stored, ledger, standing) = try await run.database.rows(
          """
          SELECT credit_logs_balance, \
          (SELECT coalesce(sum((payload->>'units')::bigint), 0)::bigint FROM events AS e \
          WHERE e.organization_id = o.organization_id AND type LIKE 'credits.%'), \
          (SELECT coalesce(sum(standing_units), 0)::bigint FROM credit_purchases AS p \
          WHERE p.organization_id = o.organization_id) \
          FROM organizations AS o WHERE organization_id = \(id.uuid)
          """)[0].decode((Int64, Int64, Int64).self)
        #expect(stored == balance, "\(run.hint): \(organization)")
        #expect(ledger == balance, "\(run.hint): \(organization)")
        #expect(standing == balance, "\(run.hint): \(organization)")
      }
      let invariants = Invariants(run, port: survivor.port)
      let events = try await invariants.log()
      invariants.checkPlaces(events)
      try invariants.checkChains(events)
      try await invariants.checkAudit()
    }

    private static func organizations(_ count: Int, _ port: UInt16) async throws -> [String] {
      try await onThread { () throws in
        var connection = try HTTPConnection(port: port)
        return try (0..<count).map { number in
          let response = try connection.send(
            head: """
              POST /v1/organizations HTTP/1.1\r
              Authorization: Bearer \(ServerProcess.token)\r
              Content-Type: application/json\r

              """, body: Array(#"{"name":"Payer \#(number)"}"#.utf8), patience: Client.deadline)
          return try JSONValue.parse(response.body)["id"]?.string ?? ""
        }
      }
    }
  }
}

/// Delivers as Stripe does: until there is a 2xx.
private final class PostOffice: Sendable {
  private struct State {
    var next = 0
    var delivered = 0
    var repeated = 0
    var wrong: [String] = []
  }

  private let deliveries: [StripeDelivery]
  private let ports: [UInt16]
  private let state = Mutex(State())

  init(_ deliveries: [StripeDelivery], ports: [UInt16]) {
    self.deliveries = deliveries
    self.ports = ports
  }

  var count: Int { deliveries.count }
  var delivered: Int { state.withLock { $0.delivered } }
  var repeated: Int { state.withLock { $0.repeated } }
  /// Answers that no delivery should get.
  var wrong: [String] { state.withLock { $0.wrong } }

  func deliverAll(clients: Int) async {
    await withTaskGroup(of: Void.self) { group in
      for index in 0..<clients {
        group.addTask { await onThread { self.work(index) } }
      }
    }
  }

  private func work(_ index: Int) {
    var choice = index
    var connection: HTTPConnection?
    while let delivery = take() {
      while true {
        if connection == nil { connection = try? HTTPConnection(port: ports[choice % ports.count]) }
        guard var open = connection.take(), let status = Self.send(delivery, &open) else {
          choice += 1
          repeats()
          continue
        }
        if !open.isSpent { connection = consume open }
        if status == 200 { break }
        if status != 503 { return fail("\(delivery.id): \(status)") }
        repeats()
        breathe()
      }
      state.withLock { $0.delivered += 1 }
    }
  }

  private func take() -> StripeDelivery? {
    state.withLock { state in
      guard state.next < deliveries.count else { return nil }
      defer { state.next += 1 }
      return deliveries[state.next]
    }
  }

  private func repeats() { state.withLock { $0.repeated += 1 } }

  private func fail(_ reason: String) { state.withLock { $0.wrong.append(reason) } }

  private static func send(
    _ delivery: StripeDelivery, _ connection: inout HTTPConnection
  ) -> Int? {
    let head = """
      POST /v1/webhooks/stripe HTTP/1.1\r
      Content-Type: application/json; charset=utf-8\r
      Stripe-Signature: \(StripeDelivery.signature(of: delivery.body))\r

      """
    return try? connection.send(
      head: head, body: Array(delivery.body.utf8), patience: Client.deadline
    ).status
  }
}
