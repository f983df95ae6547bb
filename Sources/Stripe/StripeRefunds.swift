/// What is read of a charge that was refunded: https://docs.stripe.com/api/charges/object
///
/// `refunds`, the list of single refunds, is not read: since 2022-11-15 it is not there, and single refunds have events of
/// their own.
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

/// What is read of a single refund, which may fail days after it was made: https://docs.stripe.com/api/refunds/object
package struct SingleRefund: Equatable, Sendable {
  package let id: String
  /// The payment intent, or the charge where there was none.
  package let paymentID: String
  package let amount: Int64
  package let currency: String
  /// Whether the money stays with us, or came back: the customer's bank did not take it, or the refund was cancelled.
  package let hasFailed: Bool

  init(_ reader: MemberReader) throws(UnreadableMember) {
    id = try reader.requiredIdentifier("id")
    guard let payment = reader.identifier("payment_intent") ?? reader.identifier("charge") else {
      throw UnreadableMember("payment_intent", "is missing, and so is charge")
    }
    paymentID = payment
    amount = try reader.amount("amount")
    currency = try reader.requiredIdentifier("currency")
    switch try reader.requiredIdentifier("status") {
    case "pending", "requires_action", "succeeded": hasFailed = false
    case "failed", "canceled": hasFailed = true
    default: throw UnreadableMember("status", "is none that is known")
    }
  }
}

/// What is read of the payment of an invoice. Since 2025-03-31 nothing else tells that a payment was a subscription's and
/// bought no credits: https://docs.stripe.com/api/invoice-payment/object
package struct InvoicePayment: Equatable, Sendable {
  package let invoice: String
  /// The payment intent, or the charge where there was none.
  package let paymentID: String

  init(_ reader: MemberReader) throws(UnreadableMember) {
    invoice = try reader.requiredIdentifier("invoice")
    guard
      let payment = reader.identifier("payment", "payment_intent")
        ?? reader.identifier("payment", "charge")
    else { throw UnreadableMember("payment", "names no payment intent and no charge") }
    paymentID = payment
  }
}
