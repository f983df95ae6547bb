package typealias APIKeyID = TypeID<APIKey>

// MARK: Events

package enum APIKeyEvent: Equatable, Sendable {
  case created(Created)
  case renamed(Renamed)
  case expiryChanged(ExpiryChanged)
  case rotated(Rotated)
  case revoked(Revoked)

  package struct Created: EventPayload {
    package static let type = "api_key.created"
    package let keyID: APIKeyID
    package let projectID: ProjectID
    /// Of the project.
    package let environment: Project.Environment
    package let name: ExactText
    package let secret: TokenSecret
    /// The key whose place it takes; absent when it takes none's.
    package let rotatedFrom: APIKeyID?
    /// Absent when it does not expire.
    package let expiresAt: Timestamp?
    package var event: WorkspaceEvent { .apiKey(.created(self)) }

    private enum CodingKeys: String, CodingKey {
      case environment, name, secret
      case keyID = "key_id"
      case projectID = "project_id"
      case rotatedFrom = "rotated_from"
      case expiresAt = "expires_at"
    }
  }

  package struct Renamed: EventPayload {
    package static let type = "api_key.renamed"
    package let keyID: APIKeyID
    package let name: ExactText
    package var event: WorkspaceEvent { .apiKey(.renamed(self)) }

    private enum CodingKeys: String, CodingKey {
      case keyID = "key_id"
      case name
    }
  }

  package struct ExpiryChanged: EventPayload {
    package static let type = "api_key.expiry_changed"
    package let keyID: APIKeyID
    /// Absent when it does not expire any more.
    package let expiresAt: Timestamp?
    package var event: WorkspaceEvent { .apiKey(.expiryChanged(self)) }

    private enum CodingKeys: String, CodingKey {
      case keyID = "key_id"
      case expiresAt = "expires_at"
    }
  }

  /// Another key has taken its place.
  package struct Rotated: EventPayload {
    package static let type = "api_key.rotated"
    package let keyID: APIKeyID
    package let rotatedTo: APIKeyID
    /// Until when both are good.
    package let expiresAt: Timestamp
    package var event: WorkspaceEvent { .apiKey(.rotated(self)) }

    private enum CodingKeys: String, CodingKey {
      case keyID = "key_id"
      case rotatedTo = "rotated_to"
      case expiresAt = "expires_at"
    }
  }

  package struct Revoked: EventPayload {
    package static let type = "api_key.revoked"
    package let keyID: APIKeyID
    /// Absent when nobody gave one.
    package let reason: ExactText?
    package var event: WorkspaceEvent { .apiKey(.revoked(self)) }

    private enum CodingKeys: String, CodingKey {
      case keyID = "key_id"
      case reason
    }
  }

  package var keyID: APIKeyID {
    switch self {
    case .created(let payload): payload.keyID
    case .renamed(let payload): payload.keyID
    case .expiryChanged(let payload): payload.keyID
    case .rotated(let payload): payload.keyID
    case .revoked(let payload): payload.keyID
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [
    Created.self, Renamed.self, ExpiryChanged.self, Rotated.self, Revoked.self,
  ]

  var payload: any EventPayload {
    switch self {
    case .created(let payload): payload
    case .renamed(let payload): payload
    case .expiryChanged(let payload): payload
    case .rotated(let payload): payload
    case .revoked(let payload): payload
    }
  }
}

// MARK: State and evolve

/// A key by which an application's requests to the gateway are a project's.
package struct APIKey: Equatable, Sendable, Codable, Identified {
  package static let idPrefix = "key"
  /// How long the key before a rotation stays good at most, in seconds: seven days.
  package static let longestGrace: Int64 = 7 * 86_400

  /// Why a key takes no changes any more. The raw values are shown.
  package enum Closure: String, Sendable, CaseIterable {
    case revoked, expired, rotated
  }

  package let projectID: ProjectID
  package let environment: Project.Environment
  package var name: ExactText
  package let secret: TokenSecret
  /// The key whose place it took.
  package let rotatedFrom: APIKeyID?
  /// The key that took its place.
  package var rotatedTo: APIKeyID?
  /// Nil when it does not expire. Of a key that was rotated: when the grace ends.
  package var expiresAt: Timestamp?
  package var revokedAt: Timestamp?
  package var revokedReason: ExactText?
  package let createdBy: Actor
  package var version: Int64
  package let createdAt: Timestamp
  package var updatedAt: Timestamp

  /// A key as it was read from a row.
  package init(
    projectID: ProjectID, environment: Project.Environment, name: ExactText, secret: TokenSecret,
    rotatedFrom: APIKeyID? = nil, rotatedTo: APIKeyID? = nil, expiresAt: Timestamp? = nil,
    revokedAt: Timestamp? = nil, revokedReason: ExactText? = nil, createdBy: Actor,
    version: Int64 = 1, createdAt: Timestamp, updatedAt: Timestamp
  ) {
    self.projectID = projectID
    self.environment = environment
    self.name = name
    self.secret = secret
    self.rotatedFrom = rotatedFrom
    self.rotatedTo = rotatedTo
    self.expiresAt = expiresAt
    self.revokedAt = revokedAt
    self.revokedReason = revokedReason
    self.createdBy = createdBy
    self.version = version
    self.createdAt = createdAt
    self.updatedAt = updatedAt
  }

  private enum CodingKeys: String, CodingKey {
    case environment, name, secret, version
    case projectID = "project_id"
    case rotatedFrom = "rotated_from"
    case rotatedTo = "rotated_to"
    case expiresAt = "expires_at"
    case revokedAt = "revoked_at"
    case revokedReason = "revoked_reason"
    case createdBy = "created_by"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
  }

  /// Why it lets nobody in; nil when it does.
  package func closure(at time: Timestamp) -> Closure? {
    if revokedAt != nil { return .revoked }
    guard let expiresAt, expiresAt <= time else { return nil }
    return rotatedTo == nil ? .expired : .rotated
  }

  static func evolve(
    _ state: inout APIKey?, _ event: APIKeyEvent, _ metadata: EventMetadata
  ) throws(FoldError) {
    if case .created(let created) = event {
      guard state == nil else {
        throw FoldError(version: metadata.version, reason: "the key exists already")
      }
      state = APIKey(
        projectID: created.projectID, environment: created.environment, name: created.name,
        secret: created.secret, rotatedFrom: created.rotatedFrom, expiresAt: created.expiresAt,
        createdBy: metadata.actor, createdAt: metadata.occurredAt, updatedAt: metadata.occurredAt)
      return
    }
    guard state?.evolve(event, metadata) != nil else {
      throw FoldError(version: metadata.version, reason: "the key does not exist")
    }
  }

  private mutating func evolve(_ event: APIKeyEvent, _ metadata: EventMetadata) {
    switch event {
    case .created: break
    case .renamed(let renamed):
      name = renamed.name
    case .expiryChanged(let changed):
      expiresAt = changed.expiresAt
    case .rotated(let rotated):
      rotatedTo = rotated.rotatedTo
      expiresAt = rotated.expiresAt
    case .revoked(let revoked):
      revokedAt = metadata.occurredAt
      revokedReason = revoked.reason
    }
    version += 1
    updatedAt = metadata.occurredAt
  }
}

extension Project.Environment {
  /// What the project's keys begin with: it shows by itself whether one is for real traffic.
  package var apiKeyPrefix: String {
    switch self {
    case .live: "pk_live_"
    case .test: "pk_test_"
    }
  }
}
