import Domain
import FoundationEssentials
import JSON
import Postgres
import Stripe
import Support
import Testing

@testable import ControlPlane

/// Subscriptions, and deliveries that Stripe's own library signed.
@Suite struct StripeEventTests {
  static func event(_ delivery: StripeDelivery) throws -> StripeEvent {
    try StripeEvent(JSONValue.parse(Array(delivery.body.utf8)))
  }

  @Test func `deliveries that Stripe's own library signed are believed`() async throws {
    let world = try await StripeWorld.make()
    let files = try Repository.list("fixtures/stripe").map {
      "\(Repository.root)/fixtures/stripe/\($0)"
    }
    let lines = try Program.run(
      "\(Repository.root)/.build/contract/bin/python",
      ["\(Repository.root)/ops/contract/stripe_deliveries.py", StripeDelivery.secret] + files
    ).split(separator: "\n")
    #expect(lines.count == files.count)
    for line in lines {
      let delivery = try JSONValue.parse(Array(line.utf8))
      let (name, body) = (delivery["name"]?.string ?? "", delivery["body"]?.string ?? "")
      let header = delivery["header"]?.string
      let reply = try await world.client.deliver(body, signature: header)
      #expect(reply.status == 200, "\(name): \(reply.text)")
      let broken = try await world.client.deliver(body + " ", signature: header)
      #expect(broken.status == 400, "\(name)")
    }
  }

  @Test func `nothing personal of a delivery is stored or shown`() async throws {
    let world = try await StripeWorld.make()
    let files = try Repository.list("fixtures/stripe").filter { $0.contains("completed") }
    for (number, file) in files.enumerated() {
      let text = String(decoding: try Repository.read("fixtures/stripe/\(file)"), as: UTF8.self)
        .replacing("evt_EXAMPLE", with: world.id("evt_\(number)"))
        .replacing("pi_EXAMPLE", with: world.id("pi_\(number)"))
        .replacing("org_01jdexamp1e0000000000000rg", with: "\(world.organization)")
      let reply = try await world.client.deliver(
        text, signature: StripeDelivery.signature(of: text))
      #expect(reply.status == 200)
    }
    let organization = world.organization.uuid
    let stored = try await world.plane.database.withSession { session throws in
      // What was made of the deliveries, without the hashes beside it, in which anything may stand.
      try [
        "SELECT coalesce(string_agg(payload::text, ''), '') FROM stripe_events",
        """
        SELECT coalesce(string_agg(payload::text, ''), '') FROM events
        WHERE organization_id = '\(organization)'
        """,
        """
        SELECT coalesce(string_agg(concat(before, after), ''), '') FROM workspace_audit_events
        WHERE organization_id = '\(organization)'
        """,
      ].map { query throws in
        try session.execute(Query(unchecked: query), deadline: .soon)[0].decode(String.self)
      }
    }
    for personal in ["Erika", "erika.mustermann", "Muster", "10115", "4917"] {
      for text in stored { #expect(!text.contains(personal)) }
    }
    #expect(try await world.balance() > 0)
  }

  @Test func `the plan follows the subscription`() async throws {
    let world = try await StripeWorld.make()
    let client = world.client
    #expect(try await world.plan() == "free")
    #expect(
      try await client.outcome(world.subscription("created", "evt_1", status: "incomplete"))
        == "applied")
    #expect(try await world.plan() == "free")
    _ = try await client.outcome(world.subscription("updated", "evt_2", created: 101))
    #expect(try await world.plan() == "plus")
    _ = try await client.outcome(
      world.subscription("updated", "evt_3", lookupKey: "signalbox_business", created: 102))
    #expect(try await world.plan() == "business")
    _ = try await client.outcome(
      world.subscription(
        "updated", "evt_4", lookupKey: "signalbox_business", status: "past_due", created: 103))
    #expect(try await world.plan() == "business")
    _ = try await client.outcome(
      world.subscription(
        "updated", "evt_5", lookupKey: "signalbox_business", status: "unpaid", created: 104))
    #expect(try await world.plan() == "free")
    _ = try await client.outcome(
      world.subscription("updated", "evt_6", lookupKey: "signalbox_business", created: 105))
    #expect(try await world.plan() == "business")
    _ = try await client.outcome(
      world.subscription("deleted", "evt_7", status: "canceled", created: 106))
    #expect(try await world.plan() == "free")
  }

