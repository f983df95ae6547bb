import Domain
import FoundationEssentials
import Postgres

/// One change of a balance: the event that made it.
struct LedgerEntry {
  let version: Int64
  let position: Int64
  /// Of the event.
  let type: String
  let units: Int64
  let balance: Int64
  let purchaseID: String?
  let period: String?
  let occurredAt: Timestamp
}

/// The ledger is a view of the log: nothing else says how a balance came about.
enum CreditLedger {
  /// A workspace's entries, newest first, before the one with the version `before`.
  static func list(in organization: OrganizationID, before: Int64?, limit: Int64) -> Query {
    """
    SELECT version, position, type, (payload->>'units')::bigint, \
    (payload->>'balance')::bigint, payload->>'purchase_id', payload->>'period', occurred_at \
    FROM events \
    WHERE organization_id = \(organization.uuid) AND type LIKE 'credits.%' \
    AND payload ? 'balance' AND (\(before)::bigint IS NULL OR version < \(before)) \
    ORDER BY version DESC LIMIT \(limit)
    """
  }
}

extension LedgerEntry {
  init(_ row: Row) throws(PostgresError) {
    let (version, position, type, units, balance, purchaseID, period, occurredAt) = try row.decode(
      (Int64, Int64, String, Int64, Int64, String?, String?, TimestampTZ).self)
    self.init(
      version: version, position: position, type: type, units: units, balance: balance,
      purchaseID: purchaseID, period: period, occurredAt: Timestamp(occurredAt))
  }
}
