package import FoundationEssentials

/// Something in a workspace that events happen to: the audit's target, and the unit in which rows are written.
package enum Entity: Hashable, Sendable {
  case organization(OrganizationID)
  case member(UserID)
  case project(ProjectID)

  /// The kind by itself, as the audit and problems name it. The raw values are stored.
  package enum Kind: String, Sendable, CaseIterable {
    case organization, member, project
  }

  package var kind: Kind {
    switch self {
    case .organization: .organization
    case .member: .member
    case .project: .project
    }
  }

  package var uuid: UUID {
    switch self {
    case .organization(let id): id.uuid
    case .member(let id): id.uuid
    case .project(let id): id.uuid
    }
  }

  /// The id as callers write it.
  package var externalID: String {
    switch self {
    case .organization(let id): id.description
    case .member(let id): id.description
    case .project(let id): id.description
    }
  }
}

extension Entity.Kind {
  /// The external id of an entity of this kind.
  package func externalID(_ uuid: UUID) -> String {
    switch self {
    case .organization: OrganizationID(uuid).description
    case .member: UserID(uuid).description
    case .project: ProjectID(uuid).description
    }
  }
}
