import Cryptography
import Glibc
package import JSON

/// An event as Stripe sends it, of those members that mean something, in the shape of its API reference.
package struct StripeDelivery: Sendable {
  package static let secret = "whsec_of_the_tests"

  package let id: String
  package let body: String

  /// - Parameter object: the members of `data.object`.
  package init(
    _ type: String, id: String, created: Int64 = 1_764_136_800, _ object: [String: JSONValue]
  ) {
    self.id = id
    let value = JSONValue.object([
      "id": .string(id), "object": .string("event"), "type": .string(type),
      "api_version": .string("2025-03-31.basil"), "created": .integer(created),
      "livemode": .bool(false), "pending_webhooks": .integer(1),
      "data": .object(["object": .object(object)]),
    ])
    body = String(decoding: value.canonicalBytes(), as: UTF8.self)
  }

  /// `Stripe-Signature`, as Stripe makes it.
  package static func signature(
    of body: String, at time: Int64? = nil, secret: String = secret
  ) -> String {
    let time = time ?? now
    let code = HMACSHA256(key: Array(secret.utf8))
      .authenticationCode(for: Array("\(time).\(body)".utf8))
    let digits = Array("0123456789abcdef".utf8)
    let hex = code.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    return "t=\(time),v1=\(String(decoding: hex, as: UTF8.self))"
  }

  /// Seconds since the epoch.
  package static var now: Int64 { Int64(time(nil)) }

  // MARK: Events

  /// A Checkout session of credits.
  package static func checkout(
    _ step: String = "completed", id: String, payment: String, organization: String?,
    package: String? = "credits_15", amount: Int64 = 1500, currency: String = "usd",
    status: String = "paid", customer: String? = nil,
    changing changes: [String: JSONValue] = [:]
  ) -> StripeDelivery {
    var metadata: [String: JSONValue] = [:]
    if let organization { metadata["organization_id"] = .string(organization) }
    if let package { metadata["package"] = .string(package) }
    let object: [String: JSONValue] = [
      "id": .string("cs_\(payment)"), "object": .string("checkout.session"),
      "mode": .string("payment"), "payment_status": .string(status),
      "payment_intent": .string(payment), "amount_total": .integer(amount),
      "currency": .string(currency), "metadata": .object(metadata),
      "client_reference_id": organization.map { .string($0) } ?? .null,
      "customer": customer.map { .string($0) } ?? .null, "subscription": .null,
    ]
    return StripeDelivery(
      "checkout.session.\(step)", id: id, object.merging(changes) { $1 })
  }

  /// So much of the charge was paid back so far.
  package static func refund(
    id: String, payment: String, refunded: Int64, of amount: Int64 = 1500,
    currency: String = "usd"
  ) -> StripeDelivery {
    StripeDelivery(
      "charge.refunded", id: id,
      [
        "id": .string("ch_\(payment)"), "object": .string("charge"), "amount": .integer(amount),
        "amount_refunded": .integer(refunded), "payment_intent": .string(payment),
        "currency": .string(currency),
      ])
  }

  package static func dispute(
    id: String, payment: String, dispute: String = "du_1", amount: Int64 = 1500,
    status: String = "needs_response", isClosed: Bool = false
  ) -> StripeDelivery {
    StripeDelivery(
      "charge.dispute.\(isClosed ? "closed" : "created")", id: id,
      [
        "id": .string(dispute), "object": .string("dispute"), "amount": .integer(amount),
        "payment_intent": .string(payment), "charge": .string("ch_\(payment)"),
        "currency": .string("usd"), "status": .string(status),
      ])
  }

  package static func subscription(
    _ step: String, id: String, subscription: String = "sub_1", organization: String?,
    lookupKey: String = "signalbox_plus", status: String = "active",
    customer: String = "cus_1", created: Int64 = 1_764_136_800
  ) -> StripeDelivery {
    let price: [String: JSONValue] = [
      "id": .string("price_\(lookupKey)"), "lookup_key": .string(lookupKey),
    ]
    return StripeDelivery(
      "customer.subscription.\(step)", id: id, created: created,
      [
        "id": .string(subscription), "object": .string("subscription"),
        "status": .string(status), "customer": .string(customer),
        "metadata": .object(organization.map { ["organization_id": .string($0)] } ?? [:]),
        "items": .object([
          "object": .string("list"), "data": .array([.object(["price": .object(price)])]),
        ]),
      ])
  }
}
