import FoundationEssentials

package typealias GatewayTokenID = TypeID<GatewayToken>

// Gateways belong to no workspace: their tokens' events go to a stream of the platform's own.

// MARK: Events

package enum GatewayTokenEvent: Equatable, Sendable {
  case created(Created)
  case revoked(Revoked)

  package struct Created: EventPayload {
    package static let type = "gateway_token.created"
    package let tokenID: GatewayTokenID
    package let name: ExactText
    package let secret: TokenSecret
    /// Absent when it does not expire.
    package let expiresAt: Timestamp?
    package var event: WorkspaceEvent { .gatewayToken(.created(self)) }

    private enum CodingKeys: String, CodingKey {
      case tokenID = "token_id"
      case name, secret
      case expiresAt = "expires_at"
    }
  }

  package struct Revoked: EventPayload {
    package static let type = "gateway_token.revoked"
    package let tokenID: GatewayTokenID
    package var event: WorkspaceEvent { .gatewayToken(.revoked(self)) }

    private enum CodingKeys: String, CodingKey {
      case tokenID = "token_id"
    }
  }

  package var tokenID: GatewayTokenID {
    switch self {
    case .created(let payload): payload.tokenID
    case .revoked(let payload): payload.tokenID
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [Created.self, Revoked.self]

  var payload: any EventPayload {
    switch self {
    case .created(let payload): payload
    case .revoked(let payload): payload
    }
  }
}

// MARK: State and evolve

/// A token by which a data-plane gateway reads configuration and reports evidence, of all workspaces.
package struct GatewayToken: Equatable, Sendable, Codable, Identified {
  package static let idPrefix = "gtw"

  package let name: ExactText
  package let secret: TokenSecret
  /// Nil when it does not expire.
  package let expiresAt: Timestamp?
  package var revokedAt: Timestamp?
  package let createdBy: Actor
  package var version: Int64
  package let createdAt: Timestamp

  /// A token as it was read from a row.
  package init(
    name: ExactText, secret: TokenSecret, expiresAt: Timestamp?, revokedAt: Timestamp? = nil,
    createdBy: Actor, version: Int64, createdAt: Timestamp
  ) {
    self.name = name
    self.secret = secret
    self.expiresAt = expiresAt
    self.revokedAt = revokedAt
    self.createdBy = createdBy
    self.version = version
    self.createdAt = createdAt
  }

  private enum CodingKeys: String, CodingKey {
    case name, secret, version
    case expiresAt = "expires_at"
    case revokedAt = "revoked_at"
    case createdBy = "created_by"
    case createdAt = "created_at"
  }

  static func evolve(
    _ state: inout GatewayToken?, _ event: GatewayTokenEvent, _ metadata: EventMetadata
  ) throws(FoldError) {
    switch event {
    case .created(let created):
      guard state == nil else {
        throw FoldError(version: metadata.version, reason: "the token exists already")
      }
      state = GatewayToken(
        name: created.name, secret: created.secret, expiresAt: created.expiresAt,
        createdBy: metadata.actor, version: 1, createdAt: metadata.occurredAt)
    case .revoked:
      guard state != nil else {
        throw FoldError(version: metadata.version, reason: "the token does not exist")
      }
      state?.revokedAt = metadata.occurredAt
      state?.version += 1
    }
  }
}

// MARK: Commands and decide

package enum GatewayTokenCommand: Equatable, Sendable {
  case create(GatewayTokenID, name: ExactText, secret: TokenSecret, expiresAt: Timestamp?)
  case revoke(GatewayTokenID)

  package var tokenID: GatewayTokenID {
    switch self {
    case .create(let id, _, _, _), .revoke(let id): id
    }
  }
}

extension OrganizationID {
  /// The platform's own stream: the bytes are `signalbox.system` in ASCII, which no generator of UUIDs makes.
  package static let platform = OrganizationID(UUID(0x7369_676E_616C_626F_782E_7379_7374_656D))
}

extension Workspace {
  /// How many tokens that are not revoked there may be.
  package static let mostGatewayTokens = 1000

  func decide(_ command: GatewayTokenCommand) throws(Rejection) -> [WorkspaceEvent] {
    // Neither a workspace's stream nor a person's: nobody makes a gateway's token in their own.
    guard organization == nil, account == nil else { throw .notFound(.gatewayToken) }
    switch command {
    case .create(let id, let name, let secret, let expiresAt):
      guard gatewayTokens[id] == nil else { return [] }
      guard
        gatewayTokens.values.count(where: { $0.revokedAt == nil }) < Self.mostGatewayTokens
      else { throw .tooManyTokens(Self.mostGatewayTokens) }
      return [
        .gatewayToken(
          .created(.init(tokenID: id, name: name, secret: secret, expiresAt: expiresAt)))
      ]
    case .revoke(let id):
      guard let token = gatewayTokens[id] else { throw .notFound(.gatewayToken) }
      return token.revokedAt == nil ? [.gatewayToken(.revoked(.init(tokenID: id)))] : []
    }
  }
}
