// MARK: Events

package enum MemberEvent: Equatable, Sendable {
  case added(Added)

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

  package var userID: UserID {
    switch self {
    case .added(let added): added.userID
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [Added.self]

  var payload: any EventPayload {
    switch self {
    case .added(let payload): payload
    }
  }
}

// MARK: State and evolve

/// What a member of a workspace may do. The raw values are stored.
package enum Role: String, Sendable, Codable, CaseIterable {
  case owner, admin, developer, billing, viewer
}

/// A person's membership in a workspace.
package struct Member: Equatable, Sendable, Codable {
  package var role: Role
  package var version: Int64
  package let createdAt: Timestamp

  private enum CodingKeys: String, CodingKey {
    case role, version
    case createdAt = "created_at"
  }

  static func evolve(_ state: Member?, _ event: MemberEvent, _ metadata: EventMetadata) -> Member {
    switch event {
    case .added(let added):
      Member(
        role: added.role, version: (state?.version ?? 0) + 1,
        createdAt: state?.createdAt ?? metadata.occurredAt)
    }
  }
}
