import Domain
import FoundationEssentials
import Postgres

/// How many requests a workspace may still make, and how many were reported that are not counted yet.
struct ReportedCapacity {
  let remaining: Int64
  let pending: Int64

  static func query(of organizations: [UUID]) -> Query {
    """
    SELECT organization_id, \(fragment: CapacityQuery.columns), \
    (SELECT \(fragment: UsageReportTable.requests) FROM usage_reports AS r \
    WHERE r.organization_id = o.organization_id) \
    FROM organizations AS o WHERE organization_id = ANY(\(organizations))
    """
  }

  static func read(
    _ rows: Rows, _ catalog: PlanCatalog, at time: Timestamp = .now
  ) throws -> [OrganizationID: ReportedCapacity] {
    var capacities: [OrganizationID: ReportedCapacity] = [:]
    for row in rows {
      let (id, tier, version, entitlements, balance, period, used, pending) = try row.decode(
        (UUID, PlanTier, Int64, JSONB, Int64, BillingPeriod?, Int64, Int64).self)
      let stored = try StoredCapacity((tier, version, entitlements, balance, period, used), catalog)
      capacities[OrganizationID(id)] = ReportedCapacity(
        remaining: stored.capacity(at: time).remaining, pending: pending)
    }
    return capacities
  }
}
