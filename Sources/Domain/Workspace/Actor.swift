package import FoundationEssentials

/// Who caused an event: the audit names them, the log keeps only kind and id.
package struct Actor: Hashable, Sendable, Codable {
  /// What sort of principal acted. The raw values are stored.
  package enum Kind: String, Sendable, Codable, CaseIterable {
    case user, token, gateway, system
  }

  package let kind: Kind
  /// Absent for the system itself.
  package let id: UUID?

  /// Names an actor of any kind.
  package init(kind: Kind, id: UUID?) {
    self.kind = kind
    self.id = id
  }

  /// A person.
  package static func user(_ id: UserID) -> Actor { Actor(kind: .user, id: id.uuid) }

  /// Signalbox itself, for instance when a timer fires.
  package static let system = Actor(kind: .system, id: nil)

  /// The person, when it is one.
  package var userID: UserID? {
    kind == .user ? id.map { UserID($0) } : nil
  }

  /// The id as callers write it; nil for the system.
  package var externalID: String? {
    guard let id else { return nil }
    return kind.entityKind?.externalID(id)
  }

  /// The uuid in the external id of an actor of whatever kind; nil when the text is no such id.
  package static func uuid(_ externalID: String) -> UUID? {
    for kind in Kind.allCases {
      if let uuid = kind.entityKind?.uuid(externalID) { return uuid }
    }
    return nil
  }
}

extension Actor.Kind {
  /// The kind of entity that actors of this kind are; nil for the system, which has no id.
  fileprivate var entityKind: Entity.Kind? {
    switch self {
    case .user: .member
    case .token: .serviceToken
    case .gateway: .gatewayToken
    case .system: nil
    }
  }
}

/// A person, known by the identity provider's issuer and subject.
package enum User: Identified {
  package static let idPrefix = "usr"
}

package typealias UserID = TypeID<User>

/// One entry of the log.
package enum Event: Identified {
  package static let idPrefix = "evt"
}

package typealias EventID = TypeID<Event>
