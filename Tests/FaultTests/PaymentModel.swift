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

  /// Each says how much it is so far.
  ///
  /// - Returns: how much it is in the end.
  private mutating func refunds(
    _ payment: String, _ amount: Int64, _ random: inout SeededGenerator
  ) -> Int64 {
    var refunded: Int64 = 0
    for number in 0..<Int.random(in: 0...3, using: &random) where refunded < amount {
      refunded += Int64.random(in: 1...(amount - refunded), using: &random)
      add(
        .refund(
          id: "evt_\(payment)_refund_\(number)", payment: payment, refunded: refunded, of: amount))
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
      func tell(_ status: String, isClosed: Bool) -> StripeDelivery {
        .dispute(
          id: "evt_\(payment)_dispute_\(number)_\(isClosed)", payment: payment,
          dispute: "du_\(payment)_\(number)", amount: disputed, status: status, isClosed: isClosed)
      }
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        add(tell("warning_needs_response", isClosed: false), "ignored")
        add(tell("warning_closed", isClosed: true), "ignored")
      case 1:
        add(tell("needs_response", isClosed: false))
        away += disputed
      case 2:
        add(tell("needs_response", isClosed: false))
        add(tell("lost", isClosed: true))
        away += disputed
      default:
        add(tell("needs_response", isClosed: false))
        add(tell("won", isClosed: true))
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
