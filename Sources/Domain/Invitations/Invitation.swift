import FoundationEssentials

package typealias InvitationID = TypeID<Invitation>

/// A person about whom something is known: what the log holds of it is sealed under a key of their own.
package enum DataSubject: Identified {
  package static let idPrefix = "sub"
}

package typealias DataSubjectID = TypeID<DataSubject>

// MARK: Events

package enum InvitationEvent: Equatable, Sendable {
  case created(Created)
  case resent(Resent)
  case revoked(Revoked)
  case accepted(Accepted)
  case declined(Declined)

  package struct Created: EventPayload {
    package static let type = "invitation.created"
    package let invitationID: InvitationID
    package let role: Role
    package let subjectID: DataSubjectID
    /// Sealed under the subject's key.
    package let email: SealedText
    /// Of the token that was sent.
    package let tokenHash: SecretHash
    package let expiresAt: Timestamp
    package var event: WorkspaceEvent { .invitation(.created(self)) }

    private enum CodingKeys: String, CodingKey {
      case invitationID = "invitation_id"
      case role, email
      case subjectID = "subject_id"
      case tokenHash = "token_hash"
      case expiresAt = "expires_at"
    }
  }

  /// With a new token: the one before is good for nothing any more.
  package struct Resent: EventPayload {
    package static let type = "invitation.resent"
    package let invitationID: InvitationID
    package let tokenHash: SecretHash
    package let expiresAt: Timestamp
    package var event: WorkspaceEvent { .invitation(.resent(self)) }

    private enum CodingKeys: String, CodingKey {
      case invitationID = "invitation_id"
      case tokenHash = "token_hash"
      case expiresAt = "expires_at"
    }
  }

  package struct Revoked: EventPayload {
    package static let type = "invitation.revoked"
    package let invitationID: InvitationID
    package var event: WorkspaceEvent { .invitation(.revoked(self)) }

    private enum CodingKeys: String, CodingKey {
      case invitationID = "invitation_id"
    }
  }

  package struct Accepted: EventPayload {
    package static let type = "invitation.accepted"
    package let invitationID: InvitationID
    package let userID: UserID
    package var event: WorkspaceEvent { .invitation(.accepted(self)) }

    private enum CodingKeys: String, CodingKey {
      case invitationID = "invitation_id"
      case userID = "user_id"
    }
  }

  package struct Declined: EventPayload {
    package static let type = "invitation.declined"
    package let invitationID: InvitationID
    package var event: WorkspaceEvent { .invitation(.declined(self)) }

    private enum CodingKeys: String, CodingKey {
      case invitationID = "invitation_id"
    }
  }

  package var invitationID: InvitationID {
    switch self {
    case .created(let payload): payload.invitationID
    case .resent(let payload): payload.invitationID
    case .revoked(let payload): payload.invitationID
    case .accepted(let payload): payload.invitationID
    case .declined(let payload): payload.invitationID
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [
    Created.self, Resent.self, Revoked.self, Accepted.self, Declined.self,
  ]

  var payload: any EventPayload {
    switch self {
    case .created(let payload): payload
    case .resent(let payload): payload
    case .revoked(let payload): payload
    case .accepted(let payload): payload
    case .declined(let payload): payload
    }
  }
}

// MARK: State and evolve

/// An offer of membership to whoever can read the mail of one address.
package struct Invitation: Equatable, Sendable, Codable, Identified {
  package static let idPrefix = "inv"
  /// How long an invitation is good for, in microseconds: seven days.
  package static let lifetime: Int64 = 7 * 86_400 * 1_000_000

  /// The raw values are stored; `expired` is a matter of time and never is.
  package enum Status: String, Sendable, Codable, CaseIterable {
    case pending, accepted, declined, revoked, expired
  }

  package let role: Role
  package let subjectID: DataSubjectID
  /// Sealed under the subject's key.
  package let email: String
  package var tokenHash: String
  package var expiresAt: Timestamp
  package var status: Status
  package let invitedBy: Actor
  package var version: Int64
  package let createdAt: Timestamp
  package var updatedAt: Timestamp

  /// An invitation as it was read from a row.
  package init(
    role: Role, subjectID: DataSubjectID, email: String, tokenHash: String, expiresAt: Timestamp,
    status: Status, invitedBy: Actor, version: Int64, createdAt: Timestamp, updatedAt: Timestamp
  ) {
    self.role = role
    self.subjectID = subjectID
    self.email = email
    self.tokenHash = tokenHash
    self.expiresAt = expiresAt
    self.status = status
    self.invitedBy = invitedBy
    self.version = version
    self.createdAt = createdAt
    self.updatedAt = updatedAt
  }

  private enum CodingKeys: String, CodingKey {
    case role, email, status, version
    case subjectID = "subject_id"
    case tokenHash = "token_hash"
    case expiresAt = "expires_at"
    case invitedBy = "invited_by"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
  }

  package func status(at time: Timestamp) -> Status {
    status == .pending && expiresAt <= time ? .expired : status
  }

  static func evolve(
    _ state: inout Invitation?, _ event: InvitationEvent, _ metadata: EventMetadata
  ) throws(FoldError) {
    if case .created(let created) = event {
      guard state == nil else {
        throw FoldError(version: metadata.version, reason: "the invitation exists already")
      }
      state = Invitation(
        role: created.role, subjectID: created.subjectID, email: created.email.text,
        tokenHash: created.tokenHash.text, expiresAt: created.expiresAt, status: .pending,
        invitedBy: metadata.actor, version: 1, createdAt: metadata.occurredAt,
        updatedAt: metadata.occurredAt)
      return
    }
    guard state?.evolve(event, metadata) != nil else {
      throw FoldError(version: metadata.version, reason: "the invitation does not exist")
    }
  }

  private mutating func evolve(_ event: InvitationEvent, _ metadata: EventMetadata) {
    switch event {
    case .created: break
    case .resent(let resent):
      tokenHash = resent.tokenHash.text
      expiresAt = resent.expiresAt
      status = .pending
    case .revoked: status = .revoked
    case .accepted: status = .accepted
    case .declined: status = .declined
    }
    version += 1
    updatedAt = metadata.occurredAt
  }
}

// MARK: Commands and decide

package enum InvitationCommand: Equatable, Sendable {
  // `userID` is who the address is known to belong to, if anybody.

  case create(
    InvitationID, role: Role, subject: DataSubjectID, email: String, tokenHash: String,
    userID: UserID?)
  case resend(InvitationID, tokenHash: String, userID: UserID?)
  case revoke(InvitationID)
  /// By whoever showed the token and proved to have the address.
  case accept(InvitationID, tokenHash: String, by: UserID)
  case decline(InvitationID, tokenHash: String)

  package var invitationID: InvitationID {
    switch self {
    case .create(let id, _, _, _, _, _), .resend(let id, _, _), .revoke(let id),
      .accept(let id, _, _), .decline(let id, _):
      id
    }
  }
}

extension Workspace {
  func decide(
    _ command: InvitationCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    _ = try Organization.open(organization)
    if case .create(let id, let role, let subject, let email, let hash, let userID) = command {
      guard invitations[id] == nil else { return [] }
      try requireGrant(role, by: context.actor)
      try requirePlace(for: subject, userID, in: context)
      return [
        .invitation(
          .created(
            .init(
              invitationID: id, role: role, subjectID: subject, email: SealedText(email),
              tokenHash: SecretHash(hash), expiresAt: context.time.advanced(by: Invitation.lifetime)
            )))
      ]
    }
    guard let invitation = invitations[command.invitationID] else { throw .notFound(.invitation) }
    return try decide(command, on: invitation, in: context).map { $0 }
  }

  /// A person takes one place, and only where there is one.
  private func requirePlace(
    for subject: DataSubjectID, _ userID: UserID?, in context: CommandContext
  ) throws(Rejection) {
    if let userID, members[userID] != nil { throw .alreadyMember }
    let isInvited = invitations.values.contains {
      $0.subjectID == subject && $0.status(at: context.time) == .pending
    }
    if isInvited { throw .alreadyInvited }
    try requireRoom(for: .members, in: context)
  }

  private func decide(
    _ command: InvitationCommand, on invitation: Invitation, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    let status = invitation.status(at: context.time)
    switch command {
    case .create: return []
    case .resend(let id, let hash, let userID):
      guard status == .pending || status == .expired else { throw .invitationClosed(status) }
      try requireGrant(invitation.role, by: context.actor)
      // An expired one has lost its place.
      if status == .expired { try requirePlace(for: invitation.subjectID, userID, in: context) }
      return [
        .invitation(
          .resent(
            .init(
              invitationID: id, tokenHash: SecretHash(hash),
              expiresAt: context.time.advanced(by: Invitation.lifetime))))
      ]
    case .revoke(let id):
      if status == .revoked { return [] }
      guard status == .pending || status == .expired else { throw .invitationClosed(status) }
      return [.invitation(.revoked(.init(invitationID: id)))]
    case .accept(let id, let hash, let userID):
      guard status == .pending else { throw .invitationClosed(status) }
      guard invitation.tokenHash == hash else { throw .notFound(.invitation) }
      guard members[userID] == nil else { throw .alreadyMember }
      return [
        .invitation(.accepted(.init(invitationID: id, userID: userID))),
        .member(.added(.init(userID: userID, role: invitation.role))),
      ]
    case .decline(let id, let hash):
      guard status == .pending else { throw .invitationClosed(status) }
      guard invitation.tokenHash == hash else { throw .notFound(.invitation) }
      return [.invitation(.declined(.init(invitationID: id)))]
    }
  }
}
