import Domain
import JSON
import Mail
import NIOCore

extension Invitation {
  /// The invitation as the audit keeps it: without the address, which is only known to those who may open it.
  func json(id: InvitationID, organizationID: OrganizationID) -> JSONObject {
    var object = JSONObject()
    object.set("id", id.description)
    object.set("organization_id", organizationID.description)
    object.set("role", role.rawValue)
    object.set("status", status.rawValue)
    object.set("expires_at", expiresAt.rfc3339)
    object.set("invited_by", invitedBy.json())
    object.set("version", version)
    object.set("created_at", createdAt.rfc3339)
    object.set("updated_at", updatedAt.rfc3339)
    return object
  }

  /// The invitation as those see it who manage members.
  ///
  /// - Parameter email: nil when the person was erased.
  func json(
    id: InvitationID, organizationID: OrganizationID, email: String?, at time: Timestamp
  ) -> JSONObject {
    var object = json(id: id, organizationID: organizationID)
    object.set("status", status(at: time).rawValue)
    object.set("email", email)
    return object
  }
}

/// The body of `POST …/invitations`.
struct CreateInvitationPayload {
  let email: EmailAddress
  let role: Role

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let email = reader.emailAddress("email")
    let role = reader.choice("role", of: Role.self)
    try reader.finish()
    guard let email, let role else { throw Problem(.invalidRequest) }
    self.email = email
    self.role = role
  }
}

/// The body of `POST /v1/invitations/accept` and of `…/decline`.
struct InvitationTokenPayload {
  let token: String

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let token = reader.string("token", TextRules(1...100))
    try reader.finish()
    guard let token else { throw Problem(.invalidRequest) }
    self.token = token
  }
}
