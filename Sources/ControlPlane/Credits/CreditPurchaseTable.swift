import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `credit_purchases`.
struct CreditPurchaseRow {
  let organizationID: OrganizationID
  let id: CreditPurchaseID
  let paymentID: String
  let package: String
  let logUnits: Int64
  let amount: Int64
  let currency: String
  let refundedAmount: Int64
  let standingUnits: Int64
  let status: CreditPurchase.Status
  let version: Int64
  let createdAt: Timestamp
  let updatedAt: Timestamp
  let completedAt: Timestamp?
}

enum CreditPurchaseTable: EntityTable {
  static let table = Table<CreditPurchaseRow>(
    "credit_purchases",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("purchase_id") { $0.id.uuid },
      .value("provider") { _ in CreditPurchaseRow.provider },
      .value("payment_id") { $0.paymentID },
      .value("package") { $0.package },
      .value("log_units") { $0.logUnits },
      .value("amount") { $0.amount },
      .value("currency") { $0.currency },
      .value("refunded_amount") { $0.refundedAmount },
      .value("standing_units") { $0.standingUnits },
      .value("status") { $0.status.rawValue },
      .value("version") { $0.version },
      .value("created_at") { TimestampTZ($0.createdAt) },
      .value("updated_at") { TimestampTZ($0.updatedAt) },
      .value("completed_at") { $0.completedAt.map(TimestampTZ.init) },
    ])

  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    if case .creditPurchase(let id) = entity { [organization.uuid, id.uuid] } else { nil }
  }

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> CreditPurchaseRow? {
    guard case .creditPurchase(let id) = entity, let purchase = workspace.credits.purchases[id]
    else { return nil }
    return CreditPurchaseRow(organizationID: organization, id: id, purchase)
  }

  /// A workspace's purchases, newest first, behind the one with the id `after`.
  static func list(
    in organization: OrganizationID, status: CreditPurchase.Status?, after: UUID?, limit: Int64
  ) -> Query {
    """
    SELECT \(fragment: columns) FROM credit_purchases WHERE organization_id = \(organization.uuid) \
    AND (\(status?.rawValue)::text IS NULL OR status = \(status?.rawValue)) \
    AND (\(after)::uuid IS NULL OR purchase_id < \(after)) ORDER BY purchase_id DESC LIMIT \(limit)
    """
  }

  static func find(_ id: CreditPurchaseID, in organization: OrganizationID) -> Query {
    """
    SELECT \(fragment: columns) FROM credit_purchases WHERE organization_id = \(organization.uuid) \
    AND purchase_id = \(id.uuid)
    """
  }

  /// Whose a payment is, and in which currency; no row when nobody knows (yet).
  static func owner(of paymentID: String) -> Query {
    "SELECT organization_id, currency FROM credit_purchases WHERE payment_id = \(paymentID)"
  }

  private static let columns = Query(unchecked: table.columnList)
}

extension CreditPurchaseRow {
  /// The only one there is.
  static let provider = "stripe"

  init(organizationID: OrganizationID, id: CreditPurchaseID, _ purchase: CreditPurchase) {
    self.init(
      organizationID: organizationID, id: id, paymentID: purchase.paymentID,
      package: purchase.package, logUnits: purchase.logUnits, amount: purchase.amount,
      currency: purchase.currency, refundedAmount: purchase.refundedAmount,
      standingUnits: purchase.standingUnits, status: purchase.status, version: purchase.version,
      createdAt: purchase.createdAt, updatedAt: purchase.updatedAt,
      completedAt: purchase.completedAt)
  }

  init(_ row: Row) throws(PostgresError) {
    let (
      organizationID, id, _, paymentID, package, logUnits, amount, currency, refundedAmount,
      standingUnits, status, version, createdAt, updatedAt, completedAt
    ) = try row.decode(
      (
        UUID, UUID, String, String, String, Int64, Int64, String, Int64, Int64,
        CreditPurchase.Status, Int64, TimestampTZ, TimestampTZ, TimestampTZ?
      ).self)
    self.init(
      organizationID: OrganizationID(organizationID), id: CreditPurchaseID(id),
      paymentID: paymentID, package: package, logUnits: logUnits, amount: amount,
      currency: currency, refundedAmount: refundedAmount, standingUnits: standingUnits,
      status: status, version: version, createdAt: Timestamp(createdAt),
      updatedAt: Timestamp(updatedAt), completedAt: completedAt.map(Timestamp.init))
  }
}
