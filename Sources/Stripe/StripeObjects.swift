/// What is read of a Checkout session: https://docs.stripe.com/api/checkout/sessions/object
package struct CheckoutSession: Equatable, Sendable {
  package enum Step: Equatable, Sendable {
    /// The customer is through; the payment may still be under way.
    case completed
    case paymentSucceeded, paymentFailed
  }

  /// `payment_status`, which says when to deliver.
  package enum PaymentStatus: String, Sendable {
    case paid, unpaid
    case notRequired = "no_payment_required"
  }

  package let id: String
  /// `payment`, `subscription` or `setup`.
  package let mode: String
  package let paymentStatus: PaymentStatus
  /// `pi_…`; nil when nothing had to be paid, or the mode is another.
  package let paymentIntent: String?
  package let customer: String?
  package let subscription: String?
  /// What whoever made the session calls it.
  package let reference: String?
  package let metadata: [String: String]
  package let amount: Int64
  /// Lower case.
  package let currency: String

  /// What refunds and disputes know the payment by.
  package var paymentID: String { paymentIntent ?? id }

  /// What other events about the same know it by.
  package var subject: String { mode == "subscription" ? subscription ?? id : paymentID }

  init(_ reader: MemberReader) throws(UnreadableMember) {
    id = try reader.requiredIdentifier("id")
    mode = try reader.requiredIdentifier("mode")
    let status = try reader.requiredIdentifier("payment_status")
    guard let paymentStatus = PaymentStatus(rawValue: status) else {
      throw UnreadableMember("payment_status", "is none that is known")
    }
    self.paymentStatus = paymentStatus
    paymentIntent = reader.identifier("payment_intent")
    customer = reader.identifier("customer")
    subscription = reader.identifier("subscription")
    reference = reader.identifier("client_reference_id")
    metadata = reader.metadata(["organization_id", "package"])
    // A session that only sets something up has neither.
    guard mode == "payment" else {
      amount = 0
      currency = reader.identifier("currency") ?? ""
      return
    }
    amount = try reader.amount("amount_total")
    currency = try reader.requiredIdentifier("currency")
  }
}
