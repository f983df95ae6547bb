import JSON
import Support

/// What Stripe tells of many payments, and what must come of it: worked out here from the facts, without an order.
struct PaymentModel: Sendable {
  /// An event, and what must become of it.
  struct Told: Sendable {
    let delivery: StripeDelivery
    let status: String
  }

  private(set) var events: [Told] = []
  /// By organization.
  private(set) var balances: [String: Int64]
  private let organizations: [String]

  /// - Parameter count: how many events, at least.
  init(events count: Int, of organizations: [String], using random: inout SeededGenerator) {
    self.organizations = organizations
    balances = Dictionary(uniqueKeysWithValues: organizations.map { ($0, 0) })
    var payment = 0
    while events.count < count {
      payment += 1
      tell("pi_\(payment)", using: &random)
    }
  }

  private mutating func tell(_ payment: String, using random: inout SeededGenerator) {
    let organization = organizations.randomElement(using: &random) ?? ""
    let size = Int64.random(in: 1...3, using: &random)
    let (amount, units) = (size * 1500, size * 100_000)
    let package = "credits_\(size * 15)"
    func checkout(_ step: String, _ status: String) -> StripeDelivery {
      .checkout(
        step, id: "evt_\(payment)_\(step)", payment: payment, organization: organization,
        package: package, amount: amount, status: status, customer: "cus_\(organization)")
    }
    switch Int.random(in: 0..<20, using: &random) {
    case 0:
      // The money never comes.
      add(checkout("completed", "unpaid"))
      return add(checkout("async_payment_failed", "unpaid"))
    case 1:
      // Bought from somebody else.
      let id = "evt_\(payment)_unknown"
      return add(StripeDelivery("invoice.paid", id: id, ["id": .string("in_1")]), "ignored")
    case 2 where Bool.random(using: &random):
      // What is given back was a subscription's.
      add(.invoicePayment(id: "evt_\(payment)_invoice", payment: payment), "ignored")
      return add(.refund(id: "evt_\(payment)_orphan", payment: payment, refunded: 1), "ignored")
    case 2:
      // What is given back was never bought here.
      return add(.refund(id: "evt_\(payment)_orphan", payment: payment, refunded: 1), "parked")
    case 3:
      return add(
        .checkout(
          id: "evt_\(payment)_wrong", payment: payment, organization: organization,
          package: package, amount: amount - 1), "failed")
    case 4..<9:
      add(checkout("completed", "unpaid"))
      add(checkout("async_payment_succeeded", "paid"))
    default: add(checkout("completed", "paid"))
    }
    let back = refunds(payment, amount, &random) + disputes(payment, amount, &random)
    balances[organization, default: 0] += units - units * min(amount, back) / amount
  }

  /// Each says how much it is so far. Some are told singly, too; some of these fail later, and whether the next sum still
  /// holds them is different from payment to payment.
  ///
  /// - Returns: how much it is in the end.
  private mutating func refunds(
    _ payment: String, _ amount: Int64, _ random: inout SeededGenerator
  ) -> Int64 {
    var (refunded, sum): (Int64, Int64) = (0, 0)
    let leavesSum = Bool.random(using: &random)
    for number in 0..<Int.random(in: 0...3, using: &random) where sum < amount {
      let part = Int64.random(in: 1...(amount - sum), using: &random)
      (refunded, sum) = (refunded + part, sum + part)
      let name = "\(payment)_refund_\(number)"
      add(.refund(id: "evt_\(name)", payment: payment, refunded: sum, of: amount))
      func tell(_ type: String, _ status: String) {
        add(
          .singleRefund(
            type, id: "evt_\(name)_\(type)_\(status)", payment: payment, refund: "re_\(name)",
            amount: part, status: status))
      }
      tell("refund.created", "pending")
      if Bool.random(using: &random) { tell("charge.refund.updated", "succeeded") }
      guard Int.random(in: 0..<3, using: &random) == 0 else { continue }
      tell(Bool.random(using: &random) ? "refund.failed" : "refund.updated", "failed")
      refunded -= part
      if leavesSum { sum -= part }
    }
    return refunded
  }

  /// - Returns: how much of the money is away in the end.
  private mutating func disputes(
    _ payment: String, _ amount: Int64, _ random: inout SeededGenerator
  ) -> Int64 {
    var away: Int64 = 0
    for number in 0..<max(0, Int.random(in: -2...2, using: &random)) {
      let disputed = Int64.random(in: 1...amount, using: &random)
      var time: Int64 = 1_764_136_800
      func tell(
        _ step: String, _ status: String, former: String? = nil, becomes outcome: String = "applied"
      ) {
        // Some of what follows happens in the same second.
        time += Int64.random(in: 0...2, using: &random)
        add(
          .dispute(
            step, id: "evt_\(payment)_dispute_\(number)_\(step)_\(status)", payment: payment,
            dispute: "du_\(payment)_\(number)", amount: disputed, status: status, former: former,
            created: time), outcome)
      }
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        tell("created", "warning_needs_response", becomes: "ignored")
        tell("closed", "warning_closed", becomes: "ignored")
        continue
      case 1:
        // An inquiry escalates.
        tell("created", "warning_needs_response", becomes: "ignored")
        tell("updated", "needs_response", former: "warning_needs_response")
      default: tell("created", "needs_response")
      }
      if Bool.random(using: &random) { tell("funds_withdrawn", "needs_response") }
      switch Int.random(in: 0..<3, using: &random) {
      case 0: away += disputed
      case 1:
        tell("closed", "lost")
        away += disputed
      default:
        tell("closed", "won")
        if Bool.random(using: &random) { tell("funds_reinstated", "won") }
      }
    }
    return away
  }

  private mutating func add(_ delivery: StripeDelivery, _ status: String = "applied") {
    events.append(Told(delivery: delivery, status: status))
  }

  /// Each from one to ten times, in no order.
  func deliveries(using random: inout SeededGenerator) -> [StripeDelivery] {
    events.flatMap { event in
      Array(repeating: event.delivery, count: Int.random(in: 1...10, using: &random))
    }.shuffled(using: &random)
  }
}
