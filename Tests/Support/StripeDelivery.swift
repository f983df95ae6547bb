import Cryptography
import Glibc
package import JSON

/// An event as Stripe sends it, of those members that mean something, in the shape of its API reference.
package struct StripeDelivery: Sendable {
  package static let secret = "whsec_of_the_tests"

  package let id: String
  package let body: String

  /// - Parameters:
  ///   - object: the members of `data.object`.
  ///   - previous: the members of `data.previous_attributes`, if there are any.
  package init(
    _ type: String, id: String, created: Int64 = 1_764_136_800, _ object: [String: JSONValue],
    previous: [String: JSONValue]? = nil
  ) {
    self.id = id
    var data: [String: JSONValue] = ["object": .object(object)]
    if let previous { data["previous_attributes"] = .object(previous) }
    let value = JSONValue.object([
      "id": .string(id), "object": .string("event"), "type": .string(type),
      "api_version": .string("2025-03-31.basil"), "created": .integer(created),
      "livemode": .bool(false), "pending_webhooks": .integer(1),
      "data": .object(data),
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

  /// A single refund as it is then.
  package static func singleRefund(
    _ type: String = "refund.failed", id: String, payment: String, refund: String = "re_1",
    amount: Int64, status: String = "failed", currency: String = "usd"
  ) -> StripeDelivery {
    StripeDelivery(
      type, id: id,
      [
        "id": .string(refund), "object": .string("refund"), "amount": .integer(amount),
        "payment_intent": .string(payment), "charge": .string("ch_\(payment)"),
        "currency": .string(currency), "status": .string(status),
      ])
  }

  /// A payment was an invoice's.
  package static func invoicePayment(id: String, payment: String) -> StripeDelivery {
    StripeDelivery(
      "invoice_payment.paid", id: id,
      [
        "id": .string("inpay_\(payment)"), "object": .string("invoice_payment"),
        "invoice": .string("in_\(payment)"), "status": .string("paid"),
        "payment": .object([
          "type": .string("payment_intent"), "payment_intent": .string(payment),
        ]),
      ])
  }

  /// - Parameters:
  ///   - step: e.g. `funds_withdrawn`; `created` or `closed` if nil.
  ///   - former: the status before an update.
  package static func dispute(
    _ step: String? = nil, id: String, payment: String, dispute: String = "du_1",
    amount: Int64 = 1500, status: String = "needs_response", former: String? = nil,
    isClosed: Bool = false, created: Int64 = 1_764_136_800
  ) -> StripeDelivery {
    StripeDelivery(
      "charge.dispute.\(step ?? (isClosed ? "closed" : "created"))", id: id, created: created,
      [
        "id": .string(dispute), "object": .string("dispute"), "amount": .integer(amount),
        "payment_intent": .string(payment), "charge": .string("ch_\(payment)"),
        "currency": .string("usd"), "status": .string(status),
      ], previous: former.map { ["status": .string($0)] })
  }

  /// - Parameters:
  ///   - keys: the lookup keys of the prices of its items.
  ///   - former: what it was before an update, as far as that changed; nil leaves `previous_attributes` out.
  package static func subscription(
    _ step: String, id: String, subscription: String = "sub_1", organization: String?,
    keys: [String] = ["signalbox_plus"], status: String = "active",
    customer: String = "cus_1", created: Int64 = 1_764_136_800, former: Former? = nil
  ) -> StripeDelivery {
    StripeDelivery(
      "customer.subscription.\(step)", id: id, created: created,
      [
        "id": .string(subscription), "object": .string("subscription"),
        "status": .string(status), "customer": .string(customer),
        "metadata": .object(organization.map { ["organization_id": .string($0)] } ?? [:]),
        "items": items(keys),
      ], previous: former?.attributes)
  }

  /// What a subscription was before an update, as far as the update changed it.
  package struct Former: Sendable {
    let attributes: [String: JSONValue]

    package init(status: String? = nil, keys: [String]? = nil) {
      var attributes: [String: JSONValue] = [:]
      if let status { attributes["status"] = .string(status) }
      if let keys { attributes["items"] = StripeDelivery.items(keys) }
      self.attributes = attributes
    }
  }

  /// The items of a subscription, each at a price.
  package static func items(_ keys: [String]) -> JSONValue {
    .object([
      "object": .string("list"),
      "data": .array(
        keys.map { key in
          .object([
            "price": .object([
              "id": .string("price_\(key)"), "lookup_key": .string(key),
            ])
          ])
        }),
    ])
  }
}
