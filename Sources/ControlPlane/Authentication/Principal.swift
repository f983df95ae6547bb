package import Domain
package import EventStore
package import FoundationEssentials

/// Who sends a request.
package struct Principal: Sendable {
  /// What sort of caller it is, and what is known of each.
  package enum Kind: Sendable, Hashable {
    case user(UserID, isPlatformAdmin: Bool)
    case serviceToken(ServiceTokenAccess)
    /// Of the data plane, and only there.
    case gateway(GatewayTokenID)
  }

  package let kind: Kind
  /// What being them rests on.
  let premise: Premise
  let reads: Reads

  /// Names the caller in idempotency records and in what is remembered.
  package var id: UUID { kind.id }

  /// As the log and the audit name them.
  package var actor: Actor {
    switch kind {
    case .user(let id, _): .user(id)
    case .serviceToken(let token): Actor(kind: .token, id: token.id.uuid)
    case .gateway(let id): Actor(kind: .gateway, id: id.uuid)
    }
  }

  package var isPlatformAdmin: Bool {
    if case .user(_, let isPlatformAdmin) = kind { isPlatformAdmin } else { false }
  }

  /// The person who asks.
  ///
  /// - Throws: a ``Problem`` of 403 when it is a program's token.
  func user() throws(Problem) -> UserID {
    guard case .user(let id, _) = kind else { throw Problem(.personRequired) }
    return id
  }
}

extension Principal.Kind {
  package var id: UUID {
    switch self {
    case .user(let id, _): id.uuid
    case .serviceToken(let token): token.id.uuid
    case .gateway(let id): id.uuid
    }
  }

  /// An identifier for the access log, never a name, an address or a token.
  var externalID: String {
    switch self {
    case .user(let id, _): id.description
    case .serviceToken(let token): token.id.description
    case .gateway(let id): id.description
    }
  }

  /// What the database shows them.
  var scope: ReadScope {
    switch self {
    case .user(let id, _): .user(id)
    case .serviceToken(let token): .serviceToken(token.organizationID)
    // It carries the traffic of all workspaces.
    case .gateway: .system
    }
  }

  /// What must not have happened since, for the caller to be who they were.
  var topic: LogTail.Topic {
    switch self {
    case .user(let id, _): LogTail.Topic(organizationID: id.uuid, subject: "account")
    case .serviceToken(let token):
      LogTail.Topic(organizationID: token.organizationID.uuid, subject: "service_token")
    case .gateway:
      LogTail.Topic(organizationID: OrganizationID.platform.uuid, subject: "gateway_token")
    }
  }
}

/// A data-plane gateway.
struct AuthenticatedGateway: Sendable {
  package let id: GatewayTokenID
  /// Of all workspaces; nil while the database is away.
  let reads: Reads?
}

/// What a service token is good for.
package struct ServiceTokenAccess: Sendable, Hashable {
  package let id: ServiceTokenID
  package let organizationID: OrganizationID
  package let role: Role
  /// Nil for the whole workspace.
  package let projectIDs: Set<ProjectID>?
}

/// A principal within one workspace: whoever has one has passed the check.
package struct Membership: Sendable {
  package let principal: Principal
  package let organizationID: OrganizationID
  /// Nil for a platform admin who is no member.
  package let role: Role?
  /// The only projects that they see; nil for all.
  package let projectIDs: Set<ProjectID>?
  /// What having the role rests on, beside what being the principal does.
  let premise: Premise?

  /// What they may read; a platform admin who is no member reads for the platform.
  var reads: Reads { role == nil ? principal.reads.scoped(to: .system) : principal.reads }
  var premises: [Premise] { [principal.premise] + (premise.map { [$0] } ?? []) }
}
