import Domain
import FoundationEssentials
import JSON
import Postgres
import Stripe
import Support
import Testing

@testable import ControlPlane

/// What Stripe tells of payments, and what becomes of the balance.
@Suite struct StripePaymentTests {
  @Test func `a purchase is credited once, however often it is told`() async throws {
    let world = try await StripeWorld.make()
    for _ in 0..<3 { #expect(try await world.client.outcome(world.purchase()) == "applied") }
    // Another event about the same payment says nothing new.
    #expect(
      try await world.client.outcome(world.purchase("async_payment_succeeded", "evt_again"))
        == "applied")
    #expect(try await world.balance() == 100_000)
    #expect(try await world.eventTypes().count { $0 == "credits.purchased" } == 1)
    let event = try await world.client.stripeEvent(world.id("evt_bought"))
    #expect(event["attempts"] == .integer(1))
    #expect(event["organization_id"]?.string == "\(world.organization)")
    #expect(event["subject"]?.string == world.id("pi"))
  }

  @Test func `the same delivery 64 times at once takes effect once`() async throws {
    let world = try await StripeWorld.make()
    let statuses = try await withThrowingTaskGroup(of: String.self) { group in
      for _ in 0..<64 {
        group.addTask { try await world.client.outcome(world.purchase()) }
      }
      return try await group.reduce(into: Set<String>()) { $0.insert($1) }
    }
    #expect(statuses == ["applied"])
    #expect(try await world.balance() == 100_000)
    #expect(try await world.eventTypes().count { $0 == "credits.purchased" } == 1)
  }

