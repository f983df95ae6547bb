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
    AND status = 'pending' AND expires_at > \(TimestampTZ(time))), \
    (SELECT count(*) FROM rules AS r \
    WHERE r.organization_id = o.organization_id AND r.project_id IS NULL) \
    FROM organizations AS o WHERE organization_id = \(organization.uuid)
    """
  }

  /// Open projects, by id, with how many keys let somebody in (one that was rotated and the one in its place count once) and
  /// how many rules there are.
  static func projectUsage(
    in organization: OrganizationID, among ids: Set<ProjectID>?, at time: Timestamp
  ) -> Query {
    """
    WITH good AS (SELECT project_id, key_id, rotated_to FROM api_keys \
    WHERE organization_id = \(organization.uuid) AND revoked_at IS NULL \
    AND (expires_at IS NULL OR expires_at > \(TimestampTZ(time)))) \
    SELECT project_id, \
    (SELECT count(*) FROM good AS k WHERE k.project_id = p.project_id \
    AND NOT EXISTS (SELECT FROM good AS successor WHERE successor.key_id = k.rotated_to)), \
    (SELECT count(*) FROM rules AS r \
    WHERE r.organization_id = p.organization_id AND r.project_id = p.project_id) \
    FROM projects AS p WHERE organization_id = \(organization.uuid) AND archived_at IS NULL \
    AND (\(ids?.map(\.uuid))::uuid[] IS NULL OR project_id = ANY(\(ids?.map(\.uuid)))) \
    ORDER BY project_id
    """
  }

  static func limits(
    _ row: Row, _ projectUsage: Rows, _ catalog: PlanCatalog
  ) throws -> WorkspaceLimits {
    let (tier, version, entitlements, projects, members, rules) = try row.decode(
      (PlanTier, Int64, JSONB, Int64, Int64, Int64).self)
    return WorkspaceLimits(
      tier: tier, catalogVersion: version,
      entitlements: try Self.entitlements(entitlements, of: tier, version, catalog),
      usage: [.projects: projects, .members: members], workspaceRules: rules,
      projects: try projectUsage.map { row in
        let (id, keys, rules) = try row.decode((UUID, Int64, Int64).self)
        return (ProjectID(id), [.apiKeys: keys, .rules: rules])
      })
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
