package typealias ServiceTokenID = TypeID<ServiceToken>

// MARK: Events

package enum ServiceTokenEvent: Equatable, Sendable {
  case created(Created)
  case rotated(Rotated)
  case revoked(Revoked)

  package struct Created: EventPayload {
    package static let type = "service_token.created"
    package let tokenID: ServiceTokenID
    package let name: ExactText
    package let role: Role
    /// The only projects that it is good for; absent when it is good for the whole workspace.
    package let projectIDs: [ProjectID]?
    package let secret: TokenSecret
    package let expiresAt: Timestamp
    package var event: WorkspaceEvent { .serviceToken(.created(self)) }

    private enum CodingKeys: String, CodingKey {
      case tokenID = "token_id"
      case name, role, secret
      case projectIDs = "project_ids"
      case expiresAt = "expires_at"
    }
  }

  package struct Rotated: EventPayload {
    package static let type = "service_token.rotated"
    package let tokenID: ServiceTokenID
    package let secret: TokenSecret
    /// Until when the secret before is still good.
    package let graceUntil: Timestamp
    package let expiresAt: Timestamp
    package var event: WorkspaceEvent { .serviceToken(.rotated(self)) }

    private enum CodingKeys: String, CodingKey {
      case tokenID = "token_id"
      case secret
      case graceUntil = "grace_until"
      case expiresAt = "expires_at"
    }
  }

  package struct Revoked: EventPayload {
    package static let type = "service_token.revoked"
    package let tokenID: ServiceTokenID
    package var event: WorkspaceEvent { .serviceToken(.revoked(self)) }

    private enum CodingKeys: String, CodingKey {
      case tokenID = "token_id"
    }
  }

  package var tokenID: ServiceTokenID {
    switch self {
    case .created(let payload): payload.tokenID
    case .rotated(let payload): payload.tokenID
    case .revoked(let payload): payload.tokenID
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [
    Created.self, Rotated.self, Revoked.self,
  ]

  var payload: any EventPayload {
    switch self {
    case .created(let payload): payload
    case .rotated(let payload): payload
    case .revoked(let payload): payload
    }
  }
}

// MARK: State and evolve

/// What is kept of a token that was shown once.
package struct TokenSecret: Equatable, Sendable, Codable {
  private let keptHash: SecretHash
  /// The token's last four characters, by which people recognise it.
  package let lastFour: String

  package init(hash: String, lastFour: String) {
    keptHash = SecretHash(hash)
    self.lastFour = lastFour
  }

  /// Keyed hash of the whole token, in base64url.
  package var hash: String { keptHash.text }

  private enum CodingKeys: String, CodingKey {
    case keptHash = "hash"
    case lastFour = "last_four"
  }
}

/// A token of a workspace for CI pipelines.
package struct ServiceToken: Equatable, Sendable, Codable, Identified {
  package static let idPrefix = "tok"
  /// How long a token lives at most, in microseconds: 366 days.
  package static let longestLife: Int64 = 366 * 86_400 * 1_000_000
  /// How long the secret before a rotation stays good at most, in seconds: seven days.
  package static let longestGrace: Int64 = 7 * 86_400

  package let name: ExactText
  package let role: Role
  package let projectIDs: [ProjectID]?
  package var secret: TokenSecret
  package var former: Former?
  package var expiresAt: Timestamp
  package var revokedAt: Timestamp?
  package let createdBy: Actor
  /// Who was shown the present secret, when that is not its maker.
  package var rotatedBy: Actor?
  package var version: Int64
  package let createdAt: Timestamp
  package var updatedAt: Timestamp

  /// The secret before the last rotation.
  package struct Former: Equatable, Sendable, Codable {
    package let secret: TokenSecret
    package let until: Timestamp

    package init(secret: TokenSecret, until: Timestamp) {
      self.secret = secret
      self.until = until
    }
  }

  /// A token as it was read from a row.
  package init(
    name: ExactText, role: Role, projectIDs: [ProjectID]?, secret: TokenSecret,
    former: Former? = nil, expiresAt: Timestamp, revokedAt: Timestamp? = nil, createdBy: Actor,
    rotatedBy: Actor? = nil, version: Int64, createdAt: Timestamp, updatedAt: Timestamp
  ) {
    self.name = name
    self.role = role
    self.projectIDs = projectIDs
    self.secret = secret
    self.former = former
    self.expiresAt = expiresAt
    self.revokedAt = revokedAt
    self.createdBy = createdBy
    self.rotatedBy = rotatedBy
    self.version = version
    self.createdAt = createdAt
    self.updatedAt = updatedAt
  }

  private enum CodingKeys: String, CodingKey {
    case name, role, secret, former, version
    case projectIDs = "project_ids"
    case expiresAt = "expires_at"
    case revokedAt = "revoked_at"
    case createdBy = "created_by"
    case rotatedBy = "rotated_by"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
  }

  static func evolve(
    _ state: inout ServiceToken?, _ event: ServiceTokenEvent, _ metadata: EventMetadata
  ) throws(FoldError) {
    if case .created(let created) = event {
      guard state == nil else {
        throw FoldError(version: metadata.version, reason: "the token exists already")
      }
      state = ServiceToken(
        name: created.name, role: created.role, projectIDs: created.projectIDs,
        secret: created.secret, expiresAt: created.expiresAt, createdBy: metadata.actor,
        version: 1, createdAt: metadata.occurredAt, updatedAt: metadata.occurredAt)
      return
    }
    guard state?.evolve(event, metadata) != nil else {
      throw FoldError(version: metadata.version, reason: "the token does not exist")
    }
  }

  private mutating func evolve(_ event: ServiceTokenEvent, _ metadata: EventMetadata) {
    switch event {
    case .created: break
    case .rotated(let rotated):
      former = Former(secret: secret, until: rotated.graceUntil)
      secret = rotated.secret
      expiresAt = rotated.expiresAt
      rotatedBy = metadata.actor == createdBy ? nil : metadata.actor
    case .revoked:
      revokedAt = metadata.occurredAt
    }
    version += 1
    updatedAt = metadata.occurredAt
  }
}

// MARK: Commands and decide

package enum ServiceTokenCommand: Equatable, Sendable {
  case create(
    ServiceTokenID, name: ExactText, role: Role, projectIDs: [ProjectID]?, secret: TokenSecret,
    expiresAt: Timestamp)
  /// `graceSeconds` is how long the secret before stays good. It lives as long as it would have lived in the first place.
  case rotate(ServiceTokenID, secret: TokenSecret, graceSeconds: Int64)
  case revoke(ServiceTokenID)

  package var tokenID: ServiceTokenID {
    switch self {
    case .create(let id, _, _, _, _, _), .rotate(let id, _, _), .revoke(let id): id
    }
  }
}

extension Workspace {
  func decide(
    _ command: ServiceTokenCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    if case .revoke(let id) = command {
      // Access can always be taken away, in an archived organization too.
      guard let token = serviceTokens[id] else { throw .notFound(.serviceToken) }
      return token.revokedAt == nil ? [.serviceToken(.revoked(.init(tokenID: id)))] : []
    }
    _ = try Organization.open(organization)
    // A token that leaked must not make others, nor give itself a longer life: only people do.
    guard context.actor.kind != .token else { throw .personRequired }
    switch command {
    case .create(let id, let name, let role, let projectIDs, let secret, let expiresAt):
      guard serviceTokens[id] == nil else { return [] }
      try requireGrant(role, by: context.actor)
      guard role != .owner else { throw .roleNotYours(.owner) }
      for id in projectIDs ?? [] where projects[id] == nil { throw .notFound(.project) }
      return [
        .serviceToken(
          .created(
            .init(
              tokenID: id, name: name, role: role, projectIDs: projectIDs, secret: secret,
              expiresAt: expiresAt)))
      ]
    case .rotate(let id, let secret, let graceSeconds):
      guard let token = serviceTokens[id] else { throw .notFound(.serviceToken) }
      guard token.revokedAt == nil, token.expiresAt > context.time else {
        throw .tokenInvalid
      }
      guard token.secret != secret else { return [] }
      try requireGrant(token.role, by: context.actor)
      let life = token.expiresAt.microseconds(since: token.updatedAt)
      return [
        .serviceToken(
          .rotated(
            .init(
              tokenID: id, secret: secret,
              // The old secret never outlives what it was good for.
              graceUntil: min(
                context.time.advanced(bySeconds: graceSeconds), token.expiresAt),
              expiresAt: max(token.expiresAt, context.time.advanced(by: life)))))
      ]
    case .revoke:
      return []
    }
  }
}
