import JSON

extension StripeClient {
  /// A subscription as it is now: https://docs.stripe.com/api/subscriptions/retrieve
  ///
  /// - Throws: ``StripeError``; `.invalid` when there is none with this id.
  package func subscription(
    _ id: String, deadline: ContinuousClock.Instant
  ) async throws(StripeError) -> Subscription {
    // The id came with an event, and becomes a part of a path.
    guard id.hasPrefix("sub_"), Identifier.exactly(id) != nil else {
      throw .unexpected(reason: "a subscription's id does not begin with sub_")
    }
    let answer = try await get("subscriptions/\(id)", FormBody([]), deadline: deadline)
    let subscription: Subscription
    do throws(UnreadableMember) {
      subscription = try Subscription(MemberReader(answer.body), previous: nil)
    } catch {
      throw .unexpected(reason: error.reason)
    }
    guard subscription.id == id else { throw .unexpected(reason: "it is another subscription") }
    return subscription
  }

  /// Whether a payment was made for an invoice, as those of subscriptions are:
  /// https://docs.stripe.com/api/invoice-payment/list
  ///
  /// - Parameter paymentIntent: `pi_…`.
  /// - Throws: ``StripeError``.
  package func paysInvoice(
    _ paymentIntent: String, deadline: ContinuousClock.Instant
  ) async throws(StripeError) -> Bool {
    let query = FormBody([
      ("payment[type]", "payment_intent"), ("payment[payment_intent]", paymentIntent),
      ("limit", "1"),
    ])
    let list = try await get("invoice_payments", query, deadline: deadline).body
    guard let data = list["data"]?.array else {
      throw .unexpected(reason: "a list has no data")
    }
    return !data.isEmpty
  }
}
