import Domain
import FoundationEssentials
import JSON
import Support
import Testing

@testable import ControlPlane

@Suite struct CreditOutcomeTests {
  private struct World {
    let plane: TestControlPlane
    let owner: TestClient
    let ownerID: UserID
    let path: String
    let organization: OrganizationID

    init() async throws {
      plane = try await TestControlPlane.shared
      (ownerID, owner) = try await plane.makeUser()
      path = try await owner.makeOrganization()
      organization = try #require(
        OrganizationID(String(path.split(separator: "/").last ?? "")))
    }

    /// What the payment provider told, by the system.
    func told(_ commands: CreditsCommand...) async throws {
      for command in commands {
        _ = try await plane.handle(.credits(command), in: organization, by: .system)
      }
    }

    func ledger(pagesOf limit: Int) async throws -> [JSONValue] {
      var entries: [JSONValue] = []
      var cursor = ""
      while true {
        let page = try await owner.get("\(path)/credits/ledger?limit=\(limit)\(cursor)").json
        entries += page["data"]?.array ?? []
        guard let next = page["next_cursor"]?.string else { return entries }
        cursor = "&cursor=\(next)"
      }
    }

    func order(_ payment: String, _ package: Int = 0) -> PurchaseOrder {
      PurchaseOrder(
        purchaseID: CreditPurchaseID(Identifiers.next()),
        paymentID: "pi_\(payment)_\(organization)",
        package: CreditPackage.all[package], amount: 1500 * Int64(package + 1), currency: "usd")
    }
  }

  // MARK: Refused

  @Test func `nobody sees another workspace's credits`() async throws {
    let world = try await World()
    let order = world.order("1")
    try await world.told(.complete(order))
    let stranger = try await world.plane.makeUser().client
    for path in ["", "/purchases", "/purchases/\(order.purchaseID)", "/ledger"] {
      #expect(try await stranger.get("\(world.path)/credits\(path)").status == 404)
      #expect(
        try await world.plane.client.with(token: "x").get("\(world.path)/credits\(path)").status
          == 401)
    }
    let own = try await stranger.makeOrganization()
    #expect(try await stranger.get("\(own)/credits/purchases/\(order.purchaseID)").status == 404)
    #expect(try await stranger.get("\(own)/credits").json["credit_logs_balance"] == .integer(0))
  }

  @Test func `no person tells of payments, whatever their role`() async throws {
    let world = try await World()
    let (owner, order) = (world.ownerID, world.order("1"))
    await #expect(throws: CommandError.self) {
      _ = try await world.plane.handle(
        .credits(.complete(order)), in: world.organization, by: .user(owner))
    }
    #expect(
      try await world.owner.get("\(world.path)/credits").json["credit_logs_balance"] == .integer(0))
  }

  // MARK: Served

  @Test func `a purchase is a balance, a row and an entry`() async throws {
    let world = try await World()
    let order = world.order("1", 1)
    try await world.told(.complete(order), .complete(order))
    let credits = try await world.owner.get("\(world.path)/credits").json
    #expect(credits["credit_logs_balance"] == .integer(200_000))
    #expect(credits["credit_debt"] == .integer(0))
    #expect(credits["packages"]?.array?.count == 3)
    let reply = try await world.owner.get(
      "\(world.path)/credits/purchases/\(order.purchaseID)")
    let purchase = try reply.json
    #expect(purchase["status"]?.string == "completed")
    #expect(purchase["log_units"] == .integer(200_000))
    #expect(purchase["payment_id"]?.string == order.paymentID)
    let etag = try #require(reply["etag"])
    #expect(
      try await world.owner.get(
        "\(world.path)/credits/purchases/\(order.purchaseID)", headers: ["If-None-Match": etag]
      ).status == 304)
    let listed = try await world.owner.all("\(world.path)/credits/purchases?status=completed")
    #expect(listed.map { $0["id"]?.string } == ["\(order.purchaseID)"])
    #expect(try await world.owner.all("\(world.path)/credits/purchases?status=refunded").isEmpty)
    let audit = try await world.owner.all(
      "\(world.path)/audit-events?target=\(order.purchaseID)")
    #expect(audit.map { $0["action"]?.string } == ["credits.purchased"])
  }

  private static func place(_ rank: Int64) -> Billing.Place {
    Billing.Place(time: 1_764_136_800, rank: rank, source: "evt_\(rank)")
  }

  @Test func `the ledger adds up to the balance, page by page`() async throws {
    let world = try await World()
    let (first, second) = (world.order("1"), world.order("2", 2))
    try await world.told(
      .complete(first), .begin(second), .refund(paymentID: first.paymentID, refunded: 500),
      .complete(second),
      .openDispute(paymentID: second.paymentID, disputeID: "dp_1", amount: 4500, Self.place(0)),
      .refund(paymentID: first.paymentID, refunded: 1500),
      .closeDispute(
        paymentID: second.paymentID, disputeID: "dp_1", amount: 4500, outcome: .won, Self.place(1)))
    let entries = try await world.ledger(pagesOf: 4)
    #expect(entries.count == 6)
    let units = entries.map { $0["units"]?.integer ?? 0 }
    #expect(units == [300_000, -66_667, -300_000, 300_000, -33_333, 100_000])
    let balance = try await world.owner.get("\(world.path)/credits").json["credit_logs_balance"]
    #expect(balance == .integer(300_000))
    #expect(balance?.integer == units.reduce(0, +))
    #expect(entries.first?["balance"] == balance)
  }

  @Test func `what a lost dispute took is gone, and the past shows what was there`() async throws {
    let world = try await World()
    let order = world.order("1")
    try await world.told(
      .complete(order),
      .openDispute(paymentID: order.paymentID, disputeID: "d", amount: 1500, Self.place(0)),
      .closeDispute(
        paymentID: order.paymentID, disputeID: "d", amount: 1500, outcome: .lost, Self.place(1)))
    let before = try await world.owner.get("\(world.path)/credits").json
    #expect(before["credit_logs_balance"] == .integer(0))
    let version = try await world.owner.all("\(world.path)/credits/ledger").last?["version"]?
      .integer
    let past = try await world.owner.get(
      "\(world.path)/credits?as_of=\(try #require(version))"
    ).json
    #expect(past["credit_logs_balance"] == .integer(100_000))
  }
}