  @Test func `events of a subscription in any order leave what the newest says`() async throws {
    var random = SeededGenerator(seed: 7)
    for _ in 0..<6 {
      let world = try await StripeWorld.make()
      let events = [
        world.subscription("created", "evt_1", created: 100),
        world.subscription("updated", "evt_2", lookupKey: "signalbox_business", created: 100),
        world.subscription("deleted", "evt_3", status: "canceled", created: 100),
        // Another one, that was there before and stays.
        world.subscription("created", "evt_4", subscription: "sub_2", created: 50),
        world.subscription(
          "updated", "evt_5", subscription: "sub_2", status: "past_due", created: 60),
      ]
      for event in events.shuffled(using: &random) { _ = try await world.client.outcome(event) }
      #expect(try await world.plan() == "plus")
      for event in events { #expect(try await world.client.outcome(event) == "applied") }
      #expect(try await world.plan() == "plus")
    }
  }

  @Test func `the plan is that of the item whose price is a plan's, wherever it stands`()
    async throws
  {
    let world = try await StripeWorld.make()
    let orders = [
      ["extra_seats", "signalbox_plus"], ["signalbox_business", "extra_seats"],
      ["a", "signalbox_plus", "b"], ["signalbox_plus", "signalbox_business"],
    ]
    var plans: [String] = []
    for (number, keys) in orders.enumerated() {
      #expect(
        try await world.client.outcome(
          world.subscription("updated", "evt_\(number)", keys: keys, created: Int64(100 + number)))
          == "applied")
      plans.append(try await world.plan())
    }
    #expect(plans == ["plus", "business", "plus", "business"])
  }

  @Test func `of two updates in one second previous_attributes decides, whichever comes first`()
    async throws
  {
    for isReversed in [false, true] {
      let world = try await StripeWorld.make()
      // The ids say the opposite of what happened.
      let updates = [
        world.subscription(
          "updated", "evt_b", keys: ["signalbox_business"], former: .init(keys: ["signalbox_plus"])),
        world.subscription(
          "updated", "evt_a", keys: ["signalbox_business"], status: "unpaid",
          former: .init(status: "active")),
      ]
      for update in isReversed ? updates.reversed() : updates {
        #expect(try await world.client.outcome(update) == "applied")
      }
      #expect(try await world.plan() == "free", "\(isReversed)")
    }
  }

