/// What is read of a dispute: https://docs.stripe.com/api/disputes/object
package struct Dispute: Equatable, Sendable {
  /// What an event says happened to it. All of them carry the dispute as it is then.
  package enum Step: Equatable, Sendable {
    case created, closed
    /// With the status that it had before, if that changed.
    case updated(from: String?)
    /// The money has left the account, or come back to it.
    case withdrawn, reinstated
  }

  package let id: String
  /// The payment intent, or the charge where there was none.
  package let paymentID: String
  /// What is disputed, which may be a part of the payment.
  package let amount: Int64
  package let currency: String
  package let status: String

  /// Whether it is only an inquiry, which withdraws nothing unless it escalates
  /// (https://docs.stripe.com/disputes/how-disputes-work#inquiries).
  package var isInquiry: Bool { Self.isInquiry(status) }

  package static func isInquiry(_ status: String) -> Bool { status.hasPrefix("warning_") }

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
