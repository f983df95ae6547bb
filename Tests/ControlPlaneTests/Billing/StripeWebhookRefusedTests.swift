import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

/// `POST /v1/webhooks/stripe`, sent by others than Stripe.
@Suite struct StripeWebhookRefusedTests {
  static func rows(_ plane: TestControlPlane) async throws -> Int64 {
    try await plane.database.withSession { session throws in
      try session.execute(
        "SELECT (SELECT count(*) FROM stripe_events) + (SELECT count(*) FROM events)",
        deadline: .soon)[0].decode(Int64.self)
    }
  }

  /// How a delivery can be wrong: a header for a body.
  static let forgeries: [@Sendable (String, Int) -> String?] = [
    { _, _ in nil },
    { _, _ in "" },
    { body, _ in StripeDelivery.signature(of: body, secret: "whsec_another") },
    { body, _ in StripeDelivery.signature(of: body + " ") },
    { body, _ in String(StripeDelivery.signature(of: body).dropLast()) },
    { body, n in StripeDelivery.signature(of: body, at: StripeDelivery.now - 301 - Int64(n)) },
    { body, n in StripeDelivery.signature(of: body, at: StripeDelivery.now + 310 + Int64(n)) },
    { body, _ in StripeDelivery.signature(of: body).replacing("v1=", with: "v0=") },
    { body, _ in
      let parts = StripeDelivery.signature(of: body).split(separator: ",")
      return "t=\(StripeDelivery.now + 5),\(parts[1])"
    },
    { body, _ in "t=1," + StripeDelivery.signature(of: body) },
    { body, _ in StripeDelivery.signature(of: String(body.reversed())) },
    { _, n in "t=\(StripeDelivery.now),v1=" + String(repeating: "\(n % 10)", count: 64) },
    { body, _ in StripeDelivery.signature(of: body).replacing(",", with: ", ") },
    { body, _ in
      StripeDelivery.signature(of: body) + String(repeating: ",v0=a", count: 1000)
    },
  ]

  @Test func `of 10000 bad signatures none is accepted, and none leaves a row`() async throws {
    try await TestControlPlane.with { planes in
      let world = try await StripeWorld.make(on: planes[0])
      let before = try await Self.rows(planes[0])
      let accepted = try await withThrowingTaskGroup(of: Int.self) { group in
        for worker in 0..<8 {
          group.addTask { try await Self.forge(1250, worker, world) }
        }
        return try await group.reduce(0, +)
      }
      #expect(accepted == 0)
      #expect(try await Self.rows(planes[0]) == before)
      #expect(try await world.balance() == 0)
      let metrics = try await world.client.get("/metrics").text
      let counts = metrics.split(separator: "\n").filter {
        $0.hasPrefix("signalbox_stripe_refused_total{")
      }.compactMap { Int($0.split(separator: " ").last ?? "") }
      #expect(counts.reduce(0, +) == 10_000)
      #expect(counts.count { $0 > 0 } == 5, "every reason occurs: \(counts)")
      // The same delivery, signed, is.
      #expect(try await world.client.outcome(world.purchase()) == "applied")
    }
  }

  /// - Returns: how many were not refused.
  private static func forge(_ count: Int, _ worker: Int, _ world: StripeWorld) async throws -> Int {
    var accepted = 0
    for number in 0..<count {
      let delivery = world.purchase("completed", "evt_\(worker)_\(number)")
      let header = forgeries[number % forgeries.count](delivery.body, number)
      let reply = try await world.client.http.send(
        "POST", "/v1/webhooks/stripe",
        headers: [("Content-Type", "application/json")]
          + (header.map { [("Stripe-Signature", $0)] } ?? []), body: Array(delivery.body.utf8))
      if reply.status != 400 { accepted += 1 }
    }
    return accepted
  }

  @Test func `a refusal says so, as the contract has it`() async throws {
    let world = try await StripeWorld.make()
    let body = world.purchase().body
    for forgery in Self.forgeries.prefix(8) {
      let reply = try await world.client.deliver(body, signature: forgery(body, 0))
      #expect(reply.status == 400, "\(reply.text)")
      #expect(try reply.problem == "signature-invalid")
      #expect(!reply.text.contains("whsec"))
    }
  }

