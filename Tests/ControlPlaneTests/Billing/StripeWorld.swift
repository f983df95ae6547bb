import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

extension TestClient {
  /// A delivery that is signed.
  func deliver(
    _ delivery: StripeDelivery, at location: SourceLocation = #_sourceLocation
  ) async throws -> HTTPReply {
    try await deliver(
      delivery.body, signature: StripeDelivery.signature(of: delivery.body), at: location)
  }

  func deliver(
    _ body: String, signature: String?, at location: SourceLocation = #_sourceLocation
  ) async throws -> HTTPReply {
    try await with(token: nil).send(
      "POST", "/v1/webhooks/stripe", body,
      headers: signature.map { ["Stripe-Signature": $0] } ?? [:], at: location)
  }

  /// Delivers, and says what became of it.
  func outcome(
    _ delivery: StripeDelivery, at location: SourceLocation = #_sourceLocation
  ) async throws -> String {
    let reply = try await deliver(delivery, at: location)
    #expect(reply.status == 200, "\(reply.text)", sourceLocation: location)
    return try reply.json["status"]?.string ?? reply.text
  }

  /// What became of an event, and why.
  func stripeEvent(
    _ id: String, at location: SourceLocation = #_sourceLocation
  ) async throws -> JSONValue {
    try await get("/v1/platform/stripe-events/\(id)", at: location).json
  }
}

/// An organization that buys things, on a server of all tests.
struct StripeWorld: Sendable {
  let plane: TestControlPlane
  let organization: OrganizationID
  private let mark = "\(UUID())".lowercased().filter { $0 != "-" }

  static func make(on plane: TestControlPlane? = nil) async throws -> StripeWorld {
    let plane = if let plane { plane } else { try await TestControlPlane.shared }
    return StripeWorld(plane: plane, organization: try await plane.makeOrganization())
  }

  private init(plane: TestControlPlane, organization: OrganizationID) {
    self.plane = plane
    self.organization = organization
  }

  var client: TestClient { plane.client }

  /// An id that no other test has.
  func id(_ name: String) -> String { "\(name)_\(mark)" }

  func purchase(
    _ step: String = "completed", _ event: String = "evt_bought", payment: String = "pi",
    package: String = "credits_15", amount: Int64 = 1500, status: String = "paid"
  ) -> StripeDelivery {
    .checkout(
      step, id: id(event), payment: id(payment), organization: "\(organization)",
      package: package, amount: amount, status: status, customer: id("cus"))
  }

  func refund(
    _ refunded: Int64, _ event: String = "evt_refunded", payment: String = "pi"
  ) -> StripeDelivery {
    .refund(id: id(event), payment: id(payment), refunded: refunded)
  }

  func dispute(
    _ status: String, _ event: String, _ step: String? = nil, former: String? = nil,
    isClosed: Bool = false, amount: Int64 = 1500, created: Int64 = 1_764_136_800
  ) -> StripeDelivery {
    .dispute(
      step, id: id(event), payment: id("pi"), dispute: id("du"), amount: amount, status: status,
      former: former, isClosed: isClosed, created: created)
  }

  func singleRefund(
    _ amount: Int64, _ event: String, _ status: String, refund: String = "re",
    type: String = "refund.updated"
  ) -> StripeDelivery {
    .singleRefund(
      type, id: id(event), payment: id("pi"), refund: id(refund), amount: amount, status: status)
  }

  func subscription(
    _ step: String, _ event: String, subscription: String = "sub",
    lookupKey: String = "signalbox_plus", keys: [String]? = nil, status: String = "active",
    created: Int64 = 100, isNamed: Bool = true, former: StripeDelivery.Former? = nil
  ) -> StripeDelivery {
    .subscription(
      step, id: id(event), subscription: id(subscription),
      organization: isNamed ? "\(organization)" : nil, keys: keys ?? [lookupKey], status: status,
      customer: id("cus"), created: created, former: former)
  }

  /// The balance as the organization's row has it.
  func balance() async throws -> Int64 {
    let id = organization
    return try await plane.database.withSession { session throws in
      try session.execute(
        "SELECT credit_logs_balance FROM organizations WHERE organization_id = \(id.uuid)",
        deadline: .soon)[0].decode(Int64.self)
    }
  }

  func plan() async throws -> String {
    let reply = try await client.get("/v1/organizations/\(organization)/limits")
    return try reply.json["plan_tier"]?.string ?? reply.text
  }

  func eventTypes() async throws -> [String] {
    let id = organization
    return try await plane.database.withSession { session throws in
      try session.execute(
        "SELECT type FROM events WHERE organization_id = \(id.uuid) ORDER BY version",
        deadline: .soon
      ).map { row throws in try row.decode(String.self) }
    }
  }
}
