/// What happened to a workspace's credits. Where the balance changes, the event says by how much and to what: these
/// events are the ledger.
package enum CreditsEvent: Equatable, Sendable {
  case purchaseStarted(PurchaseStarted)
  case purchased(Purchased)
  case purchaseFailed(PurchaseFailed)
  case refunded(Refunded)
  case refundRecorded(RefundRecorded)
  case disputeOpened(DisputeOpened)
  case disputeClosed(DisputeClosed)
  case consumed(Consumed)
  case debtIncurred(DebtIncurred)

  /// What was ordered, and is not paid yet.
  package struct PurchaseStarted: EventPayload {
    package static let type = "credits.purchase_started"
    package let purchaseID: CreditPurchaseID
    package let order: Order
    package var event: WorkspaceEvent { .credits(.purchaseStarted(self)) }

    private enum CodingKeys: String, CodingKey {
      case purchaseID = "purchase_id"
      case order
    }
  }

  /// The money has come.
  package struct Purchased: EventPayload {
    package static let type = "credits.purchased"
    package let purchaseID: CreditPurchaseID
    package let order: Order
    /// By how much the balance changes: less than was ordered if money went back before it was known to have come.
    package let units: Int64
    package let balance: Int64
    package var event: WorkspaceEvent { .credits(.purchased(self)) }

    private enum CodingKeys: String, CodingKey {
      case purchaseID = "purchase_id"
      case order, units, balance
    }
  }

  /// The money will not come.
  package struct PurchaseFailed: EventPayload {
    package static let type = "credits.purchase_failed"
    package let purchaseID: CreditPurchaseID
    package let order: Order
    package var event: WorkspaceEvent { .credits(.purchaseFailed(self)) }

    private enum CodingKeys: String, CodingKey {
      case purchaseID = "purchase_id"
      case order
    }
  }

  /// The sum of what was paid back.
  package struct Refunded: EventPayload {
    package static let type = "credits.refunded"
    package let purchaseID: CreditPurchaseID
    /// All that was paid back so far, in the currency's smallest unit.
    package let refundedAmount: Int64
    package let units: Int64
    package let balance: Int64
    package var event: WorkspaceEvent { .credits(.refunded(self)) }

    private enum CodingKeys: String, CodingKey {
      case purchaseID = "purchase_id"
      case refundedAmount = "refunded_amount"
      case units, balance
    }
  }

  /// A single refund that was made, or has failed. Its units are zero when the sum of refunds was told before.
  package struct RefundRecorded: EventPayload {
    package static let type = "credits.refund_recorded"
    package let purchaseID: CreditPurchaseID
    package let refundID: String
    /// In the currency's smallest unit.
    package let amount: Int64
    package let hasFailed: Bool
    package let units: Int64
    package let balance: Int64
    package var event: WorkspaceEvent { .credits(.refundRecorded(self)) }

    private enum CodingKeys: String, CodingKey {
      case purchaseID = "purchase_id"
      case refundID = "refund_id"
      case hasFailed = "failed"
      case amount, units, balance
    }
  }

  package struct DisputeOpened: EventPayload {
    package static let type = "credits.dispute_opened"
    package let purchaseID: CreditPurchaseID
    package let disputeID: String
    /// In the currency's smallest unit.
    package let amount: Int64
    package let place: Billing.Place
    package let units: Int64
    package let balance: Int64
    package var event: WorkspaceEvent { .credits(.disputeOpened(self)) }

    private enum CodingKeys: String, CodingKey {
      case purchaseID = "purchase_id"
      case disputeID = "dispute_id"
      case amount, place, units, balance
    }
  }

  package struct DisputeClosed: EventPayload {
    package static let type = "credits.dispute_closed"
    package let purchaseID: CreditPurchaseID
    package let disputeID: String
    /// In the currency's smallest unit.
    package let amount: Int64
    package let outcome: CreditPurchase.Dispute.Outcome
    package let place: Billing.Place
    package let units: Int64
    package let balance: Int64
    package var event: WorkspaceEvent { .credits(.disputeClosed(self)) }

    private enum CodingKeys: String, CodingKey {
      case purchaseID = "purchase_id"
      case disputeID = "dispute_id"
      case amount, outcome, place, units, balance
    }
  }

  /// Requests were served that no included volume covered.
  package struct Consumed: EventPayload {
    package static let type = "credits.consumed"
    package let period: BillingPeriod
    package let units: Int64
    package let balance: Int64
    package var event: WorkspaceEvent { .credits(.consumed(self)) }
  }

  /// The balance fell below zero: more was spent than stands after refunds and disputes.
  package struct DebtIncurred: EventPayload {
    package static let type = "credits.debt_incurred"
    package let period: BillingPeriod
    /// Log units.
    package let debt: Int64
    package var event: WorkspaceEvent { .credits(.debtIncurred(self)) }
  }

  /// A payment's own facts.
  package struct Order: Equatable, Sendable, Codable {
    package let paymentID: String
    package let package: String
    package let logUnits: Int64
    /// In the currency's smallest unit.
    package let amount: Int64
    package let currency: String

    init(_ order: PurchaseOrder) {
      paymentID = order.paymentID
      package = order.package.name
      logUnits = order.package.logUnits
      amount = order.amount
      currency = order.currency
    }

    /// As they are known: what is told first of a payment stays.
    init(_ purchase: CreditPurchase) {
      paymentID = purchase.paymentID
      package = purchase.package
      logUnits = purchase.logUnits
      amount = purchase.amount
      currency = purchase.currency
    }

    private enum CodingKeys: String, CodingKey {
      case package, amount, currency
      case paymentID = "payment_id"
      case logUnits = "log_units"
    }
  }

  /// Nil when the event is about no single purchase.
  package var purchaseID: CreditPurchaseID? {
    switch self {
    case .purchaseStarted(let payload): payload.purchaseID
    case .purchased(let payload): payload.purchaseID
    case .purchaseFailed(let payload): payload.purchaseID
    case .refunded(let payload): payload.purchaseID
    case .refundRecorded(let payload): payload.purchaseID
    case .disputeOpened(let payload): payload.purchaseID
    case .disputeClosed(let payload): payload.purchaseID
    case .consumed, .debtIncurred: nil
    }
  }

  /// By how much the balance changes, and what it is then; nil when it does not.
  package var change: (units: Int64, balance: Int64)? {
    switch self {
    case .purchased(let payload): (payload.units, payload.balance)
    case .refunded(let payload): (payload.units, payload.balance)
    case .refundRecorded(let payload): (payload.units, payload.balance)
    case .disputeOpened(let payload): (payload.units, payload.balance)
    case .disputeClosed(let payload): (payload.units, payload.balance)
    case .consumed(let payload): (payload.units, payload.balance)
    case .purchaseStarted, .purchaseFailed, .debtIncurred: nil
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [
    PurchaseStarted.self, Purchased.self, PurchaseFailed.self, Refunded.self, RefundRecorded.self,
    DisputeOpened.self, DisputeClosed.self, Consumed.self, DebtIncurred.self,
  ]

  var payload: any EventPayload {
    switch self {
    case .purchaseStarted(let payload): payload
    case .purchased(let payload): payload
    case .purchaseFailed(let payload): payload
    case .refunded(let payload): payload
    case .refundRecorded(let payload): payload
    case .disputeOpened(let payload): payload
    case .disputeClosed(let payload): payload
    case .consumed(let payload): payload
    case .debtIncurred(let payload): payload
    }
  }
}
