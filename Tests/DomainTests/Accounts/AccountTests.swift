import FoundationEssentials
import Support
import Testing

@testable import Domain

// What a person has.

let laptopToken = PersonalAccessTokenID(UUID(UInt128(16)))
let phoneToken = PersonalAccessTokenID(UUID(UInt128(17)))
let scriptToken = PersonalAccessTokenID(UUID(UInt128(18)))

extension WorkspaceEvent {
  static func accessTokenCreated(
    _ id: PersonalAccessTokenID, expiresAt: Timestamp? = nil
  ) -> Self {
    .account(
      .tokenCreated(.init(tokenID: id, name: "Token", secret: firstSecret, expiresAt: expiresAt)))
  }
  static func accessTokenRevoked(_ id: PersonalAccessTokenID) -> Self {
    .account(.tokenRevoked(.init(tokenID: id)))
  }
  static let erased = Self.account(.erased(.init()))
}

@Suite struct AccountTests {
  static func create(
    _ id: PersonalAccessTokenID, expiresAt: Timestamp? = nil
  ) -> WorkspaceCommand {
    .account(.createToken(id, name: "Token", secret: firstSecret, expiresAt: expiresAt))
  }
  static func revoke(_ id: PersonalAccessTokenID) -> WorkspaceCommand {
    .account(.revokeToken(id))
  }
  static let erase = WorkspaceCommand.account(.erase)

  /// The account of somebody who has so many tokens.
  static func account(withTokens count: Int) throws -> Workspace {
    try Workspace().after((0..<count).map { .accessTokenCreated(numbered($0)) })
  }
  static func numbered(_ number: Int) -> PersonalAccessTokenID {
    PersonalAccessTokenID(UUID(UInt128(1000 + number)))
  }

  // MARK: Refused

  @Test(arguments: [WorkspaceEvent.accessTokenCreated(laptopToken), .erased])
  func `who was erased gets no token, not even the one that they had`(event: WorkspaceEvent) {
    given(event, .erased)
      .when(Self.create(laptopToken), by: .user(owner)).thenRejected(.notFound(.account))
  }

  @Test func `somebody else's token is not found`() {
    given().when(Self.revoke(laptopToken), by: .user(owner))
      .thenRejected(.notFound(.personalAccessToken))
    given(.accessTokenCreated(phoneToken)).when(Self.revoke(laptopToken), by: .user(owner))
      .thenRejected(.notFound(.personalAccessToken))
    given(.erased).when(Self.revoke(laptopToken), by: .user(owner))
      .thenRejected(.notFound(.personalAccessToken))
  }

  @Test func `the hundredth token is the last one`() throws {
    let last = try Self.account(withTokens: 99).answer(Self.create(laptopToken))
    #expect(last == [.accessTokenCreated(laptopToken)])
    let full = try Self.account(withTokens: 100)
    #expect(throws: Rejection.tooManyTokens(100)) {
      try full.answer(Self.create(laptopToken, expiresAt: Scenario.time(1000)))
    }
    #expect(try full.answer(Self.create(Self.numbered(0))) == [], "repeating needs no room")
  }

  @Test func `a revoked token makes room`() throws {
    let account = try Self.account(withTokens: 100).after([.accessTokenRevoked(Self.numbered(50))])
    #expect(
      try account.answer(Self.create(laptopToken)) == [.accessTokenCreated(laptopToken)])
  }

  // MARK: Repeated

  @Test func `creating again yields nothing`() {
    given(.accessTokenCreated(laptopToken))
      .when(Self.create(laptopToken), by: .user(owner)).thenNothing()
    given(.accessTokenCreated(laptopToken), .accessTokenRevoked(laptopToken))
      .when(Self.create(laptopToken), by: .user(owner)).thenNothing()
  }

  @Test func `revoking again yields nothing`() {
    given(.accessTokenCreated(laptopToken), .accessTokenRevoked(laptopToken))
      .when(Self.revoke(laptopToken), by: .user(owner)).thenNothing()
    given(.accessTokenCreated(laptopToken), .accessTokenRevoked(laptopToken), .erased)
      .when(Self.revoke(laptopToken), by: .user(owner)).thenNothing()
  }

  @Test func `erasing again yields nothing`() {
    given(.erased).when(Self.erase, by: .user(owner)).thenNothing()
  }

  // MARK: Accepted

  @Test(arguments: [nil, Scenario.time(5000)])
  func `a token is kept by its hash and expires when it is said to`(expiry: Timestamp?) {
    let account = given().when(Self.create(laptopToken, expiresAt: expiry), by: .user(owner))
      .then(.accessTokenCreated(laptopToken, expiresAt: expiry))
    #expect(
      account.account?.tokens == [
        laptopToken: PersonalAccessToken(
          name: "Token", secret: firstSecret, expiresAt: expiry, version: 1,
          createdAt: Scenario.time(1))
      ])
    #expect(account.version(of: .personalAccessToken(laptopToken)) == 1)
    #expect(account.version(of: .account(owner)) == 1)
  }

  @Test func `a revoked token stays on the record`() {
    let account = given(.accessTokenCreated(laptopToken), .accessTokenCreated(phoneToken))
      .when(Self.revoke(laptopToken), by: .user(owner)).then(.accessTokenRevoked(laptopToken))
    #expect(account.account?.tokens[laptopToken]?.revokedAt == Scenario.time(3))
    #expect(account.account?.tokens[laptopToken]?.version == 2)
    #expect(account.account?.tokens[phoneToken]?.revokedAt == nil)
  }

  @Test func `who never had anything can be erased`() {
    let account = given().when(Self.erase, by: .user(owner)).then(.erased)
    #expect(account.account?.erasedAt == Scenario.time(1))
    #expect(account.version(of: .account(owner)) == 1)
  }

  @Test func `erasing somebody revokes what they had first`() {
    let account = given(
      .accessTokenCreated(scriptToken), .accessTokenCreated(phoneToken),
      .accessTokenCreated(laptopToken), .accessTokenRevoked(phoneToken)
    )
    .when(Self.erase, by: .user(owner))
    .then(.accessTokenRevoked(laptopToken), .accessTokenRevoked(scriptToken), .erased)
    #expect(account.account?.erasedAt == Scenario.time(7))
    #expect(account.account?.tokens.values.allSatisfy { $0.revokedAt != nil } == true)
  }

  @Test func `an account is the stream of a person`() {
    let stream = OrganizationID.account(of: owner)
    #expect(WorkspaceEvent.erased.entity(in: stream) == .account(owner))
    #expect(Self.erase.entity(in: stream) == .account(owner))
    let token = Entity.personalAccessToken(laptopToken)
    #expect(WorkspaceEvent.accessTokenCreated(laptopToken).entity(in: stream) == token)
    #expect(WorkspaceEvent.accessTokenRevoked(laptopToken).entity(in: stream) == token)
    #expect(Self.create(laptopToken).entity(in: stream) == token)
    #expect(Self.revoke(laptopToken).entity(in: stream) == token)
  }

  // MARK: Folded

  @Test func `the fold stops at a second creation`() {
    given(.accessTokenCreated(laptopToken)).thenCannotFold(.accessTokenCreated(laptopToken))
  }

  @Test func `the fold stops at the end of no token`() {
    given(.accessTokenCreated(laptopToken)).thenCannotFold(.accessTokenRevoked(phoneToken))
  }
}
