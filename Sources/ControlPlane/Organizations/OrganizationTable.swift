import Domain
import EventStore
import FoundationEssentials
import JSON
import Postgres

/// A row of `organizations`.
struct OrganizationRow {
  let id: OrganizationID
  let organization: Organization
  let planTier: PlanTier
  let planCatalogVersion: Int64
  let entitlements: JSONB
  /// The contract's name of the state.
  let onboardingState: String
  let onboardingFacts: JSONB
  /// Log units.
  let creditLogsBalance: Int64
  /// The newest month in which anything was used, and how many of its included requests.
  let usagePeriod: BillingPeriod?
  let includedRequestsUsed: Int64
  let billing: BillingReference
}

enum OrganizationTable: EntityTable {
  static let table = Table<OrganizationRow>(
    "organizations",
    [
      .key("organization_id") { $0.id.uuid },
      .value("name") { $0.organization.name },
      .value("slug") { $0.organization.slug },
      .value("version") { $0.organization.version },
      .value("created_at") { TimestampTZ($0.organization.createdAt) },
      .value("updated_at") { TimestampTZ($0.organization.updatedAt) },
      .value("archived_at") { $0.organization.archivedAt.map(TimestampTZ.init) },
      .value("plan_tier") { $0.planTier.rawValue },
      .value("plan_catalog_version") { $0.planCatalogVersion },
      .value("entitlements") { $0.entitlements },
      .value("onboarding_state") { $0.onboardingState },
      .value("onboarding_facts") { $0.onboardingFacts },
      .value("credit_logs_balance") { $0.creditLogsBalance },
      .value("usage_period") { $0.usagePeriod?.description },
      .value("included_requests_used") { $0.includedRequestsUsed },
      .value("stripe_customer_id") { $0.billing.customerID },
      .value("stripe_subscription_id") { $0.billing.subscriptionID },
    ])

  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    if case .organization = entity { [organization.uuid] } else { nil }
  }

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> OrganizationRow? {
    guard case .organization = entity, let state = workspace.organization else { return nil }
    return OrganizationRow(
      id: organization, organization: state, planTier: workspace.plan?.tier ?? .free,
      planCatalogVersion: workspace.plan?.catalogVersion ?? 0,
      entitlements: JSONB(
        utf8: workspace.plan?.entitlements.json().canonicalBytes() ?? Array("{}".utf8)),
      onboardingState: workspace.onboarding?.state.name ?? "workspace_created",
      onboardingFacts: JSONB(
        utf8: workspace.onboarding?.factsJSON.canonicalBytes() ?? Array("{}".utf8)),
      creditLogsBalance: workspace.credits.balance, usagePeriod: workspace.usage.newestPeriod,
      includedRequestsUsed: workspace.usage.includedUsed,
      billing: BillingReference(
        customerID: workspace.billing.customerID,
        subscriptionID: workspace.billing.subscriptionID))
  }

  static func find(_ id: OrganizationID) -> Query {
    "SELECT \(fragment: columns) FROM organizations WHERE organization_id = \(id.uuid)"
  }

  /// Which organizations somebody sees in a list.
  enum Whose {
    case memberOf(UserID)
    case one(OrganizationID)

    fileprivate var condition: Query {
      switch self {
      case .memberOf(let id):
        """
        organization_id IN (SELECT organization_id FROM memberships WHERE user_id = \(id.uuid))
        """
      case .one(let id): "organization_id = \(id.uuid)"
      }
    }
  }

  /// Organizations, newest first, behind the one with the id `after`.
  static func list(
    _ whose: Whose, archived: Bool?, after: OrganizationID?, limit: Int64
  ) -> Query {
    """
    SELECT \(fragment: columns) FROM organizations WHERE \(fragment: whose.condition) \
    AND (\(after?.uuid)::uuid IS NULL OR organization_id < \(after?.uuid)) \
    AND (\(archived)::bool IS NULL OR (archived_at IS NOT NULL) = \(archived)) \
    ORDER BY organization_id DESC LIMIT \(limit)
    """
  }

  private static let columns = Query(unchecked: table.columnList)
}

extension OrganizationRow {
  /// The organization as callers see it.
  var json: JSONObject {
    organization.json(id: id, planTier: planTier, onboardingState: onboardingState)
  }

  init(_ row: Row) throws(PostgresError) {
    let (
      id, name, slug, version, createdAt, updatedAt, archivedAt, planTier, planCatalogVersion,
      entitlements, onboardingState, onboardingFacts, creditLogsBalance, usagePeriod,
      includedRequestsUsed, customerID, subscriptionID
    ) = try row.decode(
      (
        UUID, ExactText, String, Int64, TimestampTZ, TimestampTZ,
        TimestampTZ?, PlanTier, Int64, JSONB, String,
        JSONB, Int64, BillingPeriod?, Int64, String?, String?
      ).self)
    self.init(
      id: OrganizationID(id),
      organization: Organization(
        name: name, slug: slug, version: version, createdAt: Timestamp(createdAt),
        updatedAt: Timestamp(updatedAt), archivedAt: archivedAt.map(Timestamp.init)),
      planTier: planTier, planCatalogVersion: planCatalogVersion, entitlements: entitlements,
      onboardingState: onboardingState, onboardingFacts: onboardingFacts,
      creditLogsBalance: creditLogsBalance, usagePeriod: usagePeriod,
      includedRequestsUsed: includedRequestsUsed,
      billing: BillingReference(customerID: customerID, subscriptionID: subscriptionID))
  }
}

/// A row of `organization_slugs`, where the database keeps slugs unique.
struct OrganizationSlugRow {
  let organizationID: OrganizationID
  let slug: String
}

enum OrganizationSlugTable: EntityTable {
  static let table = Table<OrganizationSlugRow>(
    "organization_slugs",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .value("slug") { $0.slug },
    ])

  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    OrganizationTable.key(of: entity, of: organization)
  }

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> OrganizationSlugRow? {
    guard case .organization = entity, let state = workspace.organization else { return nil }
    return OrganizationSlugRow(organizationID: organization, slug: state.slug)
  }

  /// Who has each of the slugs, of those that somebody has.
  static func holders(of slugs: [String]) -> Query {
    "SELECT slug, organization_id FROM organization_slugs WHERE slug = ANY(\(slugs))"
  }
}