  @Test func `where previous_attributes says nothing the subscription is read from Stripe`()
    async throws
  {
    try await CheckoutTests.with { world, standIn in
      // They undo each other: each may have been the last.
      let updates = [
        world.subscription(
          "updated", "evt_a", keys: ["signalbox_business"], former: .init(keys: ["signalbox_plus"])),
        world.subscription(
          "updated", "evt_b", keys: ["signalbox_plus"], former: .init(keys: ["signalbox_business"])),
      ]
      #expect(try await world.client.outcome(updates[0]) == "applied")
      standIn.put(
        subscription: world.id("sub"), customer: world.id("cus"), keys: ["x", "signalbox_business"])
      // Stripe is out of order once, and asked again.
      standIn.fail(.status(500), .status(500), .status(500))
      #expect(try await world.client.outcome(updates[1]) == "received")
      let patience = ContinuousClock.now + .seconds(30)
      while try await world.client.stripeEvent(world.id("evt_b"))["status"]?.string == "received" {
        try #require(ContinuousClock.now < patience)
        try await Task.sleep(for: .milliseconds(100))
      }
      #expect(
        try await world.client.stripeEvent(world.id("evt_b"))["status"]?.string == "applied")
      #expect(try await world.plan() == "business")
      #expect(standIn.requests.contains { $0.path == "/v1/subscriptions/\(world.id("sub"))" })
      // An update of that second that comes late is in what was read.
      #expect(
        try await world.client.outcome(
          world.subscription("updated", "evt_c", keys: ["signalbox_plus"], former: .init()))
          == "applied")
      #expect(try await world.plan() == "business")
      _ = try await world.client.outcome(
        world.subscription("deleted", "evt_d", status: "canceled"))
      #expect(try await world.plan() == "free")
    }
  }

  @Test func `Stripe says that a refunded payment was an invoice's`() async throws {
    try await CheckoutTests.with { world, standIn in
      standIn.invoice(world.id("pi"))
      #expect(try await world.client.outcome(world.refund(500)) == "parked")
      let id = world.id("evt_refunded")
      try await world.plane.database.withSession { session throws in
        _ = try session.execute(
          "UPDATE stripe_events SET retry_at = now() WHERE event_id = \(id)", deadline: .soon)
      }
      let patience = ContinuousClock.now + .seconds(10)
      while try await world.client.stripeEvent(id)["status"]?.string == "parked" {
        try #require(ContinuousClock.now < patience)
        try await Task.sleep(for: .milliseconds(50))
      }
      #expect(try await world.client.stripeEvent(id)["status"]?.string == "ignored")
    }
  }

  @Test func `a subscription that names nobody waits for its checkout`() async throws {
    let world = try await StripeWorld.make()
    let unnamed = world.subscription("created", "evt_1", isNamed: false)
    #expect(try await world.client.outcome(unnamed) == "parked")
    #expect(try await world.plan() == "free")
    let checkout = StripeDelivery.checkout(
      id: world.id("evt_2"), payment: world.id("none"), organization: "\(world.organization)",
      package: nil, customer: world.id("cus"),
      changing: [
        "mode": .string("subscription"), "payment_intent": .null,
        "subscription": .string(world.id("sub")),
      ])
    #expect(try await world.client.outcome(checkout) == "applied")
    #expect(try await world.plan() == "plus")
    // Known by its customer from now on.
    let second = world.subscription(
      "created", "evt_3", subscription: "sub_2", lookupKey: "signalbox_business", isNamed: false)
    #expect(try await world.client.outcome(second) == "applied")
    #expect(try await world.plan() == "business")
  }

  @Test func `a price that is configured is its plan's, whatever it is called at Stripe`()
    async throws
  {
    try await TestControlPlane.with({ $0.stripe.prices = [.business: "price_other"] }) { planes in
      let world = try await StripeWorld.make(on: planes[0])
      _ = try await world.client.outcome(
        world.subscription("created", "evt_1", lookupKey: "other"))
      #expect(try await world.plan() == "business")
      let shadowed = world.subscription("created", "evt_2", lookupKey: "signalbox_business")
      #expect(try await world.client.outcome(shadowed) == "failed")
    }
  }

  @Test func `what Stripe calls an organization is in no reply`() async throws {
    let world = try await StripeWorld.make()
    _ = try await world.client.outcome(world.subscription("created", "evt_1"))
    _ = try await world.client.outcome(world.purchase())
    let path = "/v1/organizations/\(world.organization)"
    let reply = try await world.client.get(path)
    #expect(!reply.text.contains(world.id("cus")))
    #expect(!reply.text.contains(world.id("sub")))
    let row = try await world.plane.database.withSession { session throws in
      try session.execute(BillingReference.find(world.organization), deadline: .soon)[0]
        .decode((String?, String?, Bool).self)
    }
    #expect(row.0 == world.id("cus"))
    #expect(row.1 == world.id("sub"))
  }
}
