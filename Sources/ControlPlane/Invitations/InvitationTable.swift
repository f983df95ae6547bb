import Cryptography
import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `invitations`.
struct InvitationRow {
  let organizationID: OrganizationID
  let id: InvitationID
  let invitation: Invitation
}

enum InvitationTable: EntityTable {
  static let table = Table<InvitationRow>(
    "invitations",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("invitation_id") { $0.id.uuid },
      .value("role") { $0.invitation.role.rawValue },
      .value("subject_id") { $0.invitation.subjectID.uuid },
      .value("email") { $0.invitation.email },
      .value("token_hash") { $0.invitation.tokenHashBytes },
      .value("status") { $0.invitation.status.rawValue },
      .value("expires_at") { TimestampTZ($0.invitation.expiresAt) },
      .value("invited_by_kind") { $0.invitation.invitedBy.kind.rawValue },
      .value("invited_by_id") { $0.invitation.invitedBy.id },
      .value("version") { $0.invitation.version },
      .value("created_at") { TimestampTZ($0.invitation.createdAt) },
      .value("updated_at") { TimestampTZ($0.invitation.updatedAt) },
    ])

  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    if case .invitation(let id) = entity { [organization.uuid, id.uuid] } else { nil }
  }

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> InvitationRow? {
    guard case .invitation(let id) = entity, let invitation = workspace.invitations[id] else {
      return nil
    }
    return InvitationRow(organizationID: organization, id: id, invitation: invitation)
  }

  static func find(_ id: InvitationID, in organization: OrganizationID) -> Query {
    """
    SELECT \(fragment: columns) FROM invitations \
    WHERE organization_id = \(organization.uuid) AND invitation_id = \(id.uuid)
    """
  }

  /// An organization's invitations, newest first, behind the one with the id `after`.
  static func list(
    in organization: OrganizationID, status: Invitation.Status?, at time: Timestamp, after: UUID?,
    limit: Int64
  ) -> Query {
    """
    SELECT \(fragment: columns) FROM invitations WHERE organization_id = \(organization.uuid) \
    AND (\(after)::uuid IS NULL OR invitation_id < \(after)) \
    AND (\(status?.rawValue)::text IS NULL OR \(status?.rawValue) = CASE \
    WHEN status = 'pending' AND expires_at <= \(TimestampTZ(time)) THEN 'expired' ELSE status END) \
    ORDER BY invitation_id DESC LIMIT \(limit)
    """
  }

  private static let columns = Query(unchecked: table.columnList)
}

extension InvitationRow {
  init(_ row: Row) throws(PostgresError) {
    let (
      organizationID, id, role, subjectID, email, tokenHash, status, expiresAt, byKind, byID,
      version, createdAt, updatedAt
    ) = try row.decode(
      (
        UUID, UUID, Role, UUID, String, [UInt8], Invitation.Status, TimestampTZ, Actor.Kind,
        UUID?, Int64, TimestampTZ, TimestampTZ
      ).self)
    self.init(
      organizationID: OrganizationID(organizationID), id: InvitationID(id),
      invitation: Invitation(
        role: role, subjectID: DataSubjectID(subjectID), email: email,
        tokenHash: Base64URL.encode(tokenHash), expiresAt: Timestamp(expiresAt), status: status,
        invitedBy: Actor(kind: byKind, id: byID), version: version,
        createdAt: Timestamp(createdAt), updatedAt: Timestamp(updatedAt)))
  }
}

extension Invitation {
  // What is not base64url matches no token.
  fileprivate var tokenHashBytes: [UInt8] { Base64URL.decode(tokenHash) ?? [] }
}

/// A row of `invitation_lookups`: whose invitation a token is.
struct InvitationLookupRow {
  let organizationID: OrganizationID
  let id: InvitationID
  let lookupID: UUID
}

enum InvitationLookupTable: EntityTable {
  static let table = Table<InvitationLookupRow>(
    "invitation_lookups",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("invitation_id") { $0.id.uuid },
      .value("lookup_id") { $0.lookupID },
    ])

  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    InvitationTable.key(of: entity, of: organization)
  }

  /// Not of those that were revoked; of those that were answered, so that an answer can be repeated.
  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> InvitationLookupRow? {
    guard case .invitation(let id) = entity, let invitation = workspace.invitations[id],
      invitation.status != .revoked
    else { return nil }
    return InvitationLookupRow(
      organizationID: organization, id: id,
      lookupID: UUID(leading: invitation.tokenHashBytes))
  }

  static func find(_ lookupID: UUID) -> Query {
    """
    SELECT organization_id, invitation_id FROM invitation_lookups WHERE lookup_id = \(lookupID)
    """
  }
}
