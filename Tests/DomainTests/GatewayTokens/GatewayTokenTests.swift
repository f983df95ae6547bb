import FoundationEssentials
import Support
import Testing

@testable import Domain

let edgeToken = GatewayTokenID(UUID(UInt128(41)))

extension WorkspaceEvent {
  static func gatewayTokenCreated(
    _ id: GatewayTokenID = edgeToken, until expiry: Timestamp? = nil
  ) -> Self {
    .gatewayToken(
      .created(.init(tokenID: id, name: "edge-1", secret: firstSecret, expiresAt: expiry)))
  }
  static let gatewayTokenRevoked = Self.gatewayToken(.revoked(.init(tokenID: edgeToken)))
}

@Suite struct GatewayTokenTests {
  static func create(_ id: GatewayTokenID = edgeToken) -> WorkspaceCommand {
    .gatewayToken(.create(id, name: "edge-1", secret: firstSecret, expiresAt: nil))
  }
  static let revoke = WorkspaceCommand.gatewayToken(.revoke(edgeToken))

  // MARK: Refused

  @Test(arguments: [create(), revoke])
  func `nobody makes a gateway's token in a workspace or an account`(command: WorkspaceCommand) {
    given(.created, .ownerAdded).when(command, by: .user(owner))
      .thenRejected(.notFound(.gatewayToken))
    given(.account(.erased(.init()))).when(command, by: .user(owner))
      .thenRejected(.notFound(.gatewayToken))
  }

  @Test(arguments: [
    Actor.user(owner), Actor(kind: .token, id: owner.uuid), Actor(kind: .gateway, id: owner.uuid),
  ])
  func `nobody but the platform has any business with gateways' tokens`(actor: Actor) {
    let platform = given(.gatewayTokenCreated()).workspace
    #expect(!platform.admits(actor, for: Self.create()))
    #expect(!platform.admits(actor, for: Self.revoke))
    #expect(platform.admits(.system, for: Self.revoke))
  }

  @Test func `an unknown token is not revoked`() {
    given().when(Self.revoke).thenRejected(.notFound(.gatewayToken))
  }

  @Test func `there are no more than a thousand that are not revoked`() throws {
    var workspace = Workspace()
    for number in 0..<1000 {
      try workspace.fold(.gatewayTokenCreated(GatewayTokenID(UUID(UInt128(1000 + number)))))
    }
    func decide() -> Result<[WorkspaceEvent], Rejection> {
      Result { () throws(Rejection) in
        try workspace.decide(
          Self.create(),
          in: CommandContext(
            actor: Scenario.actor, time: Scenario.time(2000), plans: .standard))
      }
    }
    #expect(decide() == .failure(.tooManyTokens(1000)))
    try workspace.fold(
      .gatewayToken(.revoked(.init(tokenID: GatewayTokenID(UUID(UInt128(1000)))))))
    #expect(decide() == .success([.gatewayTokenCreated()]))
  }

  // MARK: Repeated

  @Test func `creating or revoking again yields nothing`() {
    given(.gatewayTokenCreated()).when(Self.create()).thenNothing()
    given(.gatewayTokenCreated(), .gatewayTokenRevoked).when(Self.create()).thenNothing()
    given(.gatewayTokenCreated(), .gatewayTokenRevoked).when(Self.revoke).thenNothing()
  }

  // MARK: Accepted

  @Test func `a token is made, and revoked`() {
    let made = given().when(Self.create()).then(.gatewayTokenCreated())
    #expect(
      made.gatewayTokens[edgeToken]
        == GatewayToken(
          name: "edge-1", secret: firstSecret, expiresAt: nil, createdBy: Scenario.actor,
          version: 1, createdAt: Scenario.time(1)))
    let revoked = given(.gatewayTokenCreated()).when(Self.revoke).then(.gatewayTokenRevoked)
    #expect(revoked.gatewayTokens[edgeToken]?.revokedAt == Scenario.time(2))
    #expect(revoked.version(of: .gatewayToken(edgeToken)) == 2)
  }

  // MARK: Folded

  @Test func `the fold stops at what cannot have happened`() {
    given(.gatewayTokenCreated()).thenCannotFold(.gatewayTokenCreated())
    given().thenCannotFold(.gatewayTokenRevoked)
  }

  @Test func `the platform's stream has the id that row security knows`() {
    #expect(
      "\(OrganizationID.platform.uuid)".lowercased() == "7369676e-616c-626f-782e-73797374656d")
  }
}
