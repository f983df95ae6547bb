import Domain
import FoundationEssentials
import Postgres

/// Sums of the evidence by day, project, model and decision, which outlive it. Written with the evidence
/// (``RequestLogStore``); not rendered from workspaces.
enum UsageDayTable {
  static let name = "usage_days"
  static let columns = [
    "organization_id", "day", "project_id", "provider", "model", "decision", "requests",
    "tokens_in", "tokens_out", "cost_micro_usd",
  ]

  /// The columns that are added up.
  private static let sums = ["requests", "tokens_in", "tokens_out", "cost_micro_usd"]

  /// Adds the records in a table to their days.
  static func add(from records: String) -> String {
    let additions = sums.map { "\($0) = \(SaturatingSQL.sum(of: "d.\($0)", "excluded.\($0)"))" }
    // In the order of the key: two batches wait for each other one way only.
    return """
      INSERT INTO usage_days AS d (\(columns.joined(separator: ", "))) \
      SELECT organization_id, (occurred_at AT TIME ZONE 'UTC')::date AS day, project_id, provider, \
      model, decision, count(*), \(SaturatingSQL.sum("tokens_in")), \
      \(SaturatingSQL.sum("tokens_out")), \(SaturatingSQL.sum("cost_micro_usd")) \
      FROM \(records) GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6 \
      ON CONFLICT (organization_id, day, project_id, provider, model, decision) DO UPDATE SET \
      \(additions.joined(separator: ", "))
      """
  }

  /// What sums are taken by. The raw values are the contract's names, and those of the columns.
  enum Dimension: String, CaseIterable {
    case day
    case project = "project_id"
    case provider, model, decision
  }

  /// Which of an organization's days are asked for.
  struct Filter: Hashable {
    /// Of the month, `2026-11-01`.
    var firstDay: String
    var projectID: ProjectID?
    var provider: String?
    var model: String?
    var decision: RequestLog.Decision?
  }

  /// Sums by `dimensions`, each dimension's column as text, then the sums; in the order of the dimensions.
  static func sums(
    in organization: OrganizationID, _ filter: Filter, by dimensions: [Dimension], limit: Int64
  ) -> Query {
    let names = dimensions.map(\.rawValue).joined(separator: ", ")
    let texts = dimensions.map { "\($0.rawValue)::text" }.joined(separator: ", ")
    let totals = Self.sums.map { "\(SaturatingSQL.sum($0)) AS \($0)" }.joined(separator: ", ")
    return """
      SELECT \(fragment: Query(unchecked: texts)), \(fragment: Query(unchecked: totals)) \
      FROM usage_days \
      WHERE organization_id = \(organization.uuid) AND day >= \(filter.firstDay)::date \
      AND day < (\(filter.firstDay)::date + interval '1 month')::date \
      AND (\(filter.projectID?.uuid)::uuid IS NULL OR project_id = \(filter.projectID?.uuid)) \
      AND (\(filter.provider)::text IS NULL OR provider = \(filter.provider)) \
      AND (\(filter.model)::text IS NULL OR model = \(filter.model)) \
      AND (\(filter.decision?.rawValue)::text IS NULL OR decision = \(filter.decision?.rawValue)) \
      GROUP BY \(fragment: Query(unchecked: names)) ORDER BY \(fragment: Query(unchecked: names)) \
      LIMIT \(limit)
      """
  }
}

/// One row of ``UsageDayTable/sums(in:_:by:limit:)``.
struct UsageSum {
  /// By the names of the dimensions.
  let values: [(UsageDayTable.Dimension, String)]
  let requests: Int64
  let tokensIn: Int64
  let tokensOut: Int64
  let costMicroUSD: Int64

  init(_ row: Row, by dimensions: [UsageDayTable.Dimension]) throws(PostgresError) {
    var values: [(UsageDayTable.Dimension, String)] = []
    for dimension in dimensions {
      values.append((dimension, try row.decode(String.self, column: dimension.rawValue)))
    }
    self.values = values
    let names = ["requests", "tokens_in", "tokens_out", "cost_micro_usd"]
    var sums: [Int64] = []
    for name in names { sums.append(try row.decode(Int64.self, column: name)) }
    (requests, tokensIn, tokensOut, costMicroUSD) = (sums[0], sums[1], sums[2], sums[3])
  }
}
