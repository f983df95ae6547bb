import FoundationEssentials
import Support
import Testing

@testable import Domain

// What pipelines have.

let deployToken = ServiceTokenID(UUID(UInt128(14)))
let firstSecret = TokenSecret(hash: "first", lastFour: "1111")
let secondSecret = TokenSecret(hash: "second", lastFour: "2222")
let thirdSecret = TokenSecret(hash: "third", lastFour: "3333")

extension WorkspaceEvent {
  /// Made by the third event and good for thirty days, unless said otherwise.
  static func tokenCreated(
    as role: Role = .developer, for projectIDs: [ProjectID]? = nil,
    until expiry: Timestamp = ServiceTokenTests.expiry
  ) -> Self {
    .serviceToken(
      .created(
        .init(
          tokenID: deployToken, name: "Deploy", role: role, projectIDs: projectIDs,
          secret: firstSecret, expiresAt: expiry)))
  }
  static func tokenRotated(
    to secret: TokenSecret = secondSecret, grace: Timestamp, until expiry: Timestamp
  ) -> Self {
    .serviceToken(
      .rotated(
        .init(tokenID: deployToken, secret: secret, graceUntil: grace, expiresAt: expiry)))
  }
  static let tokenRevoked = Self.serviceToken(.revoked(.init(tokenID: deployToken)))
}

@Suite struct ServiceTokenTests {
  /// In microseconds.
  static let hour: Int64 = 3_600_000_000
  static let thirtyDays: Int64 = 720 * hour
  static let expiry = Scenario.time(3).advanced(by: thirtyDays)
  static let lastMoment = expiry.advanced(by: -1)

  static func create(
    as role: Role = .developer, for projectIDs: [ProjectID]? = nil
  ) -> WorkspaceCommand {
    .serviceToken(
      .create(
        deployToken, name: "Deploy", role: role, projectIDs: projectIDs, secret: firstSecret,
        expiresAt: expiry))
  }
  static func rotate(
    to secret: TokenSecret = secondSecret, grace seconds: Int64 = 0
  ) -> WorkspaceCommand {
    .serviceToken(.rotate(deployToken, secret: secret, graceSeconds: seconds))
  }
  static let revoke = WorkspaceCommand.serviceToken(.revoke(deployToken))
  static let token = Actor(kind: .token, id: deployToken.uuid)

  // MARK: Refused

  @Test(arguments: Role.allCases, Role.allCases)
  func `no token may do what its maker may not, and none is an owner`(maker: Role, role: Role) {
    let decision = given(.created, .joined(admin, as: maker))
      .when(Self.create(as: role), by: .user(admin))
    if role != .owner, PermissionTests.grants[maker]?.contains(role) == true {
      decision.then(.tokenCreated(as: role))
    } else {
      decision.thenRejected(.roleNotYours(role))
    }
  }

  @Test(arguments: Role.allCases, Role.allCases.filter { $0 != .owner })
  func `nobody gets the secret of a token that may do what they may not`(
    asker: Role, role: Role
  ) {
    let decision = given(.created, .joined(admin, as: asker), .tokenCreated(as: role))
      .when(Self.rotate(), by: .user(admin))
    if PermissionTests.grants[asker]?.contains(role) == true {
      decision.then(
        .tokenRotated(
          grace: Scenario.time(4), until: Scenario.time(4).advanced(by: Self.thirtyDays)))
    } else {
      decision.thenRejected(.roleNotYours(role))
    }
  }

  @Test(arguments: [
    Actor.user(guest), .system, Actor(kind: .gateway, id: owner.uuid),
  ])
  func `who has no role makes no token`(actor: Actor) {
    given(.created, .ownerAdded).when(Self.create(as: .viewer), by: actor)
      .thenRejected(.roleNotYours(.viewer))
  }

  @Test(arguments: [[other], [assistant, other], [other, assistant]])
  func `a token cannot be bound to another workspace's project`(ids: [ProjectID]) {
    given(.created, .ownerAdded, .projectCreated)
      .when(Self.create(for: ids), by: .user(owner)).thenRejected(.notFound(.project))
  }

