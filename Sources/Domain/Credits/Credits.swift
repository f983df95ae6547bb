// MARK: State and evolve

/// A workspace's credits: what was bought, and what is left of it.
package struct Credits: Equatable, Sendable, Codable {
  /// Log units; below zero when more was spent than stands after refunds and disputes.
  package private(set) var balance: Int64 = 0
  package private(set) var purchases: [CreditPurchaseID: CreditPurchase] = [:]
  /// By the provider's names of the payments.
  private var payments: [String: CreditPurchaseID] = [:]
  /// The newest month in which a debt was told of.
  private var debtToldIn: BillingPeriod?
  /// How many events happened to them.
  package private(set) var version: Int64 = 0

  package init() {}

  package var debt: Int64 { max(0, -balance) }

  /// The purchase that a payment is for.
  package func purchase(for paymentID: String) -> (id: CreditPurchaseID, value: CreditPurchase)? {
    payments[paymentID].flatMap { id in purchases[id].map { (id, $0) } }
  }

  private enum CodingKeys: String, CodingKey {
    case balance, purchases, payments, version
    case debtToldIn = "debt_told_in"
  }

  /// Nothing is changed by an event that does not fit.
  mutating func evolve(_ event: CreditsEvent, _ metadata: EventMetadata) throws(FoldError) {
    var purchase: CreditPurchase?
    if let id = event.purchaseID { purchase = try self.purchase(id, after: event, metadata) }
    if let change = event.change {
      let before = event.purchaseID.flatMap { purchases[$0]?.standingUnits } ?? 0
      if let purchase {
        guard purchase.standingUnits -| before == change.units else {
          throw FoldError(version: metadata.version, reason: "the units are not the purchase's")
        }
      }
      guard balance +| change.units == change.balance else {
        throw FoldError(version: metadata.version, reason: "the balance is not the ledger's sum")
      }
      balance = change.balance
    }
    if let id = event.purchaseID, let purchase {
      purchases[id] = purchase
      payments[purchase.paymentID] = id
    }
    if case .debtIncurred(let incurred) = event { debtToldIn = incurred.period }
    version += 1
  }

  /// What an event makes of its purchase.
  private func purchase(
    _ id: CreditPurchaseID, after event: CreditsEvent, _ metadata: EventMetadata
  ) throws(FoldError) -> CreditPurchase? {
    switch event {
    case .purchaseStarted(let started):
      return try purchase(id, started.order, .pending, metadata)
    case .purchased(let purchased):
      return try purchase(id, purchased.order, .paid, metadata)
    case .purchaseFailed(let failed):
      return try purchase(id, failed.order, .failed, metadata)
    case .refunded(let refunded):
      var purchase = try known(id, metadata)
      purchase.toldRefunds = refunded.refundedAmount
      return purchase
    case .refundRecorded(let recorded):
      var purchase = try known(id, metadata)
      purchase.refunds[recorded.refundID] = .init(
        amount: recorded.amount, hasFailed: recorded.hasFailed)
      return purchase
    case .disputeOpened(let opened):
      var purchase = try known(id, metadata)
      purchase.disputes[opened.disputeID] = .init(
        amount: opened.amount, outcome: nil, place: opened.place)
      return purchase
    case .disputeClosed(let closed):
      var purchase = try known(id, metadata)
      purchase.disputes[closed.disputeID] = .init(
        amount: closed.amount, outcome: closed.outcome, place: closed.place)
      return purchase
    case .consumed, .debtIncurred:
      return nil
    }
  }

  /// The first that is heard of a payment, or what became of one that was pending.
  private func purchase(
    _ id: CreditPurchaseID, _ order: CreditsEvent.Order, _ payment: CreditPurchase.Payment,
    _ metadata: EventMetadata
  ) throws(FoldError) -> CreditPurchase {
    guard payments[order.paymentID].map({ $0 == id }) ?? (purchases[id] == nil) else {
      throw FoldError(version: metadata.version, reason: "the payment has another purchase")
    }
    let completedAt = payment == .paid ? metadata.occurredAt : nil
    guard purchases[id] != nil else {
      return CreditPurchase(
        paymentID: order.paymentID, package: order.package, logUnits: order.logUnits,
        amount: order.amount, currency: order.currency, payment: payment,
        createdAt: metadata.occurredAt, updatedAt: metadata.occurredAt, completedAt: completedAt)
    }
    var purchase = try known(id, metadata)
    purchase.payment = payment
    purchase.completedAt = completedAt
    return purchase
  }

  /// A purchase to which something happens.
  private func known(
    _ id: CreditPurchaseID, _ metadata: EventMetadata
  ) throws(FoldError) -> CreditPurchase {
    guard var purchase = purchases[id] else {
      throw FoldError(version: metadata.version, reason: "the purchase does not exist")
    }
    purchase.version += 1
    purchase.updatedAt = metadata.occurredAt
    return purchase
  }

}

// MARK: Commands and decide

