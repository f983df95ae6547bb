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

/// What is read of a charge that was refunded: https://docs.stripe.com/api/charges/object
///
/// `refunds`, the list of single refunds, is not read: since 2022-11-15 it is not there, and `amount_refunded` is their sum.
package struct Refund: Equatable, Sendable {
  /// The payment intent, or the charge where there was none.
  package let paymentID: String
  package let amount: Int64
  /// All that was refunded until then, in the currency's smallest unit.
  package let refunded: Int64
  package let currency: String
  /// Whether the charge paid an invoice, as those of subscriptions do. Told until 2025-03-31 only.
  package let isOfInvoice: Bool

  init(_ reader: MemberReader) throws(UnreadableMember) {
    let id = try reader.requiredIdentifier("id")
    paymentID = reader.identifier("payment_intent") ?? id
    amount = try reader.amount("amount")
    refunded = try reader.amount("amount_refunded")
    currency = try reader.requiredIdentifier("currency")
    isOfInvoice = reader.identifier("invoice") != nil
    guard refunded <= amount else {
      throw UnreadableMember("amount_refunded", "is more than the amount")
    }
  }
}

/// What is read of a dispute: https://docs.stripe.com/api/disputes/object
package struct Dispute: Equatable, Sendable {
  package let id: String
  /// The payment intent, or the charge where there was none.
  package let paymentID: String
  /// What is disputed, which may be a part of the payment.
  package let amount: Int64
  package let currency: String
  package let status: String

  /// Only an inquiry: nothing was withdrawn (https://docs.stripe.com/disputes/how-disputes-work#inquiries).
  package var isInquiry: Bool { status.hasPrefix("warning_") }

  init(_ reader: MemberReader) throws(UnreadableMember) {
    id = try reader.requiredIdentifier("id")
    guard let payment = reader.identifier("payment_intent") ?? reader.identifier("charge") else {
      throw UnreadableMember("payment_intent", "is missing, and so is charge")
    }
    paymentID = payment
    amount = try reader.amount("amount")
    currency = try reader.requiredIdentifier("currency")
    status = try reader.requiredIdentifier("status")
  }
}

/// What is read of a subscription: https://docs.stripe.com/api/subscriptions/object
///
/// `current_period_end` is not read: since 2025-03-31 it stands with the items, and nothing here depends on it.
package struct Subscription: Equatable, Sendable {
  package enum Step: Int64, Sendable {
    case created, updated, deleted
  }

  package struct Price: Equatable, Sendable {
    package let id: String
    package let lookupKey: String?
  }

  package let id: String
  package let customer: String
  package let status: String
  package let price: Price?
  package let metadata: [String: String]

  init(_ reader: MemberReader) throws(UnreadableMember) {
    id = try reader.requiredIdentifier("id")
    customer = try reader.requiredIdentifier("customer")
    status = try reader.requiredIdentifier("status")
    price = reader.firstPrice("items")
    metadata = reader.metadata(["organization_id"])
  }
}