  @Test func `a bank transfer is credited when the money comes, or never`() async throws {
    let world = try await StripeWorld.make()
    let client = world.client
    #expect(
      try await client.outcome(world.purchase("completed", "evt_1", status: "unpaid")) == "applied")
    #expect(try await world.balance() == 0)
    #expect(
      try await client.outcome(world.purchase("async_payment_succeeded", "evt_2")) == "applied")
    #expect(try await world.balance() == 100_000)
    #expect(
      try await client.outcome(
        world.purchase("completed", "evt_3", payment: "pi_2", status: "unpaid")) == "applied")
    #expect(
      try await client.outcome(
        world.purchase("async_payment_failed", "evt_4", payment: "pi_2", status: "unpaid"))
        == "applied")
    #expect(try await world.balance() == 100_000)
  }

  @Test func `a refund that comes before its purchase is parked, and then counts`() async throws {
    let world = try await StripeWorld.make()
    let client = world.client
    #expect(try await client.outcome(world.refund(500)) == "parked")
    #expect(try await client.outcome(world.refund(500)) == "parked")
    let parked = try await client.stripeEvent(world.id("evt_refunded"))
    #expect(parked["reason"]?.string == "no purchase is known for the payment")
    #expect(parked["retry_at"]?.string != nil)
    #expect(try await client.outcome(world.purchase()) == "applied")
    #expect(try await world.balance() == 66_667)
    let applied = try await client.stripeEvent(world.id("evt_refunded"))
    #expect(applied["status"]?.string == "applied")
    #expect(applied["reason"] == .null)
    #expect(applied["retry_at"] == .null)
  }

  @Test func `partial refunds in any order leave the share of the largest`() async throws {
    for order in [[500, 1000, 1500], [1500, 500, 1000], [1000, 1500, 500]] as [[Int64]] {
      let world = try await StripeWorld.make()
      #expect(try await world.client.outcome(world.refund(order[0], "evt_0")) == "parked")
      #expect(try await world.client.outcome(world.purchase()) == "applied")
      for (index, refunded) in order.enumerated().dropFirst() {
        #expect(
          try await world.client.outcome(world.refund(refunded, "evt_\(index)")) == "applied")
      }
      #expect(try await world.balance() == 0)
    }
  }

  @Test(arguments: [("won", 100_000), ("lost", 0)] as [(String, Int64)])
  func `a dispute withdraws, and its end settles it, in whatever order`(
    end: String, balance: Int64
  ) async throws {
    let steps: @Sendable (StripeWorld) -> [StripeDelivery] = { world in
      [
        world.purchase(), world.dispute("needs_response", "evt_opened"),
        world.dispute(end, "evt_closed", isClosed: true),
      ]
    }
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
      let world = try await StripeWorld.make()
      for step in order { _ = try await world.client.outcome(steps(world)[step]) }
      #expect(try await world.balance() == balance, "\(order)")
    }
    let world = try await StripeWorld.make()
    for step in 0..<2 { _ = try await world.client.outcome(steps(world)[step]) }
    #expect(try await world.balance() == 0)
  }

  @Test func `an inquiry withdraws nothing`() async throws {
    let world = try await StripeWorld.make()
    _ = try await world.client.outcome(world.purchase())
    for (status, isClosed) in [("warning_needs_response", false), ("warning_closed", true)] {
      #expect(
        try await world.client.outcome(
          world.dispute(status, "evt_\(status)", isClosed: isClosed)) == "ignored")
    }
    #expect(try await world.balance() == 100_000)
  }

  @Test func `an inquiry that escalates withdraws when the money goes, not when it ends`()
    async throws
  {
    let steps: @Sendable (StripeWorld) -> [StripeDelivery] = { world in
      [
        world.purchase(), world.dispute("warning_needs_response", "evt_1", created: 100),
        world.dispute(
          "needs_response", "evt_2", "updated", former: "warning_needs_response", created: 200),
        world.dispute("needs_response", "evt_3", "funds_withdrawn", created: 200),
      ]
    }
    for last in [2, 3] {
      let world = try await StripeWorld.make()
      for step in [0, 1, last] { _ = try await world.client.outcome(steps(world)[step]) }
      #expect(try await world.balance() == 0)
    }
    var random = SeededGenerator(seed: 18)
    for _ in 0..<4 {
      let world = try await StripeWorld.make()
      let end = [
        world.dispute("won", "evt_4", isClosed: true, created: 300),
        world.dispute("won", "evt_5", "funds_reinstated", created: 301),
      ]
      for step in (steps(world) + end).shuffled(using: &random) {
        _ = try await world.client.outcome(step)
      }
      #expect(try await world.balance() == 100_000)
    }
  }

  @Test func `money that was reinstated counts without the end of the dispute`() async throws {
    let world = try await StripeWorld.make()
    _ = try await world.client.outcome(world.purchase())
    _ = try await world.client.outcome(world.dispute("needs_response", "evt_1", created: 100))
    #expect(try await world.balance() == 0)
    _ = try await world.client.outcome(
      world.dispute("under_review", "evt_2", "funds_reinstated", created: 200))
    #expect(try await world.balance() == 100_000)
    // Evidence that is told of late changes nothing.
    _ = try await world.client.outcome(
      world.dispute("under_review", "evt_3", "updated", created: 300))
    #expect(try await world.balance() == 100_000)
  }

  @Test(arguments: ["refund.failed", "refund.updated", "charge.refund.updated"])
  func `a refund that fails at the bank gives the units back, in whatever order`(
    type: String
  ) async throws {
    let steps: @Sendable (StripeWorld) -> [StripeDelivery] = { world in
      [
        world.purchase(), world.refund(500),
        world.singleRefund(500, "evt_failed", "failed", type: type),
      ]
    }
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
      let world = try await StripeWorld.make()
      for step in order { _ = try await world.client.outcome(steps(world)[step]) }
      #expect(try await world.balance() == 100_000, "\(order)")
      // A second one is made, and arrives; how it was made is told late.
      for step in [
        world.singleRefund(500, "evt_2", "succeeded", refund: "re_2"),
        world.singleRefund(500, "evt_3", "pending", refund: "re_2", type: "refund.created"),
        world.singleRefund(500, "evt_4", "pending", type: "refund.created"),
      ] { #expect(try await world.client.outcome(step) == "applied") }
      #expect(try await world.balance() == 66_667, "\(order)")
      let purchases = try await world.client.get(
        "/v1/organizations/\(world.organization)/credits/purchases")
      #expect(try purchases.json["data"]?.array?.first?["refunded_amount"] == .integer(500))
    }
  }

  @Test
  func `what becomes of a subscription's payment asks for nothing, before and after that is known`()
    async throws
  {
    let world = try await StripeWorld.make()
    let invoice = StripeDelivery.invoicePayment(id: world.id("evt_in"), payment: world.id("pi"))
    let refund = world.refund(500)
    #expect(try await world.client.outcome(refund) == "parked")
    #expect(try await world.client.outcome(invoice) == "ignored")
    let event = try await world.client.stripeEvent(refund.id)
    #expect(event["status"]?.string == "ignored")
    #expect(event["reason"]?.string == StripeEventMeaning.ofInvoice)
    #expect(event["retry_at"] == .null)
    let dispute = world.dispute("needs_response", "evt_dispute")
    #expect(try await world.client.outcome(dispute) == "ignored")
    let failed = world.singleRefund(500, "evt_failed", "failed")
    #expect(try await world.client.outcome(failed) == "ignored")
  }

  @Test(arguments: StripeDeadLetters.all)
  fileprivate func `what can never be applied is a dead letter with the reason`(
    letter: StripeDeadLetters
  ) async throws {
    let world = try await StripeWorld.make()
    let delivery = letter.delivery(world)
    #expect(try await world.client.outcome(delivery) == "failed")
    #expect(try await world.client.outcome(delivery) == "failed", "and stays so")
    let event = try await world.client.stripeEvent(delivery.id)
    let reason = event["reason"]?.string ?? ""
    #expect(reason.contains(letter.reason), "\(reason)")
    #expect(event["attempts"] == .integer(1))
    #expect(event["retry_at"] == .null)
    #expect(try await world.balance() == 0)
    let failed = try await world.client.all("/v1/platform/stripe-events?status=failed")
    #expect(failed.contains { $0["id"]?.string == delivery.id })
  }

  @Test func `what others sell by the same account is recorded and left alone`() async throws {
    let world = try await StripeWorld.make()
    let other = StripeDelivery.checkout(
      id: world.id("evt_other"), payment: world.id("pi"), organization: nil, package: nil,
      amount: 9900)
    #expect(try await world.client.outcome(other) == "ignored")
    let unknown = StripeDelivery("invoice.paid", id: world.id("evt_unknown"), ["id": .string("in")])
    #expect(try await world.client.outcome(unknown) == "ignored")
    #expect(
      try await world.client.stripeEvent(world.id("evt_unknown"))["type"]?.string == "invoice.paid")
  }

  @Test func `a dispute in another currency than the purchase is a dead letter`() async throws {
    let world = try await StripeWorld.make()
    _ = try await world.client.outcome(world.purchase())
    let refund = StripeDelivery.refund(
      id: world.id("evt_eur"), payment: world.id("pi"), refunded: 500, currency: "eur")
    #expect(try await world.client.outcome(refund) == "failed")
    #expect(try await world.balance() == 100_000)
  }

  @Test func `a dead letter is tried again when its cause is gone`() async throws {
    let world = try await StripeWorld.make()
    let later = OrganizationID(Identifiers.next())
    let delivery = StripeDelivery.checkout(
      id: world.id("evt"), payment: world.id("pi"), organization: "\(later)")
    let path = "/v1/platform/stripe-events/\(world.id("evt"))"
    #expect(try await world.client.outcome(delivery) == "failed")
    let rehearsed = try await world.client.post("\(path):replay?dry_run=true")
    #expect(try rehearsed.json["resource"]?["status"]?.string == "failed", "\(rehearsed.text)")
    _ = try await world.plane.handle(
      .organization(
        .create(name: "Late", slug: "l-\(later)".filter { $0 != "_" }, owner: world.plane.adminID)),
      in: later)
    let again = try await world.client.post("\(path):replay?dry_run=true")
    #expect(try again.json["resource"]?["status"]?.string == "applied", "\(again.text)")
    #expect(try await world.client.stripeEvent(world.id("evt"))["status"]?.string == "failed")
    let replayed = try await world.client.post("\(path):replay")
    #expect(try replayed.json["status"]?.string == "applied", "\(replayed.text)")
    #expect(try replayed.json["attempts"] == .integer(2))
    let finished = try await world.client.post("\(path):replay")
    #expect(finished.status == 409)
    #expect(try finished.problem == "stripe-event-finished")
  }

  @Test func `the list goes on page by page, and a cursor is good for its filter only`()
    async throws
  {
    let world = try await StripeWorld.make()
    for number in 0..<5 {
      let delivery = StripeDelivery(
        "a.b", id: world.id("evt_\(number)"), ["id": .string("x")])
      #expect(try await world.client.outcome(delivery) == "ignored")
    }
    let all = try await world.client.all("/v1/platform/stripe-events?status=ignored", limit: 2)
    let mine = all.compactMap { $0["id"]?.string }.filter { $0.hasSuffix(world.id("")) }
    #expect(mine == (0..<5).reversed().map { world.id("evt_\($0)") })
    let page = try await world.client.get("/v1/platform/stripe-events?status=ignored&limit=1")
    let cursor = try #require(try page.json["next_cursor"]?.string)
    let other = try await world.client.get("/v1/platform/stripe-events?cursor=\(cursor)")
    #expect(other.status == 422)
    #expect(try await world.client.get("/v1/platform/stripe-events?status=lost").status == 422)
  }

  @Test func `what a replica that died left behind is tried again by another`() async throws {
    let world = try await StripeWorld.make()
    let delivery = world.purchase()
    let event = try StripeEventTests.event(delivery)
    // As it is after the first of the two transactions.
    try await world.plane.database.withSession { session throws in
      _ = try session.pipeline(
        [
          StripeEventTable.insert(event, of: world.organization),
          "UPDATE stripe_events SET retry_at = now() WHERE event_id = \(event.id)",
        ], deadline: .soon)
    }
    let patience = ContinuousClock.now + .seconds(10)
    while try await world.balance() == 0 {
      try #require(ContinuousClock.now < patience)
      try await Task.sleep(for: .milliseconds(50))
    }
    #expect(try await world.balance() == 100_000)
  }

  @Test func `nothing waits for a purchase for ever, and one that comes later still finds it`()
    async throws
  {
    let world = try await StripeWorld.make()
    #expect(try await world.client.outcome(world.refund(500)) == "parked")
    let given = try await world.givenUp("evt_refunded")
    #expect(given["status"]?.string == "ignored")
    #expect(given["reason"]?.string?.contains("30 days") == true)
    #expect(try await world.client.outcome(world.refund(500)) == "ignored")
    #expect(try await world.client.outcome(world.purchase()) == "applied")
    #expect(try await world.balance() == 66_667)
    #expect(
      try await world.client.stripeEvent(given["id"]?.string ?? "")["status"] == .string("applied"))
  }

  @Test func `a refund whose purchase is a dead letter becomes one too`() async throws {
    let world = try await StripeWorld.make()
    #expect(try await world.client.outcome(world.purchase(amount: 1499)) == "failed")
    #expect(try await world.client.outcome(world.refund(500)) == "parked")
    #expect(try await world.givenUp("evt_refunded")["status"]?.string == "failed")
  }

  @Test func `what is done with goes after a while, and what is open or still needed stays`()
    async throws
  {
    try await TestControlPlane.with { planes in
      let world = try await StripeWorld.make(on: planes[0])
      let client = world.client
      #expect(try await client.outcome(world.purchase()) == "applied")
      #expect(try await client.outcome(world.purchase("completed", "evt_young")) == "applied")
      for number in 0..<3 {
        let delivery = StripeDelivery("a.b", id: world.id("evt_\(number)"), ["id": .string("x")])
        #expect(try await client.outcome(delivery) == "ignored")
      }
      // A dead letter, and what is known of the same payment.
      #expect(
        try await client.outcome(
          world.purchase("completed", "evt_dead", payment: "pi_2", amount: 1))
          == "failed")
      #expect(
        try await client.outcome(
          .invoicePayment(id: world.id("evt_kin"), payment: world.id("pi_2"))) == "ignored")
      #expect(try await client.outcome(world.refund(5, "evt_parked", payment: "pi_3")) == "parked")
      // Only these say whose the subscription is, and the newer one is enough.
      for (number, event) in ["evt_sub_1", "evt_sub_2"].enumerated() {
        _ = try await client.outcome(
          world.subscription("updated", event, created: Int64(100 + number)))
      }
      let young = world.id("evt_young")
      try await world.plane.database.withSession { session throws in
        _ = try session.execute(
          """
          UPDATE stripe_events SET updated_at = now() - interval '91 days', \
          received_at = received_at - interval '91 days' WHERE event_id <> \(young)
          """, deadline: .soon)
      }
      let deleted = try await planes[0].database.withApplicationSession { session throws in
        try session.execute(
          StripeEventTable.deleteFinished(olderThan: StripeEventRetention.age, limit: 100),
          deadline: .soon
        ).affected
      }
      let left = try await planes[0].database.withSession { session throws in
        try session.execute("SELECT event_id FROM stripe_events", deadline: .soon)
          .map { row throws in try row.decode(String.self) }
      }
      #expect(
        Set(left)
          == Set(
            ["evt_young", "evt_dead", "evt_kin", "evt_parked", "evt_sub_2"].map(world.id)))
      #expect(deleted == 5)
      // What comes again after that changes nothing.
      #expect(try await client.outcome(world.purchase()) == "applied")
      #expect(try await world.balance() == 100_000)
    }
  }
}