  @Test(arguments: [create(), rotate()])
  func `tokens need an organization that is in use`(command: WorkspaceCommand) {
    given().when(command, by: .user(owner)).thenRejected(.notFound(.organization))
    given(.created, .ownerAdded, .tokenCreated(), .archived)
      .when(command, by: .user(owner)).thenRejected(.archived(.organization))
  }

  @Test(arguments: [rotate(), revoke])
  func `another workspace's token is not found`(command: WorkspaceCommand) {
    given(.created, .ownerAdded).when(command, by: .user(owner))
      .thenRejected(.notFound(.serviceToken))
  }

  @Test(arguments: [expiry, expiry.advanced(by: 1), expiry.advanced(by: thirtyDays)])
  func `an expired token is not rotated into life`(time: Timestamp) {
    given(.created, .ownerAdded, .tokenCreated())
      .when(Self.rotate(), by: .user(owner), at: time).thenRejected(.tokenInvalid)
  }

  @Test func `a revoked token is not rotated into life`() {
    given(.created, .ownerAdded, .tokenCreated(), .tokenRevoked)
      .when(Self.rotate(grace: 3600), by: .user(owner)).thenRejected(.tokenInvalid)
  }

  @Test func `a token gives what its role may, and no more`() {
    let scenario = given(
      .created, .ownerAdded, .tokenCreated(as: .admin), .joined(developer, as: .developer))
    scenario.when(.member(.changeRole(developer, to: .admin)), by: Self.token)
      .then(.roleChanged(developer, to: .admin))
    scenario.when(.member(.changeRole(developer, to: .owner)), by: Self.token)
      .thenRejected(.roleNotYours(.owner))
    scenario.when(.member(.remove(owner)), by: Self.token).thenRejected(.roleNotYours(.owner))
    scenario.when(.member(.transferOwnership(to: developer)), by: Self.token)
      .thenRejected(.roleNotYours(.owner))
  }

  @Test(arguments: [create(as: .viewer), rotate(grace: 3600)])
  func `a token neither makes tokens nor gives itself a longer life`(command: WorkspaceCommand) {
    given(.created, .ownerAdded, .tokenCreated(as: .admin))
      .when(command, by: Self.token).thenRejected(.personRequired)
  }

  @Test func `a token can end tokens`() {
    given(.created, .ownerAdded, .tokenCreated(as: .admin))
      .when(Self.revoke, by: Self.token).then(.tokenRevoked)
  }

  // MARK: When their makers go

  /// The events of a scenario are the actor's, who makes the token and is a member here.
  private static let maker = Scenario.actor.userID ?? owner
  private static let madeByMember = given(
    .created, .ownerAdded, .joined(maker, as: .admin), .tokenCreated(as: .admin))

  @Test func `who is removed leaves their tokens unless they are to be ended too`() {
    Self.madeByMember.when(.member(.remove(Self.maker)), by: .user(owner))
      .then(.removed(Self.maker))
    let workspace = Self.madeByMember
      .when(.member(.remove(Self.maker, revokesTokens: true)), by: .user(owner))
      .then(.removed(Self.maker), .tokenRevoked)
    #expect(workspace.serviceTokens[deployToken]?.revokedAt != nil)
    // Somebody else's tokens stay as they are.
    Self.madeByMember.when(.member(.remove(owner, revokesTokens: true)), by: .user(owner))
      .thenRejected(.lastOwner)
  }

