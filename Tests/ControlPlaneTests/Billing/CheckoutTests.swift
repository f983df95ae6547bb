import Domain
import JSON
import Stripe
import Support
import Testing

@testable import ControlPlane

/// Sessions of Stripe's pages, from a stand-in that checks requests as Stripe documents them.
@Suite struct CheckoutTests {
  static func with(
    prices: [PlanTier: String] = [:], key: String = StripeStandIn.secretKey,
    _ body: @Sendable (StripeWorld, StripeStandIn) async throws -> Void
  ) async throws {
    let standIn = try await StripeStandIn(prices: ["signalbox_plus": "price_by_key"])
    let client = try StripeClient(secretKey: key, baseURL: standIn.url, pause: .milliseconds(5))
    let result: Result<Void, any Error>
    do {
      try await TestControlPlane.with({
        $0.stripe.client = client
        $0.stripe.prices = prices
      }) { planes in
        let world = try await StripeWorld.make(on: planes[0])
        try await body(world, standIn)
      }
      result = .success(())
    } catch { result = .failure(error) }
    try await standIn.stop()
    try result.get()
  }

  static let pages = #""success_url":"https://a.example/ok","cancel_url":"http://localhost:3000/""#
  static let credits = #"{"package":"credits_30",\#(pages)}"#

