package typealias PersonalAccessTokenID = TypeID<PersonalAccessToken>

// An account is a person's own stream: its events have the user's uuid where others have their organization's.

// MARK: Events

package enum AccountEvent: Equatable, Sendable {
  case tokenCreated(TokenCreated)
  case tokenRevoked(TokenRevoked)
  case erased(Erased)

  package struct TokenCreated: EventPayload {
    package static let type = "account.token_created"
    package let tokenID: PersonalAccessTokenID
    package let name: ExactText
    package let secret: TokenSecret
    /// Absent when it does not expire.
    package let expiresAt: Timestamp?
    package var event: WorkspaceEvent { .account(.tokenCreated(self)) }

    private enum CodingKeys: String, CodingKey {
      case tokenID = "token_id"
      case name, secret
      case expiresAt = "expires_at"
    }
  }

  package struct TokenRevoked: EventPayload {
    package static let type = "account.token_revoked"
    package let tokenID: PersonalAccessTokenID
    package var event: WorkspaceEvent { .account(.tokenRevoked(self)) }

    private enum CodingKeys: String, CodingKey {
      case tokenID = "token_id"
    }
  }

  /// The person is forgotten: their keys are destroyed, and nothing in the log can be read as theirs any more.
  package struct Erased: EventPayload {
    package static let type = "account.erased"
    package var event: WorkspaceEvent { .account(.erased(self)) }
  }

  static let payloadTypes: [any EventPayload.Type] = [
    TokenCreated.self, TokenRevoked.self, Erased.self,
  ]

  var payload: any EventPayload {
    switch self {
    case .tokenCreated(let payload): payload
    case .tokenRevoked(let payload): payload
    case .erased(let payload): payload
    }
  }
}

// MARK: State and evolve

/// A person's token for what they do by hand. It may do what they may.
package struct PersonalAccessToken: Equatable, Sendable, Codable, Identified {
  package static let idPrefix = "pat"

  package let name: ExactText
  package let secret: TokenSecret
  package let expiresAt: Timestamp?
  package var revokedAt: Timestamp?
  package var version: Int64
  package let createdAt: Timestamp

  /// A token as it was read from a row.
  package init(
    name: ExactText, secret: TokenSecret, expiresAt: Timestamp?, revokedAt: Timestamp? = nil,
    version: Int64, createdAt: Timestamp
  ) {
    self.name = name
    self.secret = secret
    self.expiresAt = expiresAt
    self.revokedAt = revokedAt
    self.version = version
    self.createdAt = createdAt
  }

  private enum CodingKeys: String, CodingKey {
    case name, secret, version
    case expiresAt = "expires_at"
    case revokedAt = "revoked_at"
    case createdAt = "created_at"
  }
}

/// What belongs to a person rather than to a workspace.
package struct Account: Equatable, Sendable, Codable {
  package internal(set) var tokens: [PersonalAccessTokenID: PersonalAccessToken] = [:]
  package internal(set) var erasedAt: Timestamp?
  package internal(set) var version: Int64 = 0

  private enum CodingKeys: String, CodingKey {
    case tokens, version
    case erasedAt = "erased_at"
  }

  mutating func evolve(_ event: AccountEvent, _ metadata: EventMetadata) throws(FoldError) {
    switch event {
    case .tokenCreated(let created):
      guard tokens[created.tokenID] == nil else {
        throw FoldError(version: metadata.version, reason: "the token exists already")
      }
      tokens[created.tokenID] = PersonalAccessToken(
        name: created.name, secret: created.secret, expiresAt: created.expiresAt, version: 1,
        createdAt: metadata.occurredAt)
    case .tokenRevoked(let revoked):
      guard tokens[revoked.tokenID] != nil else {
        throw FoldError(version: metadata.version, reason: "the token does not exist")
      }
      tokens[revoked.tokenID]?.revokedAt = metadata.occurredAt
      tokens[revoked.tokenID]?.version += 1
    case .erased:
      erasedAt = metadata.occurredAt
    }
    version = metadata.version
  }
}

// MARK: Commands and decide

package enum AccountCommand: Equatable, Sendable {
  case createToken(
    PersonalAccessTokenID, name: ExactText, secret: TokenSecret, expiresAt: Timestamp?)
  case revokeToken(PersonalAccessTokenID)
  case erase
}

extension AccountEvent {
  func entity(in stream: OrganizationID) -> Entity {
    switch self {
    case .tokenCreated(let created): .personalAccessToken(created.tokenID)
    case .tokenRevoked(let revoked): .personalAccessToken(revoked.tokenID)
    case .erased: .account(UserID(stream.uuid))
    }
  }
}

extension AccountCommand {
  func entity(in stream: OrganizationID) -> Entity {
    switch self {
    case .createToken(let id, _, _, _), .revokeToken(let id): .personalAccessToken(id)
    case .erase: .account(UserID(stream.uuid))
    }
  }
}

extension OrganizationID {
  /// The stream of a person's account.
  package static func account(of user: UserID) -> OrganizationID { OrganizationID(user.uuid) }
}

extension Workspace {
  /// How many tokens that are not revoked a person may have.
  package static let mostPersonalAccessTokens = 100

  func decide(_ command: AccountCommand) throws(Rejection) -> [WorkspaceEvent] {
    let account = account ?? Account()
    switch command {
    case .createToken(let id, let name, let secret, let expiresAt):
      guard account.erasedAt == nil else { throw .notFound(.account) }
      guard account.tokens[id] == nil else { return [] }
      guard
        account.tokens.values.count(where: { $0.revokedAt == nil }) < Self.mostPersonalAccessTokens
      else { throw .tooManyTokens(Self.mostPersonalAccessTokens) }
      return [
        .account(
          .tokenCreated(.init(tokenID: id, name: name, secret: secret, expiresAt: expiresAt)))
      ]
    case .revokeToken(let id):
      guard let token = account.tokens[id] else { throw .notFound(.personalAccessToken) }
      return token.revokedAt == nil ? [.account(.tokenRevoked(.init(tokenID: id)))] : []
    case .erase:
      guard account.erasedAt == nil else { return [] }
      let open = account.tokens.filter { $0.value.revokedAt == nil }.keys
      return open.sorted { $0.uuid < $1.uuid }.map { .account(.tokenRevoked(.init(tokenID: $0))) }
        + [.account(.erased(.init()))]
    }
  }
}