  @Test func `who rotated a token knows its secret, and counts as one who made it`() throws {
    let scenario = given(.created, .ownerAdded, .tokenCreated(as: .admin))
    var workspace = scenario.workspace
    try workspace.evolve(
      .joined(admin, as: .admin),
      EventMetadata(version: 4, occurredAt: Scenario.time(4), actor: .user(owner)))
    try workspace.evolve(
      .tokenRotated(grace: Scenario.time(5), until: Self.expiry),
      EventMetadata(version: 5, occurredAt: Scenario.time(5), actor: .user(admin)))
    #expect(
      workspace.serviceTokens(madeBy: admin, at: Scenario.time(6)).map(\.id) == [deployToken])
    #expect(
      workspace.serviceTokens(madeBy: Self.maker, at: Scenario.time(6)).map(\.id) == [deployToken])
    #expect(workspace.serviceTokens(madeBy: owner, at: Scenario.time(6)).isEmpty)
    let events = try workspace.decide(
      .member(.remove(admin, revokesTokens: true)),
      in: CommandContext(actor: .user(owner), time: Scenario.time(6), plans: .standard))
    #expect(events == [.removed(admin), .tokenRevoked])
  }

  @Test func `who leaves can end their tokens with the same command`() {
    Self.madeByMember
      .when(.member(.remove(Self.maker, revokesTokens: true)), by: .user(Self.maker))
      .then(.removed(Self.maker), .tokenRevoked)
  }

  @Test func `tokens that are revoked or have expired are not ended again`() {
    given(.created, .ownerAdded, .joined(Self.maker, as: .admin), .tokenCreated(), .tokenRevoked)
      .when(.member(.remove(Self.maker, revokesTokens: true)), by: .user(owner))
      .then(.removed(Self.maker))
    Self.madeByMember
      .when(
        .member(.remove(Self.maker, revokesTokens: true)), by: .user(owner), at: Self.expiry
      ).then(.removed(Self.maker))
  }

  @Test(arguments: Role.allCases)
  func `of a lower role, those tokens end that may do more`(role: Role) {
    let isStronger = !role.mayGrant(.admin)
    let decision = Self.madeByMember
      .when(
        .member(.changeRole(Self.maker, to: role, revokesTokens: true)), by: .user(owner))
    let changed = WorkspaceEvent.roleChanged(Self.maker, to: role)
    switch (role, isStronger) {
    case (.admin, _): decision.thenNothing()
    case (_, true): decision.then(changed, .tokenRevoked)
    case (_, false): decision.then(changed)
    }
    #expect(isStronger == ![.owner, .admin].contains(role))
  }

  // MARK: Repeated

  @Test func `creating again yields nothing`() {
    given(.created, .ownerAdded, .tokenCreated())
      .when(Self.create(), by: .user(owner)).thenNothing()
  }

  @Test func `rotating to the secret that it has yields nothing`() {
    given(.created, .ownerAdded, .tokenCreated())
      .when(Self.rotate(to: firstSecret, grace: 3600), by: .user(owner)).thenNothing()
  }

  @Test func `revoking again yields nothing`() {
    given(.created, .ownerAdded, .tokenCreated(), .tokenRevoked)
      .when(Self.revoke, by: .user(owner)).thenNothing()
  }

  // MARK: Accepted

  @Test func `a token is good for the whole workspace unless it is bound`() {
    let workspace = given(.created, .ownerAdded)
      .when(Self.create(), by: .user(owner)).then(.tokenCreated())
    #expect(
      workspace.serviceTokens[deployToken]
        == ServiceToken(
          name: "Deploy", role: .developer, projectIDs: nil, secret: firstSecret,
          expiresAt: Self.expiry, createdBy: Scenario.actor, version: 1,
          createdAt: Scenario.time(3), updatedAt: Scenario.time(3)))
    #expect(workspace.version(of: .serviceToken(deployToken)) == 1)
    #expect(workspace.role(of: Self.token) == .developer)
  }

  @Test func `a token is bound to the projects that it names`() {
    let workspace = given(.created, .ownerAdded, .projectCreated)
      .when(Self.create(for: [assistant]), by: .user(owner))
      .then(.tokenCreated(for: [assistant]))
    #expect(workspace.serviceTokens[deployToken]?.projectIDs == [assistant])
  }

  @Test(arguments: [0, 1, 3600] as [Int64])
  func `the secret before a rotation is good for the grace period`(seconds: Int64) {
    let time = Scenario.time(3).advanced(by: 10 * Self.hour)
    let grace = time.advanced(by: seconds * 1_000_000)
    let workspace = given(.created, .ownerAdded, .projectCreated, .tokenCreated(for: [assistant]))
      .when(Self.rotate(grace: seconds), by: .user(owner), at: time)
      // It was made by the fourth event, one second later than it says: it lives a second less.
      .then(
        .tokenRotated(
          grace: grace, until: time.advanced(by: Self.thirtyDays - 1_000_000)))
    let token = workspace.serviceTokens[deployToken]
    #expect(token?.secret == secondSecret)
    #expect(token?.former == ServiceToken.Former(secret: firstSecret, until: grace))
    #expect(token?.version == 2)
    #expect(token?.role == .developer)
    #expect(token?.projectIDs == [assistant])
    #expect(token?.createdAt == Scenario.time(4))
  }

  @Test func `a second rotation ends the first secret's grace`() {
    let expiry = Scenario.time(4).advanced(by: Self.thirtyDays)
    let workspace = given(
      .created, .ownerAdded, .tokenCreated(),
      .tokenRotated(grace: Scenario.time(3600), until: expiry)
    )
    .when(Self.rotate(to: thirdSecret, grace: 60), by: .user(owner))
    .then(
      .tokenRotated(
        to: thirdSecret, grace: Scenario.time(65),
        until: Scenario.time(5).advanced(by: Self.thirtyDays)))
    #expect(
      workspace.serviceTokens[deployToken]?.former
        == ServiceToken.Former(secret: secondSecret, until: Scenario.time(65)))
  }

  @Test func `the former secret never outlives what the token was good for`() {
    let hourBefore = Self.expiry.advanced(by: -Self.hour)
    given(.created, .ownerAdded, .tokenCreated())
      .when(Self.rotate(grace: 7200), by: .user(owner), at: hourBefore)
      .then(.tokenRotated(grace: Self.expiry, until: hourBefore.advanced(by: Self.thirtyDays)))
  }

  @Test func `at the last moment a token can still be rotated`() {
    given(.created, .ownerAdded, .tokenCreated())
      .when(Self.rotate(), by: .user(owner), at: Self.lastMoment)
      .then(
        .tokenRotated(
          grace: Self.lastMoment, until: Self.lastMoment.advanced(by: Self.thirtyDays)))
  }

  @Test func `a clock that was set back shortens no token's life`() {
    given(.created, .ownerAdded, .tokenCreated())
      .when(Self.rotate(), by: .user(owner), at: Scenario.time(1))
      .then(.tokenRotated(grace: Scenario.time(1), until: Self.expiry))
  }

  @Test func `revoking ends both secrets`() {
    let workspace = given(
      .created, .ownerAdded, .tokenCreated(),
      .tokenRotated(grace: Scenario.time(3600), until: Self.expiry)
    )
    .when(Self.revoke, by: .user(owner)).then(.tokenRevoked)
    #expect(workspace.serviceTokens[deployToken]?.revokedAt == Scenario.time(5))
    #expect(workspace.serviceTokens[deployToken]?.version == 3)
  }

  @Test func `access can always be taken away`() {
    given(.created, .ownerAdded, .tokenCreated(), .archived)
      .when(Self.revoke, by: .user(owner)).then(.tokenRevoked)
    given(.created, .ownerAdded, .tokenCreated())
      .when(Self.revoke, by: .user(owner), at: Self.expiry).then(.tokenRevoked)
    given(.created, .joined(admin, as: .admin), .tokenCreated(as: .billing))
      .when(Self.revoke, by: .user(admin)).then(.tokenRevoked)
  }

  // MARK: Folded

  @Test func `the fold stops at a second creation`() {
    given(.created, .ownerAdded, .tokenCreated()).thenCannotFold(.tokenCreated())
  }

  @Test(arguments: [WorkspaceEvent.tokenRotated(grace: expiry, until: expiry), .tokenRevoked])
  func `the fold stops at what happened to no token`(event: WorkspaceEvent) {
    given(.created, .ownerAdded).thenCannotFold(event)
  }
}
