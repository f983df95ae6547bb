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
    return switch kind {
    case .user: UserID(id).description
    case .token: ServiceTokenID(id).description
    case .gateway: GatewayTokenID(id).description
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