extension StripeWorld {
  /// An event as it is after it has waited in vain for 31 days.
  fileprivate func givenUp(_ event: String) async throws -> JSONValue {
    let id = id(event)
    try await plane.database.withSession { session throws in
      _ = try session.execute(
        """
        UPDATE stripe_events SET received_at = now() - interval '31 days', retry_at = now() \
        WHERE event_id = \(id)
        """, deadline: .soon)
    }
    let patience = ContinuousClock.now + .seconds(10)
    while try await client.stripeEvent(id)["status"]?.string == "parked" {
      try #require(ContinuousClock.now < patience)
      try await Task.sleep(for: .milliseconds(50))
    }
    return try await client.stripeEvent(id)
  }
}

/// Events that ask for something impossible.
private struct StripeDeadLetters: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let reason: String
  let delivery: @Sendable (StripeWorld) -> StripeDelivery

  init(
    _ name: String, _ reason: String,
    _ delivery: @escaping @Sendable (StripeWorld) -> StripeDelivery
  ) {
    testDescription = name
    self.reason = reason
    self.delivery = delivery
  }

  static func checkout(
    _ name: String, _ reason: String, organization: String? = nil, package: String? = "credits_15",
    amount: Int64 = 1500, currency: String = "usd", changing changes: [String: JSONValue] = [:]
  ) -> StripeDeadLetters {
    StripeDeadLetters(name, reason) { world in
      .checkout(
        id: world.id("evt"), payment: world.id("pi"),
        organization: organization ?? "\(world.organization)", package: package, amount: amount,
        currency: currency, changing: changes)
    }
  }

  static let all = [
    checkout("an unknown package", "no package", package: "credits_1000"),
    checkout("too little", "credits_15 is not sold for 1499 usd", amount: 1499),
    checkout("too much", "credits_15 is not sold for 1501 usd", amount: 1501),
    checkout("another currency", "not sold for 1500 eur", currency: "eur"),
    checkout("no organization", "no organization", organization: "org_00000000000000000000000000"),
    checkout("no id", "is no organization's id", organization: "Acme"),
    checkout("a user", "is no organization's id", organization: "usr_00000000000000000000000000"),
    checkout("a negative amount", "amount_total is negative", amount: -1500),
    checkout(
      "two organizations", "two organizations",
      changing: ["client_reference_id": .string("org_00000000000000000000000000")]),
    checkout(
      "an unknown payment status", "payment_status", changing: ["payment_status": .string("half")]),
    StripeDeadLetters("a dispute that ended somehow", "the status escalated") { world in
      .dispute(id: world.id("evt"), payment: world.id("pi"), status: "escalated", isClosed: true)
    },
    StripeDeadLetters("a price of no plan", "the price price_other is no plan's") { world in
      world.subscription("created", "evt", lookupKey: "other")
    },
    StripeDeadLetters("prices of no plan", "none of the prices price_a, price_b is a plan's") {
      world in
      world.subscription("created", "evt", keys: ["a", "b"])
    },
    StripeDeadLetters("an amount beyond all", "is more than any payment can be") { world in
      .checkout(
        id: world.id("evt"), payment: world.id("pi"), organization: "\(world.organization)",
        amount: .max)
    },
    StripeDeadLetters("a status of the future", "the status half is not known") { world in
      world.subscription("created", "evt", status: "half")
    },
  ]
}
