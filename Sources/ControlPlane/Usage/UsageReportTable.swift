import Domain
import FoundationEssentials
import Postgres

/// What batches of evidence tell of requests that passed, until it is counted. Written with the evidence, and taken away
/// in the transaction of the events that count it: so each report counts once, whatever crashes in between.
enum UsageReportTable {
  static let name = "usage_reports"
  static let columns = [
    "organization_id", "report_id", "project_id", "requests", "cost_micro_usd", "recorded_at",
  ]

  /// Adds what the records in a table tell of requests that passed.
  static func add(from records: String) -> String {
    """
    INSERT INTO usage_reports (organization_id, project_id, requests, cost_micro_usd) \
    SELECT organization_id, project_id, count(*), \(SaturatingSQL.sum("cost_micro_usd")) \
    FROM \(records) WHERE decision = 'allow' GROUP BY organization_id, project_id
    """
  }

  /// All requests of some reports.
  static let requests = Query(unchecked: SaturatingSQL.sum("requests"))

  /// How many requests of a workspace are not counted yet.
  static func pending(of organization: OrganizationID) -> Query {
    """
    SELECT \(fragment: requests) AS requests FROM usage_reports \
    WHERE organization_id = \(organization.uuid)
    """
  }

  /// The reports of some workspaces, of each at most so many.
  static func list(of organizations: [UUID], limit: Int64) -> Query {
    """
    SELECT r.* FROM unnest(\(organizations)) AS asked (id) CROSS JOIN LATERAL ( \
    SELECT organization_id, report_id, project_id, requests, cost_micro_usd FROM usage_reports \
    WHERE organization_id = asked.id ORDER BY report_id LIMIT \(limit)) AS r
    """
  }

  /// The workspaces with reports that were recorded before a time; those that are set aside are left out, however many
  /// reports they have.
  static func organizations(before time: Timestamp, limit: Int64) -> Query {
    """
    SELECT DISTINCT organization_id FROM \
    (SELECT organization_id FROM usage_reports AS r WHERE recorded_at < \(TimestampTZ(time)) \
    AND NOT \(fragment: JobAttemptTable.isSetAside(.usage, id: "r.organization_id")) \
    ORDER BY recorded_at LIMIT \(limit)) AS oldest
    """
  }

  /// Those of the reports that are still to be counted. To be asked behind the lock on the log's head.
  static func uncounted(_ reports: [UUID], of organizations: [UUID]) -> Query {
    """
    SELECT report_id FROM usage_reports \
    WHERE organization_id = ANY(\(organizations)) AND report_id = ANY(\(reports))
    """
  }

  /// Takes reports away that are counted.
  static func delete(_ reports: [UUID], of organizations: [UUID]) -> Query {
    """
    DELETE FROM usage_reports \
    WHERE organization_id = ANY(\(organizations)) AND report_id = ANY(\(reports))
    """
  }
}
