import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `memberships`.
struct MembershipRow {
  let organizationID: OrganizationID
  let userID: UserID
  let member: Member
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
    ])

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
}
