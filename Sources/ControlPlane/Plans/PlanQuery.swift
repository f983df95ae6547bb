import Domain
import FoundationEssentials
import JSON
import Postgres

/// A workspace's plan, which is a part of its organization's row, and how much there is of what it limits.
enum PlanQuery {
  static func plan(of organization: OrganizationID) -> Query {
    """
    SELECT plan_tier, plan_catalog_version, entitlements FROM organizations \
    WHERE organization_id = \(organization.uuid)
    """
  }

  static func entitlements(_ row: Row, _ catalog: PlanCatalog) throws -> Entitlements {
    let (tier, version, entitlements) = try row.decode((PlanTier, Int64, JSONB).self)
    return try Self.entitlements(entitlements, of: tier, version, catalog)
  }

  static func limits(of organization: OrganizationID, at time: Timestamp) -> Query {
    """
    SELECT plan_tier, plan_catalog_version, entitlements, \
    (SELECT count(*) FROM projects AS p \
    WHERE p.organization_id = o.organization_id AND p.archived_at IS NULL), \
    (SELECT count(*) FROM memberships AS m WHERE m.organization_id = o.organization_id) \
    + (SELECT count(*) FROM invitations AS i WHERE i.organization_id = o.organization_id \
    AND status = 'pending' AND expires_at > \(TimestampTZ(time))) \
    FROM organizations AS o WHERE organization_id = \(organization.uuid)
    """
  }

  static func limits(_ row: Row, _ catalog: PlanCatalog) throws -> WorkspaceLimits {
    let (tier, version, entitlements, projects, members) = try row.decode(
      (PlanTier, Int64, JSONB, Int64, Int64).self)
    return WorkspaceLimits(
      tier: tier, catalogVersion: version,
      entitlements: try Self.entitlements(entitlements, of: tier, version, catalog),
      usage: [.projects: projects, .members: members])
  }

  /// Given before there was a catalog, they are what the catalog says now, as deciders take it.
  static func entitlements(
    _ entitlements: JSONB, of tier: PlanTier, _ version: Int64, _ catalog: PlanCatalog
  ) throws -> Entitlements {
    version == 0
      ? catalog[tier].entitlements
      : try StrictJSONDecoder().decode(Entitlements.self, from: entitlements.utf8)
  }
}