  @Test func `two signature fields are one too many`() async throws {
    let world = try await StripeWorld.make()
    let body = world.purchase().body
    let field = ("Stripe-Signature", StripeDelivery.signature(of: body))
    let reply = try await world.client.http.send(
      "POST", "/v1/webhooks/stripe",
      headers: [("Content-Type", "application/json"), field, field], body: Array(body.utf8))
    #expect(reply.status == 400)
  }

  @Test(arguments: [
    ("", 400), ("{", 400), (#"{"id":"evt_1","id":"evt_2"}"#, 400), ("[]", 422), ("{}", 422),
    (#"{"id":"evt_1"}"#, 422), (#"{"id":"evt 1","type":"a","created":1}"#, 422),
    (#"{"id":"evt_1","type":"a","created":"1"}"#, 422),
    (String(repeating: "[", count: 40), 400), (#"{"id":"\u0000","type":"a","created":1}"#, 422),
  ])
  func `what is signed and no event is refused, and leaves no row`(body: String, status: Int)
    async throws
  {
    let world = try await StripeWorld.make()
    let reply = try await world.client.deliver(
      body, signature: StripeDelivery.signature(of: body))
    #expect(reply.status == status, "\(reply.text)")
    #expect(try await world.client.get("/v1/platform/stripe-events/evt_1").status == 404)
  }

  @Test func `a body of more than 256 KiB is not taken`() async throws {
    let world = try await StripeWorld.make()
    let body =
      #"{"id":"evt_large","type":"a","created":1,"x":"\#(String(repeating: "x", count: 256 << 10))"}"#
    let reply = try await world.client.deliver(
      body, signature: StripeDelivery.signature(of: body))
    #expect(reply.status == 413, "\(reply.text)")
  }

  @Test func `without a secret the path does not exist`() async throws {
    try await TestControlPlane.with({ $0.stripe.webhookSecrets = [] }) { planes in
      let body = #"{"id":"evt_1","type":"a","created":1}"#
      let reply = try await planes[0].client.deliver(
        body, signature: StripeDelivery.signature(of: body))
      #expect(reply.status == 404)
    }
  }

  @Test func `forgers use up their address's attempts, and never Stripe's`() async throws {
    try await TestControlPlane.with({ $0.rateLimits = RateLimiter() }) { planes in
      let world = try await StripeWorld.make(on: planes[0])
      var statuses: Set<Int> = []
      for _ in 0..<300 {
        statuses.insert(try await world.client.deliver("{}", signature: "t=1,v1=x").status)
      }
      #expect(statuses == [400, 429])
      #expect(try await world.client.outcome(world.purchase()) == "applied")
    }
  }

  @Test func `while a secret is rotated both are good`() async throws {
    try await TestControlPlane.with({ $0.stripe.webhookSecrets = ["whsec_new", "whsec_old"] }) {
      planes in
      let world = try await StripeWorld.make(on: planes[0])
      for (secret, status) in [("whsec_old", 200), ("whsec_new", 200), ("whsec_other", 400)] {
        let body = world.purchase("completed", "evt_\(secret)").body
        let reply = try await world.client.deliver(
          body, signature: StripeDelivery.signature(of: body, secret: secret))
        #expect(reply.status == status)
      }
    }
  }

  @Test func `row security shows events to the system alone`() async throws {
    let world = try await StripeWorld.make()
    #expect(try await world.client.outcome(world.purchase()) == "applied")
    let admin = world.plane.adminID
    let counts = try await world.plane.database.withApplicationSession { session throws in
      try ["user:\(admin.uuid)", "service_token:\(world.organization.uuid)", "system"].map {
        principal throws in
        try session.pipeline(
          [
            "BEGIN", "SELECT set_config('signalbox.principal', \(principal), true)",
            "SELECT count(*) FROM stripe_events", "ROLLBACK",
          ], deadline: .soon)[2][0].decode(Int64.self)
      }
    }
    #expect(counts[0] == 0)
    #expect(counts[1] == 0)
    #expect(counts[2] > 0)
  }
}
