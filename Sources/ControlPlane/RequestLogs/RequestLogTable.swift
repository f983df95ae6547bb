import Domain
import FoundationEssentials
import JSON
import Postgres

/// A row of `request_logs`.
struct RequestLogRow {
  let organizationID: OrganizationID
  let log: RequestLog
}

/// The evidence. Not rendered from workspaces: no event speaks of it.
enum RequestLogTable {
  static let name = "request_logs"
  static let columns = [
    "organization_id", "occurred_at", "log_id", "project_id", "key_id", "decision", "reason",
    "rule_id", "route", "provider", "model", "country", "region", "client_address",
    "tokens_requested", "tokens_in", "tokens_out", "cost_micro_usd", "status", "latency_ms",
    "configuration_position",
  ]
  static let columnList = columns.joined(separator: ", ")

  /// Which of an organization's records are asked for.
  struct Filter: Hashable {
    var projectID: ProjectID?
    var decision: RequestLog.Decision?
    var provider: String?
    var model: String?
    var country: Country?
    var region: Region?
    var keyID: APIKeyID?
    /// Inclusive.
    var from: Timestamp?
    /// Exclusive.
    var to: Timestamp?

    /// Those of the columns that are asked about, and no others: so there are indexes for some of them.
    fileprivate var conditions: Query {
      let project: Query = projectID.map { "AND project_id = \($0.uuid)" } ?? ""
      let key: Query = keyID.map { "AND key_id = \($0.uuid)" } ?? ""
      let provider: Query = provider.map { "AND provider = \($0)" } ?? ""
      let model: Query = model.map { "AND model = \($0)" } ?? ""
      let country: Query = country.map { "AND country = \($0.description)" } ?? ""
      let region: Query = region.map { "AND region = \($0.rawValue)" } ?? ""
      let decision: Query =
        switch decision {
        case .allow?: "AND decision = 'allow'"
        case .block?: "AND decision = 'block'"
        case nil: ""
        }
      return """
        \(fragment: project) \(fragment: key) \(fragment: decision) \(fragment: provider) \
        \(fragment: model) \(fragment: country) \(fragment: region)
        """
    }
  }

  /// An organization's records, newest first, behind the one with the id `after`.
  static func list(
    in organization: OrganizationID, _ filter: Filter, since cutoff: Timestamp,
    after: RequestLogID?, limit: Int64
  ) -> Query {
    let from = TimestampTZ(max(filter.from ?? cutoff, cutoff))
    // Records of the same millisecond are ordered by their ids.
    let to = TimestampTZ(
      min(filter.to ?? .latest, after.map { $0.time.advanced(by: 1000) } ?? .latest))
    let last = TimestampTZ(after?.time ?? .epoch)
    return """
      SELECT \(fragment: selection) FROM request_logs WHERE organization_id = \(organization.uuid) \
      AND occurred_at >= \(from) AND occurred_at < \(to) \
      AND (\(after?.uuid)::uuid IS NULL OR (occurred_at, log_id) < (\(last), \(after?.uuid))) \
      \(fragment: filter.conditions) \
      ORDER BY occurred_at DESC, log_id DESC LIMIT \(limit)
      """
  }

  static func find(
    _ id: RequestLogID, in organization: OrganizationID, since cutoff: Timestamp
  ) -> Query {
    """
    SELECT \(fragment: selection) FROM request_logs WHERE organization_id = \(organization.uuid) \
    AND occurred_at = \(TimestampTZ(id.time)) AND log_id = \(id.uuid) \
    AND occurred_at >= \(TimestampTZ(cutoff))
    """
  }

  /// A page of a project's records, oldest first, behind the one with the id `after`.
  static func history(
    of project: ProjectID, in organization: OrganizationID, from: Timestamp, to: Timestamp,
    after: RequestLogID?, limit: Int64
  ) -> Query {
    let from = TimestampTZ(max(from, after?.time ?? from))
    let last = TimestampTZ(after?.time ?? .epoch)
    return """
      SELECT \(fragment: selection) FROM request_logs WHERE organization_id = \(organization.uuid) \
      AND occurred_at >= \(from) AND occurred_at < \(TimestampTZ(to)) \
      AND (\(after?.uuid)::uuid IS NULL OR (occurred_at, log_id) > (\(last), \(after?.uuid))) \
      AND project_id = \(project.uuid) ORDER BY occurred_at, log_id LIMIT \(limit)
      """
  }

  /// Whose the projects are.
  static func owners(of projects: [UUID]) -> Query {
    "SELECT project_id, organization_id FROM projects WHERE project_id = ANY(\(projects))"
  }

  /// The longest time for which any workspace keeps evidence, in days; null when there is none.
  static let longestRetention: Query = """
    SELECT max((entitlements->>'retention_days')::bigint) FROM organizations
    """

  static func addPartition(day: Int64) -> Query {
    "SELECT add_request_log_partition('epoch'::date + \(day)::bigint::integer)"
  }

  static func dropPartitions(before day: Int64) -> Query {
    "SELECT drop_request_log_partitions('epoch'::date + \(day)::bigint::integer)"
  }

  private static let selection = Query(
    unchecked: columnList.replacing("client_address", with: "host(client_address)"))
}

extension RequestLogRow {
  init(_ row: Row) throws(PostgresError) {
    let (
      organizationID, _, id, projectID, keyID, decision, reason, ruleID, route, provider, model,
      country, region, address, tokensRequested, tokensIn, tokensOut, cost, status, latency,
      position
    ) = try row.decode(
      (
        UUID, TimestampTZ, UUID, UUID, UUID?, RequestLog.Decision, RequestLog.Reason?, UUID?,
        String?, String, String, String?, Region, String?, Int64?, Int64?, Int64?, Int64?,
        Int32?, Int64?, Int64
      ).self)
    self.init(
      organizationID: OrganizationID(organizationID),
      log: RequestLog(
        id: RequestLogID(id), projectID: ProjectID(projectID),
        keyID: keyID.map { APIKeyID($0) }, decision: decision, reason: reason,
        ruleID: ruleID.map { RuleID($0) }, route: route, provider: provider, model: model,
        country: country.flatMap { Country($0) }, region: region,
        address: address.flatMap { IPAddress($0) }, tokensRequested: tokensRequested,
        tokensIn: tokensIn, tokensOut: tokensOut, costMicroUSD: cost, status: status,
        latencyMilliseconds: latency, configurationPosition: position))
  }
}
