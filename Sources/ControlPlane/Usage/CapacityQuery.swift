package import Domain
import FoundationEssentials
package import Postgres

/// How many requests a workspace may still make, from its organization's row: plan, balance, and what of the newest
/// month's included requests is used.
enum CapacityQuery {
  /// The columns, all of `organizations`, in the order in which ``init(_:_:)`` takes them.
  static let columns = Query(
    unchecked: """
      plan_tier, plan_catalog_version, entitlements, credit_logs_balance, usage_period, \
      included_requests_used
      """)

  static func capacity(of organization: OrganizationID) -> Query {
    "SELECT \(fragment: columns) FROM organizations WHERE organization_id = \(organization.uuid)"
  }
}

/// What the columns of ``CapacityQuery`` say.
struct StoredCapacity {
  let tier: PlanTier
  let entitlements: Entitlements
  let balance: Int64
  /// The newest month that anything was recorded in.
  let period: BillingPeriod?
  let includedUsed: Int64

  init(
    _ columns: (PlanTier, Int64, JSONB, Int64, BillingPeriod?, Int64), _ catalog: PlanCatalog
  ) throws {
    tier = columns.0
    entitlements = try PlanQuery.entitlements(columns.2, of: tier, columns.1, catalog)
    balance = columns.3
    period = columns.4
    includedUsed = columns.5
  }

  /// A row of ``CapacityQuery/capacity(of:)``.
  init(_ row: Row, _ catalog: PlanCatalog) throws {
    try self.init(
      row.decode((PlanTier, Int64, JSONB, Int64, BillingPeriod?, Int64).self), catalog)
  }

  /// As of a month, which may be one that nothing was recorded in yet.
  func capacity(at time: Timestamp) -> Capacity {
    let now = BillingPeriod(containing: time)
    guard let period, period >= now else {
      return Capacity(entitlements, includedUsed: 0, balance: balance, in: now)
    }
    return Capacity(entitlements, includedUsed: includedUsed, balance: balance, in: period)
  }
}

extension BillingPeriod: PostgresDecodable {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> BillingPeriod {
    guard let period = BillingPeriod(try String.decode(cell)) else {
      throw CellMismatch(expected: "a month such as 2026-11", found: "another text")
    }
    return period
  }
}
