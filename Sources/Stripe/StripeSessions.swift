import JSON

/// A page of Stripe's that a browser is sent to.
package struct StripeSession: Equatable, Sendable {
  package let id: String
  package let url: String
  /// Whether it is what an earlier request with the same key made.
  package let isReplay: Bool
}

/// What is sold in a Checkout session.
package enum CheckoutItem: Sendable {
  /// Once, at an amount in the currency's smallest unit.
  case product(name: String, amount: Int64, currency: String)
  /// A subscription at a price that is set up at Stripe.
  case subscription(price: String)
}

/// Where the browser goes afterwards, and what the events tell us later.
package struct CheckoutRequest: Sendable {
  package let item: CheckoutItem
  /// Comes back as `client_reference_id`, and in the metadata as `organization_id`, also of the subscription and, copied
  /// by Stripe, of the payment and its charge.
  package let organization: String
  package let metadata: [(name: String, value: String)]
  /// Who pays, when Stripe knows them already.
  package let customer: String?
  package let successURL: String
  package let cancelURL: String

  package init(
    item: CheckoutItem, organization: String, metadata: [(name: String, value: String)] = [],
    customer: String?, successURL: String, cancelURL: String
  ) {
    self.item = item
    self.organization = organization
    self.metadata = metadata
    self.customer = customer
    self.successURL = successURL
    self.cancelURL = cancelURL
  }

  var form: FormBody {
    var parameters: [(name: String, value: String)] = [
      ("client_reference_id", organization), ("success_url", successURL),
      ("cancel_url", cancelURL), ("line_items[0][quantity]", "1"),
    ]
    let metadata = [("organization_id", organization)] + self.metadata
    parameters += metadata.map { ("metadata[\($0)]", $1) }
    switch item {
    case .product(let name, let amount, let currency):
      parameters += [
        ("mode", "payment"), ("line_items[0][price_data][currency]", currency),
        ("line_items[0][price_data][unit_amount]", "\(amount)"),
        ("line_items[0][price_data][product_data][name]", name),
      ]
      parameters += metadata.map { ("payment_intent_data[metadata][\($0)]", $1) }
      // A subscription makes one anyway, and may not be asked to.
      if customer == nil { parameters.append(("customer_creation", "always")) }
    case .subscription(let price):
      parameters += [("mode", "subscription"), ("line_items[0][price]", price)]
      parameters += metadata.map { ("subscription_data[metadata][\($0)]", $1) }
    }
    if let customer { parameters.append(("customer", customer)) }
    return FormBody(parameters)
  }
}

extension StripeClient {
  /// Makes a Checkout session: https://docs.stripe.com/api/checkout/sessions/create
  ///
  /// - Throws: ``StripeError``.
  package func checkout(
    _ request: CheckoutRequest, idempotencyKey: String, deadline: ContinuousClock.Instant
  ) async throws(StripeError) -> StripeSession {
    try session(
      await post(
        "checkout/sessions", request.form, idempotencyKey: idempotencyKey, deadline: deadline))
  }

  /// Makes a session of the customer portal: https://docs.stripe.com/api/customer_portal/sessions/create
  ///
  /// - Throws: ``StripeError``.
  package func portal(
    customer: String, returnURL: String, idempotencyKey: String,
    deadline: ContinuousClock.Instant
  ) async throws(StripeError) -> StripeSession {
    let form = FormBody([("customer", customer), ("return_url", returnURL)])
    return try session(
      await post(
        "billing_portal/sessions", form, idempotencyKey: idempotencyKey, deadline: deadline))
  }

  /// The active price with this lookup key: https://docs.stripe.com/api/prices/list
  ///
  /// - Returns: nil when there is none.
  /// - Throws: ``StripeError``.
  package func price(
    lookupKey: String, deadline: ContinuousClock.Instant
  ) async throws(StripeError) -> String? {
    let query = FormBody([("lookup_keys[]", lookupKey), ("active", "true"), ("limit", "1")])
    let list = try await get("prices", query, deadline: deadline).body
    guard let data = list["data"]?.array else {
      throw .unexpected(reason: "a list has no data")
    }
    return data.first?["id"]?.string
  }

  private func session(_ answer: Answer) throws(StripeError) -> StripeSession {
    guard let id = answer.body["id"]?.string, let url = answer.body["url"]?.string,
      url.hasPrefix("https://")
    else { throw .unexpected(reason: "a session has no id or no https URL") }
    return StripeSession(id: id, url: url, isReplay: answer.isReplay)
  }
}