  @Test func `credits are bought on a page of Stripe's`() async throws {
    try await Self.with { world, standIn in
      let path = "/v1/organizations/\(world.organization)/credits/checkout"
      let reply = try await world.client.post(path, Self.credits)
      #expect(reply.status == 200, "\(reply.text)")
      #expect(try reply.json["url"]?.string == "https://checkout.stripe.com/c/pay/cs_test_1")
      #expect(try reply.json["session_id"]?.string == "cs_test_1")
      #expect(reply["cache-control"] == "no-store")
      let asked = try #require(standIn.requests.first).parameters
      #expect(asked["client_reference_id"] == "\(world.organization)")
      #expect(asked["metadata[package]"] == "credits_30")
      #expect(asked["line_items[0][price_data][unit_amount]"] == "3000")
      #expect(asked["customer"] == nil)
      // What that leads to is taken as it was asked for.
      #expect(
        try await world.client.outcome(
          world.purchase(package: asked["metadata[package]"] ?? "", amount: 3000)) == "applied")
      #expect(try await world.balance() == 200_000)
      // From then on Stripe knows who buys.
      _ = try await world.client.post(path, Self.credits)
      #expect(standIn.requests.last?.parameters["customer"] == world.id("cus"))
    }
  }

  @Test func `an idempotency key makes one session, and is nobody else's`() async throws {
    try await Self.with { world, standIn in
      let path = "/v1/organizations/\(world.organization)/credits/checkout"
      let key = ["Idempotency-Key": "one"]
      let first = try await world.client.post(path, Self.credits, headers: key)
      #expect(first["idempotency-replayed"] == nil)
      let second = try await world.client.post(path, Self.credits, headers: key)
      #expect(second.text == first.text)
      #expect(second["idempotency-replayed"] == "true")
      #expect(standIn.made == 1)
      let other = try await world.client.post(
        path, #"{"package":"credits_45",\#(Self.pages)}"#, headers: key)
      #expect(other.status == 422)
      #expect(try other.problem == "idempotency-key-reused")
      let neighbour = try await StripeWorld.make(on: world.plane)
      _ = try await world.client.post(
        "/v1/organizations/\(neighbour.organization)/credits/checkout", Self.credits, headers: key)
      #expect(standIn.made == 2)
      #expect(!standIn.requests.contains { $0.headers["idempotency-key"]?.contains("one") == true })
      for _ in 0..<2 { _ = try await world.client.post(path, Self.credits) }
      #expect(standIn.made == 4)
    }
  }

  @Test func `a dry run checks the same, and makes nothing`() async throws {
    try await Self.with { world, standIn in
      let path = "/v1/organizations/\(world.organization)/credits/checkout?dry_run=true"
      let reply = try await world.client.post(path, Self.credits)
      #expect(try reply.json["dry_run"] == .bool(true), "\(reply.text)")
      #expect(try await world.client.post(path, "{}").status == 422)
      #expect(standIn.requests.isEmpty)
    }
  }

  @Test(arguments: [
    #"{"package":"credits_15"}"#, #"{"package":"credits_16",\#(pages)}"#, #"{\#(pages)}"#,
    #"{"package":15,\#(pages)}"#, #"{"package":"credits_15",\#(pages),"amount":1}"#,
    #"{"package":"credits_15","success_url":"http://a.example/","cancel_url":"https://a.example/"}"#,
    #"{"package":"credits_15","success_url":"javascript:alert(1)","cancel_url":"https://a.example/"}"#,
    #"{"package":"credits_15","success_url":"https://","cancel_url":"https://a.example/"}"#,
    #"{"package":"credits_15","success_url":"https://u:p@a.example/","cancel_url":"https://a.example/"}"#,
    #"{"package":"credits_15","success_url":"https://a.example/ b","cancel_url":"https://a.example/"}"#,
    #"{"package":"credits_15","success_url":"//a.example","cancel_url":"https://a.example/"}"#,
    #"{"package":"credits_15","success_url":"","cancel_url":"https://a.example/"}"#,
  ])
  func `what cannot be bought, or leads nowhere, is refused before Stripe is asked`(body: String)
    async throws
  {
    let world = try await StripeWorld.make()
    let reply = try await world.client.post(
      "/v1/organizations/\(world.organization)/credits/checkout", body)
    #expect(reply.status == 422, "\(reply.text)")
    #expect(try reply.problem == "invalid-request")
  }

  @Test func `a plan is subscribed to at its price, once`() async throws {
    try await Self.with(prices: [.business: "price_business"]) { world, standIn in
      let path = "/v1/organizations/\(world.organization)/plan/checkout"
      let plus = try await world.client.post(path, #"{"plan_tier":"plus",\#(Self.pages)}"#)
      #expect(plus.status == 200, "\(plus.text)")
      #expect(standIn.requests.last?.parameters["line_items[0][price]"] == "price_by_key")
      let business = try await world.client.post(path, #"{"plan_tier":"business",\#(Self.pages)}"#)
      #expect(business.status == 200, "\(business.text)")
      let asked = try #require(standIn.requests.last).parameters
      #expect(asked["line_items[0][price]"] == "price_business")
      #expect(asked["subscription_data[metadata][organization_id]"] == "\(world.organization)")
      #expect(
        try await world.client.post(path, #"{"plan_tier":"free",\#(Self.pages)}"#).status == 422)
      _ = try await world.client.outcome(world.subscription("created", "evt_1"))
      let again = try await world.client.post(path, #"{"plan_tier":"business",\#(Self.pages)}"#)
      #expect(again.status == 409)
      #expect(try again.problem == "already-subscribed")
      _ = try await world.client.outcome(
        world.subscription("deleted", "evt_2", status: "canceled", created: 200))
      #expect(
        try await world.client.post(path, #"{"plan_tier":"business",\#(Self.pages)}"#).status == 200
      )
    }
  }

  @Test func `the portal is there from the first purchase on`() async throws {
    try await Self.with { world, standIn in
      let path = "/v1/organizations/\(world.organization)/billing/portal"
      let body = #"{"return_url":"https://a.example/"}"#
      let early = try await world.client.post(path, body)
      #expect(early.status == 409)
      #expect(try early.problem == "no-billing-customer")
      _ = try await world.client.outcome(world.purchase())
      let reply = try await world.client.post(path, body)
      #expect(reply.status == 200, "\(reply.text)")
      #expect(standIn.requests.last?.parameters["customer"] == world.id("cus"))
    }
  }

  @Test func `nothing is sold to what is archived, and it can still look after what it bought`()
    async throws
  {
    try await Self.with { world, _ in
      _ = try await world.client.outcome(world.purchase())
      let path = "/v1/organizations/\(world.organization)"
      let archived = try await world.client.post(
        "\(path)/archive", headers: ["If-Match": "*"])
      #expect(archived.status == 200, "\(archived.text)")
      let reply = try await world.client.post("\(path)/credits/checkout", Self.credits)
      #expect(reply.status == 409)
      #expect(try reply.problem == "archived")
      let portal = try await world.client.post(
        "\(path)/billing/portal", #"{"return_url":"https://a.example/"}"#)
      #expect(portal.status == 200, "\(portal.text)")
      // Money that comes counts nevertheless.
      _ = try await world.client.outcome(world.purchase("completed", "evt_2", payment: "pi_2"))
      #expect(try await world.balance() == 200_000)
    }
  }

  @Test func `a Stripe that is in trouble is told as it is, and asked again with the same key`()
    async throws
  {
    try await Self.with { world, standIn in
      let path = "/v1/organizations/\(world.organization)/credits/checkout"
      standIn.fail(.status(500), .answerLost)
      #expect(try await world.client.post(path, Self.credits).status == 200)
      #expect(standIn.made == 1)
      standIn.fail(.status(503), .status(503), .status(503))
      let reply = try await world.client.post(path, Self.credits)
      #expect(reply.status == 503)
      #expect(try reply.problem == "billing-unavailable")
      standIn.fail(.silence)
      let start = ContinuousClock.now
      let silent = try await world.client.post(path, Self.credits)
      #expect(silent.status == 503, "\(silent.text)")
      #expect(ContinuousClock.now - start < .seconds(12))
    }
  }

  @Test func `a key that Stripe does not take is the operator's business`() async throws {
    try await Self.with(key: "sk_test_wrong") { world, _ in
      let reply = try await world.client.post(
        "/v1/organizations/\(world.organization)/credits/checkout", Self.credits)
      #expect(reply.status == 503)
      #expect(try reply.problem == "billing-not-configured")
      #expect(!reply.text.contains("sk_test"))
    }
  }

  @Test func `without a key nothing is sold`() async throws {
    let world = try await StripeWorld.make()
    let reply = try await world.client.post(
      "/v1/organizations/\(world.organization)/credits/checkout", Self.credits)
    #expect(reply.status == 503)
    #expect(try reply.problem == "billing-not-configured")
  }
}
