package typealias CreditPurchaseID = TypeID<CreditPurchase>

/// One payment for credits, and how much of it stands. It is what is known of the payment, in whatever order that was
/// learnt: the same facts always leave the same units.
package struct CreditPurchase: Equatable, Sendable, Codable, Identified {
  package static let idPrefix = "crp"

  /// The raw values are stored, and the contract's names.
  package enum Status: String, Sendable, CaseIterable {
    case pending, completed, failed, refunded, disputed
    case partiallyRefunded = "partially_refunded"
    /// A dispute was lost.
    case chargedBack = "charged_back"
  }

  /// Whether the money has come.
  package enum Payment: String, Sendable, Codable {
    case pending, paid, failed
  }

  /// A dispute as the newest fact about it says.
  package struct Dispute: Equatable, Sendable, Codable {
    /// The raw values are stored.
    package enum Outcome: String, Sendable, Codable {
      case won, lost
    }

    /// In the payment's currency and its smallest unit.
    package let amount: Int64
    /// Nil while it is open, and the money away.
    package let outcome: Outcome?
    package let place: Billing.Place
  }

  /// A single refund. One that failed stays so, whatever is told late of how it was made.
  package struct Refund: Equatable, Sendable, Codable {
    /// In the payment's currency and its smallest unit.
    package let amount: Int64
    package let hasFailed: Bool

    private enum CodingKeys: String, CodingKey {
      case amount
      case hasFailed = "failed"
    }
  }

  /// The provider's name of the payment; no two purchases have the same one.
  package let paymentID: String
  package let package: String
  package let logUnits: Int64
  /// In the currency's smallest unit, as payment providers count.
  package let amount: Int64
  /// ISO 4217, in lower case.
  package let currency: String
  package internal(set) var payment: Payment
  /// The largest sum of refunds that was told, in the currency's smallest unit. Refunds that failed later may be in it.
  package internal(set) var toldRefunds: Int64 = 0
  /// By the provider's names of them. Some may be missing: the sum may be all that is told of them.
  package internal(set) var refunds: [String: Refund] = [:]
  /// By the provider's names of them.
  package internal(set) var disputes: [String: Dispute] = [:]
  /// How many events happened to it.
  package internal(set) var version: Int64 = 1
  package let createdAt: Timestamp
  package internal(set) var updatedAt: Timestamp
  /// When the money came.
  package internal(set) var completedAt: Timestamp?

  /// What went back to the customer and stayed there, in the currency's smallest unit.
  ///
  /// Both of what is known are bounds that the truth is never below: the refunds that are known singly and have not
  /// failed, and the largest sum without all that failed since. The providers' documents leave open whether a failed
  /// refund leaves the sum again; the larger bound is exact in either case.
  package var refundedAmount: Int64 {
    func sum(failed: Bool) -> Int64 {
      refunds.values.filter { $0.hasFailed == failed }
        .reduce(0) { $0 +| $1.amount }
    }
    return max(sum(failed: false), toldRefunds -| sum(failed: true), 0)
  }

  package var status: Status {
    switch payment {
    case .pending: return .pending
    case .failed: return .failed
    case .paid: break
    }
    if disputes.values.contains(where: { $0.outcome == nil }) { return .disputed }
    if disputes.values.contains(where: { $0.outcome == .lost }) { return .chargedBack }
    if refundedAmount == 0 { return .completed }
    return refundedAmount < amount ? .partiallyRefunded : .refunded
  }

  /// What of the purchase counts for the balance: nothing before it is paid, and only the share of the money that was
  /// neither paid back nor is disputed.
  package var standingUnits: Int64 {
    payment == .paid ? logUnits -| withdrawnUnits : 0
  }

  /// The share of what went back, rounded down; all units when all of the money did.
  private var withdrawnUnits: Int64 {
    let back = disputes.values.filter { $0.outcome != .won }
      .reduce(min(amount, refundedAmount)) { min(amount, $0 +| $1.amount) }
    guard amount > 0, back > 0 else { return 0 }
    return amount.dividingFullWidth(logUnits.multipliedFullWidth(by: back)).quotient
  }

  private enum CodingKeys: String, CodingKey {
    case package, amount, currency, payment, refunds, disputes, version
    case paymentID = "payment_id"
    case logUnits = "log_units"
    case toldRefunds = "told_refunds"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
    case completedAt = "completed_at"
  }
}

/// A payment as its provider tells of it.
package struct PurchaseOrder: Equatable, Sendable {
  /// Taken if the payment is not known yet.
  package let purchaseID: CreditPurchaseID
  package let paymentID: String
  package let package: CreditPackage
  /// In the currency's smallest unit.
  package let amount: Int64
  /// ISO 4217, in lower case.
  package let currency: String

  package init(
    purchaseID: CreditPurchaseID, paymentID: String, package: CreditPackage, amount: Int64,
    currency: String
  ) {
    self.purchaseID = purchaseID
    self.paymentID = paymentID
    self.package = package
    self.amount = amount
    self.currency = currency
  }
}
