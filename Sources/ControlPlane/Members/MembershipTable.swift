import Domain
import EventStore
import FoundationEssentials
import Mail
import Postgres

/// A row of `memberships`.
struct MembershipRow {
  let organizationID: OrganizationID
  let userID: UserID
  let member: Member
}

/// A membership and whose it is.
struct MemberProfile {
  let userID: UserID
  let member: Member
  /// As the identity provider gave them; nil when it did not, or the person was erased.
  let name: String?
  let email: String?
}

enum MembershipTable: EntityTable {
  static let table = Table<MembershipRow>(
    "memberships",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("user_id") { $0.userID.uuid },
      .value("role") { $0.member.role.rawValue },
      .value("version") { $0.member.version },
      .value("created_at") { TimestampTZ($0.member.createdAt) },
      .value("updated_at") { TimestampTZ($0.member.updatedAt) },
    ])

  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    if case .member(let id) = entity { [organization.uuid, id.uuid] } else { nil }
  }

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> MembershipRow? {
    guard case .member(let id) = entity, let member = workspace.members[id] else { return nil }
    return MembershipRow(organizationID: organization, userID: id, member: member)
  }

  /// The user's role in the organization; no row for those who are not members.
  static func role(of userID: UserID, in organization: OrganizationID) -> Query {
    """
    SELECT role FROM memberships \
    WHERE organization_id = \(organization.uuid) AND user_id = \(userID.uuid)
    """
  }

  /// The organizations that a user is a member of, with their role in each.
  static func memberships(of userID: UserID) -> Query {
    """
    SELECT organization_id, role FROM memberships WHERE user_id = \(userID.uuid) \
    ORDER BY organization_id DESC LIMIT 1000
    """
  }

  /// Of workspaces that are not archived.
  static func openMemberships(of userID: UserID) -> Query {
    """
    SELECT organization_id FROM memberships JOIN organizations USING (organization_id) \
    WHERE user_id = \(userID.uuid) AND archived_at IS NULL ORDER BY organization_id
    """
  }

  /// The members whose address this is, as their identity provider says.
  static func members(withEmail email: EmailAddress, in organization: OrganizationID) -> Query {
    """
    SELECT user_id FROM memberships JOIN users USING (user_id) \
    WHERE organization_id = \(organization.uuid) AND normalized_email = \(email.normalized) \
    ORDER BY user_id LIMIT 1
    """
  }

  static func find(_ userID: UserID, in organization: OrganizationID) -> Query {
    profiles(in: organization) + " AND user_id = \(userID.uuid)"
  }

  /// An organization's members, newest users first, behind the one with the id `after`.
  static func list(in organization: OrganizationID, after: UserID?, limit: Int64) -> Query {
    profiles(in: organization)
      + """
       AND (\(after?.uuid)::uuid IS NULL OR user_id < \(after?.uuid)) \
      ORDER BY user_id DESC LIMIT \(limit)
      """
  }

  private static func profiles(in organization: OrganizationID) -> Query {
    """
    SELECT user_id, role, version, m.created_at, m.updated_at, name, email \
    FROM memberships AS m LEFT JOIN users USING (user_id) \
    WHERE organization_id = \(organization.uuid)
    """
  }
}

extension MemberProfile {
  init(_ row: Row) throws(PostgresError) {
    let (userID, role, version, createdAt, updatedAt, name, email) = try row.decode(
      (UUID, Role, Int64, TimestampTZ, TimestampTZ, String?, String?).self)
    self.init(
      userID: UserID(userID),
      member: Member(
        role: role, version: version, createdAt: Timestamp(createdAt),
        updatedAt: Timestamp(updatedAt)), name: name, email: email)
  }
}
