import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `usage_counters`: what one project used in one month.
struct UsageCounterRow {
  let organizationID: OrganizationID
  let projectID: ProjectID
  let period: BillingPeriod
  let count: UsageCount
  let costMicroUSD: Int64
  let version: Int64
  let updatedAt: Timestamp
}

enum UsageCounterTable: EntityTable {
  static let table = Table<UsageCounterRow>(
    "usage_counters",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("project_id") { $0.projectID.uuid },
      .key("period") { $0.period.description },
      .value("included") { $0.count.included },
      .value("credits") { $0.count.credits },
      .value("refused") { $0.count.refused },
      .value("cost_micro_usd") { $0.costMicroUSD },
      .value("version") { $0.version },
      .value("updated_at") { TimestampTZ($0.updatedAt) },
    ])

  /// Only says that there is a row: what was used stays used, so none is ever deleted.
  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    if case .usage(let project, _) = entity { [organization.uuid, project.uuid] } else { nil }
  }

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> UsageCounterRow? {
    guard case .usage(let project, let period) = entity,
      let usage = workspace.usage.months[period]?.projects[project]
    else { return nil }
    return UsageCounterRow(
      organizationID: organization, projectID: project, period: period, count: usage.count,
      costMicroUSD: usage.costMicroUSD, version: usage.version, updatedAt: usage.updatedAt)
  }

  /// What a workspace's projects used in a month.
  static func all(in organization: OrganizationID, _ period: BillingPeriod) -> Query {
    """
    SELECT \(fragment: columns) FROM usage_counters WHERE organization_id = \(organization.uuid) \
    AND period = \(period.description) ORDER BY project_id
    """
  }

  /// The counters of a month that have reached the largest number: rows of a workspace and one of its projects, or null for
  /// all of its projects together.
  static func saturated(in organizations: [UUID], _ period: BillingPeriod) -> Query {
    """
    WITH counters AS (SELECT * FROM usage_counters \
    WHERE organization_id = ANY(\(organizations)) AND period = \(period.description)) \
    SELECT organization_id, project_id FROM counters \
    WHERE greatest(included, credits, refused, cost_micro_usd) = \(Int64.max) \
    UNION ALL SELECT organization_id, NULL FROM counters GROUP BY organization_id \
    HAVING greatest(sum(included), sum(credits), sum(refused)) >= \(Int64.max)
    """
  }

  private static let columns = Query(unchecked: table.columnList)
}

extension UsageCounterRow {
  init(_ row: Row) throws(PostgresError) {
    let (
      organizationID, projectID, period, included, credits, refused, cost, version, updatedAt
    ) = try row.decode(
      (UUID, UUID, BillingPeriod, Int64, Int64, Int64, Int64, Int64, TimestampTZ).self)
    self.init(
      organizationID: OrganizationID(organizationID), projectID: ProjectID(projectID),
      period: period,
      count: UsageCount(included: included, credits: credits, refused: refused),
      costMicroUSD: cost, version: version, updatedAt: Timestamp(updatedAt))
  }
}
