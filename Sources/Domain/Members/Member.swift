// MARK: Events

package enum MemberEvent: Equatable, Sendable {
  case added(Added)
  case roleChanged(RoleChanged)
  case removed(Removed)

  package struct Added: EventPayload {
    package static let type = "member.added"
    package let userID: UserID
    package let role: Role
    package var event: WorkspaceEvent { .member(.added(self)) }

    private enum CodingKeys: String, CodingKey {
      case userID = "user_id"
      case role
    }
  }

  package struct RoleChanged: EventPayload {
    package static let type = "member.role_changed"
    package let userID: UserID
    package let role: Role
    package var event: WorkspaceEvent { .member(.roleChanged(self)) }

    private enum CodingKeys: String, CodingKey {
      case userID = "user_id"
      case role
    }
  }

  /// The member has left, or somebody has removed them: the actor tells.
  package struct Removed: EventPayload {
    package static let type = "member.removed"
    package let userID: UserID
    package var event: WorkspaceEvent { .member(.removed(self)) }

    private enum CodingKeys: String, CodingKey {
      case userID = "user_id"
    }
  }

  package var userID: UserID {
    switch self {
    case .added(let payload): payload.userID
    case .roleChanged(let payload): payload.userID
    case .removed(let payload): payload.userID
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [
    Added.self, RoleChanged.self, Removed.self,
  ]

  var payload: any EventPayload {
    switch self {
    case .added(let payload): payload
    case .roleChanged(let payload): payload
    case .removed(let payload): payload
    }
  }
}

// MARK: State and evolve

/// A person's membership in a workspace.
package struct Member: Equatable, Sendable, Codable {
  package var role: Role
  /// The workspace's version when it last changed: whoever is removed and comes back never has an old version again.
  package var version: Int64
  package let createdAt: Timestamp
  package var updatedAt: Timestamp

  /// A membership as it was read from a row.
  package init(role: Role, version: Int64, createdAt: Timestamp, updatedAt: Timestamp) {
    self.role = role
    self.version = version
    self.createdAt = createdAt
    self.updatedAt = updatedAt
  }

  private enum CodingKeys: String, CodingKey {
    case role, version
    case createdAt = "created_at"
    case updatedAt = "updated_at"
  }

  static func evolve(
    _ state: inout Member?, _ event: MemberEvent, _ metadata: EventMetadata
  ) throws(FoldError) {
    switch event {
    case .added(let added):
      guard state == nil else {
        throw FoldError(version: metadata.version, reason: "the member exists already")
      }
      state = Member(
        role: added.role, version: metadata.version, createdAt: metadata.occurredAt,
        updatedAt: metadata.occurredAt)
    case .roleChanged(let changed):
      guard state != nil else { throw Self.missing(metadata) }
      state?.role = changed.role
      state?.version = metadata.version
      state?.updatedAt = metadata.occurredAt
    case .removed:
      guard state != nil else { throw Self.missing(metadata) }
      state = nil
    }
  }

  private static func missing(_ metadata: EventMetadata) -> FoldError {
    FoldError(version: metadata.version, reason: "the member does not exist")
  }
}

// MARK: Commands and decide

package enum MemberCommand: Equatable, Sendable {
  /// `revokesTokens` ends the tokens that they made and that may do what the new role may not.
  case changeRole(UserID, to: Role, revokesTokens: Bool = false)
  /// Somebody else, or oneself: then it is leaving. `revokesTokens` ends the tokens that they made.
  case remove(UserID, revokesTokens: Bool = false)
  /// The other becomes an owner, and who asks becomes an admin.
  case transferOwnership(to: UserID)

  package var userID: UserID {
    switch self {
    case .changeRole(let id, _, _), .remove(let id, _), .transferOwnership(let id): id
    }
  }
}

extension Workspace {
  /// What an actor may do here by itself; nil for those who have no role.
  package func role(of actor: Actor) -> Role? {
    guard let id = actor.id else { return nil }
    return switch actor.kind {
    case .user: members[UserID(id)]?.role
    case .token: serviceTokens[ServiceTokenID(id)]?.role
    case .gateway, .system: nil
    }
  }

  /// Refuses to give away a role that the actor may not give.
  func requireGrant(_ role: Role, by actor: Actor) throws(Rejection) {
    guard self.role(of: actor)?.mayGrant(role) == true else { throw .roleNotYours(role) }
  }

  func decide(
    _ command: MemberCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    switch command {
    case .changeRole(let id, let role, let revokesTokens):
      _ = try Organization.open(organization)
      guard let member = members[id] else { throw .notFound(.member) }
      guard member.role != role else { return [] }
      try requireGrant(role, by: context.actor)
      try requireGrant(member.role, by: context.actor)
      if member.role == .owner { try requireAnotherOwner() }
      let tokens =
        revokesTokens
        ? serviceTokens(madeBy: id, strongerThan: role, at: context.time) : []
      return [.member(.roleChanged(.init(userID: id, role: role)))] + revocations(of: tokens)
    case .remove(let id, let revokesTokens):
      guard let member = members[id] else { throw .notFound(.member) }
      if context.actor != .user(id) { try requireGrant(member.role, by: context.actor) }
      if member.role == .owner { try requireAnotherOwner() }
      let tokens = revokesTokens ? serviceTokens(madeBy: id, at: context.time) : []
      return [.member(.removed(.init(userID: id)))] + revocations(of: tokens)
    case .transferOwnership(let id):
      _ = try Organization.open(organization)
      guard let heir = members[id] else { throw .notFound(.member) }
      try requireGrant(.owner, by: context.actor)
      guard context.actor != .user(id), let former = context.actor.userID else { return [] }
      let promotion = WorkspaceEvent.member(.roleChanged(.init(userID: id, role: .owner)))
      return (heir.role == .owner ? [] : [promotion]) + [
        .member(.roleChanged(.init(userID: former, role: .admin)))
      ]
    }
  }

  /// There is always at least one owner.
  private func requireAnotherOwner() throws(Rejection) {
    guard members.values.count(where: { $0.role == .owner }) > 1 else { throw .lastOwner }
  }
}