/// What payment providers tell. Each is a fact about a payment that may come late, again, and in any order.
package enum CreditsCommand: Equatable, Sendable {
  /// Ordered, and the money is on its way.
  case begin(PurchaseOrder)
  /// The money has come.
  case complete(PurchaseOrder)
  /// The money will not come.
  case fail(PurchaseOrder)
  /// So much was paid back so far, in the currency's smallest unit.
  case refund(paymentID: String, refunded: Int64)
  /// A single refund was made, or has failed: the money did not reach the customer.
  case recordRefund(paymentID: String, refundID: String, amount: Int64, hasFailed: Bool)
  /// The payer's bank takes the amount back for as long as the dispute lasts.
  case openDispute(paymentID: String, disputeID: String, amount: Int64, Billing.Place)
  case closeDispute(
    paymentID: String, disputeID: String, amount: Int64, outcome: CreditPurchase.Dispute.Outcome,
    Billing.Place)

  /// The provider's name of the payment.
  package var paymentID: String {
    switch self {
    case .begin(let order), .complete(let order), .fail(let order): order.paymentID
    case .refund(let paymentID, _), .recordRefund(let paymentID, _, _, _),
      .openDispute(let paymentID, _, _, _), .closeDispute(let paymentID, _, _, _, _):
      paymentID
    }
  }
}

extension Workspace {
  /// Money counts in archived organizations too.
  ///
  /// - Throws: ``Rejection/notFound(_:)`` of a purchase when something happened to a payment that nobody knows (yet).
  func decide(
    _ command: CreditsCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    guard organization != nil else { throw .notFound(.organization) }
    guard let event = try credits.decide(command) else { return [] }
    let period = usage.period(at: context.time)
    return ([event] + credits.debtAlert(after: event, in: period)).map { .credits($0) }
  }
}

extension Credits {
  fileprivate func decide(_ command: CreditsCommand) throws(Rejection) -> CreditsEvent? {
    let known = purchase(for: command.paymentID)
    switch command {
    case .begin(let order):
      guard known == nil else { return nil }
      return .purchaseStarted(.init(purchaseID: order.purchaseID, order: .init(order)))
    case .fail(let order):
      // A payment that came has not failed, whatever is told later.
      guard known.map({ $0.value.payment == .pending }) ?? true else { return nil }
      return .purchaseFailed(
        .init(
          purchaseID: known?.id ?? order.purchaseID,
          order: known.map { .init($0.value) } ?? .init(order)))
    case .complete(let order):
      guard known?.value.payment != .paid else { return nil }
      var purchase = known?.value
      purchase?.payment = .paid
      let units = purchase?.standingUnits ?? order.package.logUnits
      return .purchased(
        .init(
          purchaseID: known?.id ?? order.purchaseID,
          order: known.map { .init($0.value) } ?? .init(order), units: units,
          balance: balance +| units))
    case .refund(_, let refunded):
      guard let known else { throw .notFound(.creditPurchase) }
      guard refunded > known.value.toldRefunds else { return nil }
      let units = known.value.units { $0.toldRefunds = refunded }
      return .refunded(
        .init(
          purchaseID: known.id, refundedAmount: refunded, units: units, balance: balance +| units))
    case .recordRefund(_, let refundID, let amount, let hasFailed):
      guard let known else { throw .notFound(.creditPurchase) }
      let before = known.value.refunds[refundID]
      guard before.map({ hasFailed && !$0.hasFailed }) ?? true else { return nil }
      let units = known.value.units {
        $0.refunds[refundID] = .init(amount: amount, hasFailed: hasFailed)
      }
      return .refundRecorded(
        .init(
          purchaseID: known.id, refundID: refundID, amount: amount, hasFailed: hasFailed,
          units: units, balance: balance +| units))
    case .openDispute(_, let disputeID, let amount, let place):
      guard let known else { throw .notFound(.creditPurchase) }
      let dispute = CreditPurchase.Dispute(amount: amount, outcome: nil, place: place)
      guard dispute.isNews(after: known.value.disputes[disputeID]) else { return nil }
      let units = known.value.units { $0.disputes[disputeID] = dispute }
      return .disputeOpened(
        .init(
          purchaseID: known.id, disputeID: disputeID, amount: amount, place: place, units: units,
          balance: balance +| units))
    case .closeDispute(_, let disputeID, let amount, let outcome, let place):
      guard let known else { throw .notFound(.creditPurchase) }
      let dispute = CreditPurchase.Dispute(amount: amount, outcome: outcome, place: place)
      guard dispute.isNews(after: known.value.disputes[disputeID]) else { return nil }
      let units = known.value.units { $0.disputes[disputeID] = dispute }
      return .disputeClosed(
        .init(
          purchaseID: known.id, disputeID: disputeID, amount: amount, outcome: outcome,
          place: place, units: units, balance: balance +| units))
    }
  }

  /// Spends what there is.
  func consume(_ units: Int64, in period: BillingPeriod) -> CreditsEvent {
    .consumed(.init(period: period, units: -units, balance: balance -| units))
  }

  /// Once a month, when the balance falls below zero.
  fileprivate func debtAlert(after event: CreditsEvent, in period: BillingPeriod) -> [CreditsEvent]
  {
    guard let change = event.change, change.units < 0, change.balance < 0,
      debtToldIn.map({ $0 < period }) ?? true
    else { return [] }
    return [.debtIncurred(.init(period: period, debt: -change.balance))]
  }
}

extension CreditPurchase.Dispute {
  /// Whether it says more than what is known: it is the newer fact, and not the same one told by another event of the
  /// same second.
  fileprivate func isNews(after known: Self?) -> Bool {
    guard let known else { return true }
    if known.place.isSameMoment(as: place), (known.amount, known.outcome) == (amount, outcome) {
      return false
    }
    return known.place < place
  }
}

extension CreditPurchase {
  /// By how much a change of what is known changes the balance.
  fileprivate func units(after change: (inout CreditPurchase) -> Void) -> Int64 {
    var after = self
    change(&after)
    return after.standingUnits -| standingUnits
  }
}
