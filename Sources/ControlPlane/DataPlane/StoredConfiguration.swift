import ConfigurationFeed
import Domain
import EventStore
import FoundationEssentials
import Postgres

/// The document as the tables have it, all at one position of the log.
enum StoredConfiguration {
  /// So many organizations are read at a time: what is held of them beside the document stays small.
  private static let pageSize: Int64 = 20

  /// Reads the whole document, in one transaction that sees nothing of what is committed meanwhile.
  ///
  /// - Throws: ``PostgresError``, or `ConfigurationError` when a row cannot be what it says.
  static func load(
    plans: PlanCatalog, _ session: Session, deadline: ContinuousClock.Instant
  ) throws -> ConfigurationDocument {
    let results = try session.pipeline(
      ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", EventLog.head], deadline: deadline)
    defer { _ = try? session.execute("COMMIT", deadline: deadline) }
    let position = try results[1][0].decode(Int64.self)
    var document = ConfigurationDocument(position: position)
    var last: UUID?
    while true {
      let organizations = try session.execute(page(after: last), deadline: deadline)
      guard let end = organizations.last else { return document }
      last = try end.decode(UUID.self, column: "organization_id")
      let ids = try organizations.map { row throws(PostgresError) in
        try row.decode(UUID.self, column: "organization_id")
      }
      let apiKeys = try grouped(
        APIKeyTable.notRevoked(in: ids), by: \.organizationID, session, deadline, APIKeyRow.init)
      let providerKeys = try grouped(
        ProviderKeyTable.all(in: ids), by: \.organizationID, session, deadline, ProviderKeyRow.init)
      var projects = try projects(of: ids, session, deadline)
      let rules = try grouped(
        RuleView.all(in: ids), by: \.organizationID, session, deadline, RuleRow.init)
      for row in organizations {
        let id = OrganizationID(try row.decode(UUID.self, column: "organization_id"))
        var organization = try ConfiguredOrganization(row, plans)
        for rule in rules[id] ?? [] {
          let configured = ConfiguredRule(rule.rule)
          if let project = rule.rule.projectID {
            // Those of archived projects are not there.
            projects[id]?[project]?.rules[rule.id] = configured
          } else {
            organization.rules[rule.id] = configured
          }
        }
        for key in apiKeys[id] ?? [] {
          projects[id]?[key.key.projectID]?.apiKeys["\(key.id)"] = key.key.configured
        }
        for key in providerKeys[id] ?? [] {
          projects[id]?[key.key.projectID]?.providerKeys["\(key.key.provider)"] =
            key.key.configured
        }
        try document.set(
          id, to: organization.json(with: projects.removeValue(forKey: id) ?? [:]), at: position)
      }
    }
  }

  private static func page(after id: UUID?) -> Query {
    """
    SELECT organization_id, \(fragment: CapacityQuery.columns) FROM organizations \
    WHERE archived_at IS NULL AND (\(id)::uuid IS NULL OR organization_id > \(id)) \
    ORDER BY organization_id LIMIT \(pageSize)
    """
  }

  private static func projects(
    of organizations: [UUID], _ session: Session, _ deadline: ContinuousClock.Instant
  ) throws -> [OrganizationID: [ProjectID: ConfiguredProject]] {
    var projects: [OrganizationID: [ProjectID: ConfiguredProject]] = [:]
    for row in try session.execute(ProjectTable.open(in: organizations), deadline: deadline) {
      let row = try ProjectRow(row)
      projects[row.organizationID, default: [:]][row.id] = row.project.configured
    }
    return projects
  }

  /// Rows by the workspaces that they belong to.
  private static func grouped<Found>(
    _ query: Query, by organization: (Found) -> OrganizationID, _ session: Session,
    _ deadline: ContinuousClock.Instant, _ decode: (Row) throws(PostgresError) -> Found
  ) throws -> [OrganizationID: [Found]] {
    var found: [OrganizationID: [Found]] = [:]
    for row in try session.execute(query, deadline: deadline) {
      let row = try decode(row)
      found[organization(row), default: []].append(row)
    }
    return found
  }
}

extension ConfiguredOrganization {
  fileprivate init(_ row: Row, _ plans: PlanCatalog) throws {
    let (_, tier, version, entitlements, balance, period, used) = try row.decode(
      (UUID, PlanTier, Int64, JSONB, Int64, BillingPeriod?, Int64).self)
    let stored = try StoredCapacity((tier, version, entitlements, balance, period, used), plans)
    self.init(
      plan: tier, stored.entitlements, balance: stored.balance, period: stored.period,
      includedUsed: stored.includedUsed)
  }
}
