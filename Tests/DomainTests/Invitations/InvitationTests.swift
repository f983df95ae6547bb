import FoundationEssentials
import Support
import Testing

@testable import Domain

// Whoever is invited.

let firstInvitation = InvitationID(UUID(UInt128(8)))
let secondInvitation = InvitationID(UUID(UInt128(9)))
let thirdInvitation = InvitationID(UUID(UInt128(10)))
let guestSubject = DataSubjectID(UUID(UInt128(11)))
let secondSubject = DataSubjectID(UUID(UInt128(12)))
let thirdSubject = DataSubjectID(UUID(UInt128(13)))

extension WorkspaceEvent {
  /// Made at this time, which is when the third event happens, and good for seven days.
  static func invited(
    _ id: InvitationID = firstInvitation, _ subject: DataSubjectID = guestSubject,
    as role: Role = .developer, at time: Timestamp = Scenario.time(3)
  ) -> Self {
    .invitation(
      .created(
        .init(
          invitationID: id, role: role, subjectID: subject, email: SealedText("sealed"),
          tokenHash: SecretHash("hash"), expiresAt: time.advanced(by: InvitationTests.sevenDays))))
  }
  static func resent(_ hash: String, at time: Timestamp) -> Self {
    .invitation(
      .resent(
        .init(
          invitationID: firstInvitation, tokenHash: SecretHash(hash),
          expiresAt: time.advanced(by: InvitationTests.sevenDays))))
  }
  static let invitationRevoked = Self.invitation(.revoked(.init(invitationID: firstInvitation)))
  static let invitationDeclined = Self.invitation(.declined(.init(invitationID: firstInvitation)))
  static let invitationAccepted = Self.invitation(
    .accepted(.init(invitationID: firstInvitation, userID: guest)))
}

@Suite struct InvitationTests {
  /// In microseconds.
  static let sevenDays: Int64 = 604_800_000_000
  /// When the invitation that the third event made is not good any more.
  static let expiry = Scenario.time(3).advanced(by: sevenDays)
  static let lastMoment = expiry.advanced(by: -1)

  static func create(
    _ id: InvitationID = firstInvitation, _ subject: DataSubjectID = guestSubject,
    as role: Role = .developer, userID: UserID? = nil
  ) -> WorkspaceCommand {
    .invitation(
      .create(
        id, role: role, subject: subject, email: "sealed", tokenHash: "hash", userID: userID))
  }
  static func accept(_ hash: String = "hash") -> WorkspaceCommand {
    .invitation(.accept(firstInvitation, tokenHash: hash, by: guest))
  }
  static func decline(_ hash: String = "hash") -> WorkspaceCommand {
    .invitation(.decline(firstInvitation, tokenHash: hash))
  }
  static func resend(userID: UserID?) -> WorkspaceCommand {
    .invitation(.resend(firstInvitation, tokenHash: "new", userID: userID))
  }
  static let resend = resend(userID: nil)
  static let revoke = WorkspaceCommand.invitation(.revoke(firstInvitation))
  static let changes = [accept(), decline(), resend, revoke]
  static let closings: [(WorkspaceEvent, Invitation.Status)] = [
    (.invitationAccepted, .accepted), (.invitationDeclined, .declined),
    (.invitationRevoked, .revoked),
  ]
  static let full = LimitExceeded(
    limit: .members, allowed: 3, usage: 3, plan: .free, upgrade: .plus)

  // MARK: Refused

  @Test(arguments: changes)
  func `another workspace's invitation is not found`(command: WorkspaceCommand) {
    given(.created, .ownerAdded).when(command, by: .user(owner))
      .thenRejected(.notFound(.invitation))
  }

  @Test(arguments: changes + [create()])
  func `invitations need an organization that is in use`(command: WorkspaceCommand) {
    given().when(command, by: .user(owner)).thenRejected(.notFound(.organization))
    given(.created, .ownerAdded, .invited(), .archived).when(command, by: .user(owner))
      .thenRejected(.archived(.organization))
  }

  @Test(arguments: Role.allCases, Role.allCases)
  func `nobody offers a role that may do what they may not`(giver: Role, role: Role) {
    let decision = given(.created, .ownerAdded, .joined(admin, as: giver))
      .when(Self.create(as: role), by: .user(admin))
    if PermissionTests.grants[giver]?.contains(role) == true {
      decision.then(.invited(as: role, at: Scenario.time(4)))
    } else {
      decision.thenRejected(.roleNotYours(role))
    }
  }

  @Test(arguments: [Role.owner, .billing])
  func `an admin does not offer again what they could not have offered`(role: Role) {
    given(.created, .joined(admin, as: .admin), .invited(as: role))
      .when(Self.resend, by: .user(admin)).thenRejected(.roleNotYours(role))
  }

  @Test func `a member's address is not invited`() {
    given(.created, .ownerAdded, .joined(guest, as: .viewer))
      .when(Self.create(userID: guest), by: .user(owner)).thenRejected(.alreadyMember)
  }

  @Test func `an address has one open invitation at most`() {
    let scenario = given(.created, .ownerAdded, .invited())
    scenario.when(Self.create(secondInvitation), by: .user(owner)).thenRejected(.alreadyInvited)
    scenario.when(Self.create(secondInvitation, as: .viewer), by: .user(owner), at: Self.lastMoment)
      .thenRejected(.alreadyInvited)
  }

  @Test(arguments: ["", "other", "HASH", "hash "])
  func `another token opens nothing`(hash: String) {
    let scenario = given(.created, .ownerAdded, .invited())
    scenario.when(Self.accept(hash), by: .user(guest)).thenRejected(.notFound(.invitation))
    scenario.when(Self.decline(hash), by: .user(guest)).thenRejected(.notFound(.invitation))
  }

  @Test func `the token before the last mail opens nothing`() {
    let scenario = given(.created, .ownerAdded, .invited(), .resent("new", at: Scenario.time(4)))
    scenario.when(Self.accept("hash"), by: .user(guest)).thenRejected(.notFound(.invitation))
    scenario.when(Self.decline("hash"), by: .user(guest)).thenRejected(.notFound(.invitation))
    scenario.when(Self.accept("new"), by: .user(guest))
      .then(.invitationAccepted, .joined(guest, as: .developer))
  }

  @Test(arguments: [accept(), decline()])
  func `after seven days it is too late`(command: WorkspaceCommand) {
    let scenario = given(.created, .ownerAdded, .invited())
    for late: Int64 in [0, 1, Self.sevenDays] {
      scenario.when(command, by: .user(guest), at: Self.expiry.advanced(by: late))
        .thenRejected(.invitationClosed(.expired))
    }
  }

  @Test(arguments: closings)
  func `what is closed stays closed`(event: WorkspaceEvent, status: Invitation.Status) {
    let scenario = given(.created, .ownerAdded, .invited(), event)
    for command in [Self.accept(), Self.decline(), Self.resend] {
      for time in [Scenario.time(5), Self.expiry] {
        scenario.when(command, by: .user(owner), at: time).thenRejected(.invitationClosed(status))
      }
    }
  }

  @Test(arguments: closings.filter { $0.1 != .revoked })
  func `what was answered cannot be revoked`(event: WorkspaceEvent, status: Invitation.Status) {
    given(.created, .ownerAdded, .invited(), event)
      .when(Self.revoke, by: .user(owner)).thenRejected(.invitationClosed(status))
  }

  @Test func `a member cannot join again`() {
    given(.created, .ownerAdded, .invited(), .joined(guest, as: .viewer))
      .when(Self.accept(), by: .user(guest)).thenRejected(.alreadyMember)
  }

  @Test func `an expired one is not sent again beside a newer one for the same address`() {
    given(.created, .ownerAdded, .invited(), .invited(secondInvitation, at: Self.expiry))
      .when(Self.resend, by: .user(owner), at: Self.expiry).thenRejected(.alreadyInvited)
  }

  @Test func `an expired one is not sent again to a member`() {
    given(.created, .ownerAdded, .invited(), .joined(guest, as: .viewer))
      .when(Self.resend(userID: guest), by: .user(owner), at: Self.expiry)
      .thenRejected(.alreadyMember)
  }

  // MARK: Limited

  @Test func `pending invitations count as members`() {
    given(.created, .ownerAdded, .invited(), .invited(secondInvitation, secondSubject))
      .when(Self.create(thirdInvitation, thirdSubject), by: .user(owner))
      .thenRejected(.limitExceeded(Self.full))
  }

  @Test func `one that expires makes room at that very moment`() {
    let scenario = given(
      .created, .ownerAdded, .invited(),
      .invited(secondInvitation, secondSubject, at: Scenario.time(4)))
    let third = Self.create(thirdInvitation, thirdSubject)
    scenario.when(third, by: .user(owner), at: Self.lastMoment)
      .thenRejected(.limitExceeded(Self.full))
    scenario.when(third, by: .user(owner), at: Self.expiry)
      .then(.invited(thirdInvitation, thirdSubject, at: Self.expiry))
  }

  @Test(arguments: [WorkspaceEvent.invitationRevoked, .invitationDeclined])
  func `one that came to nothing makes room`(event: WorkspaceEvent) {
    given(.created, .ownerAdded, .invited(), .invited(secondInvitation, secondSubject), event)
      .when(Self.create(thirdInvitation, thirdSubject), by: .user(owner))
      .then(.invited(thirdInvitation, thirdSubject, at: Scenario.time(6)))
  }

  @Test func `an accepted one counts once, as the member`() {
    let scenario = given(
      .created, .ownerAdded, .invited(), .invitationAccepted, .joined(guest, as: .developer))
    #expect(scenario.workspace.usage(of: .members, at: Scenario.time(6)) == 2)
    scenario.when(Self.create(secondInvitation, secondSubject), by: .user(owner))
      .then(.invited(secondInvitation, secondSubject, at: Scenario.time(6)))
  }

  @Test func `accepting needs no more room than the invitation had`() {
    let workspace = given(
      .created, .ownerAdded, .invited(), .invited(secondInvitation, secondSubject)
    )
    .when(Self.accept(), by: .user(guest))
    .then(.invitationAccepted, .joined(guest, as: .developer))
    #expect(workspace.usage(of: .members, at: Scenario.time(7)) == 3)
  }

  @Test func `sending again needs room only for what has lost its place`() {
    let scenario = given(
      .created, .ownerAdded, .joined(admin, as: .admin), .invited(at: Scenario.time(3)))
    scenario.when(Self.resend, by: .user(owner), at: Self.lastMoment)
      .then(.resent("new", at: Self.lastMoment))
    scenario.when(Self.resend, by: .user(owner), at: Self.expiry)
      .then(.resent("new", at: Self.expiry))
    given(
      .created, .ownerAdded, .invited(), .joined(admin, as: .admin),
      .invited(secondInvitation, secondSubject, at: Scenario.time(600_000))
    )
    .when(Self.resend, by: .user(owner), at: Self.expiry)
    .thenRejected(.limitExceeded(Self.full))
  }

  // MARK: Repeated

  @Test func `inviting again with the same id yields nothing`() {
    given(.created, .ownerAdded, .invited()).when(Self.create(), by: .user(owner)).thenNothing()
  }

  @Test func `revoking again yields nothing`() {
    given(.created, .ownerAdded, .invited(), .invitationRevoked)
      .when(Self.revoke, by: .user(owner)).thenNothing()
  }

  // MARK: Accepted

  @Test func `an invitation is good for seven days to the microsecond`() throws {
    let workspace = given(.created, .ownerAdded)
      .when(Self.create(), by: .user(owner)).then(.invited())
    let made = try #require(workspace.invitations[firstInvitation])
    #expect(
      made
        == Invitation(
          role: .developer, subjectID: guestSubject, email: "sealed", tokenHash: "hash",
          expiresAt: Self.expiry, status: .pending, invitedBy: Scenario.actor, version: 1,
          createdAt: Scenario.time(3), updatedAt: Scenario.time(3)))
    #expect(made.status(at: Self.lastMoment) == .pending)
    #expect(made.status(at: Self.expiry) == .expired)
  }

  @Test func `at the last moment it can still be accepted or declined`() {
    let scenario = given(.created, .ownerAdded, .invited())
    scenario.when(Self.accept(), by: .user(guest), at: Self.lastMoment)
      .then(.invitationAccepted, .joined(guest, as: .developer))
    scenario.when(Self.decline(), by: .user(guest), at: Self.lastMoment)
      .then(.invitationDeclined)
  }

  @Test(arguments: Role.allCases)
  func `who accepts has the role that was offered`(role: Role) {
    let workspace = given(.created, .ownerAdded, .invited(as: role))
      .when(Self.accept(), by: .user(guest))
      .then(.invitationAccepted, .joined(guest, as: role))
    #expect(workspace.members[guest]?.role == role)
    #expect(workspace.invitations[firstInvitation]?.status == .accepted)
    #expect(workspace.invitations[firstInvitation]?.version == 2)
  }

  @Test func `who declines is no member`() {
    let workspace = given(.created, .ownerAdded, .invited())
      .when(Self.decline(), by: .user(guest)).then(.invitationDeclined)
    #expect(workspace.members[guest] == nil)
    #expect(workspace.invitations[firstInvitation]?.status == .declined)
  }

  @Test(arguments: [WorkspaceEvent.invitationRevoked, .invitationDeclined])
  func `an address whose invitation came to nothing is invited again`(event: WorkspaceEvent) {
    given(.created, .ownerAdded, .invited(), event)
      .when(Self.create(secondInvitation), by: .user(owner))
      .then(.invited(secondInvitation, at: Scenario.time(5)))
  }

  @Test func `an address whose invitation has expired is invited again`() {
    given(.created, .ownerAdded, .invited())
      .when(Self.create(secondInvitation), by: .user(owner), at: Self.expiry)
      .then(.invited(secondInvitation, at: Self.expiry))
  }

  @Test func `who has left is invited again`() {
    given(.created, .ownerAdded, .joined(guest, as: .viewer), .removed(guest))
      .when(Self.create(userID: guest), by: .user(owner))
      .then(.invited(at: Scenario.time(5)))
  }

  @Test func `sending again opens an expired one for seven more days`() {
    let time = Self.expiry.advanced(by: 5)
    let workspace = given(.created, .ownerAdded, .invited())
      .when(Self.resend, by: .user(owner), at: time).then(.resent("new", at: time))
    let sent = workspace.invitations[firstInvitation]
    #expect(sent?.tokenHash == "new")
    #expect(sent?.version == 2)
    #expect(sent?.status(at: time.advanced(by: Self.sevenDays - 1)) == .pending)
    #expect(sent?.status(at: time.advanced(by: Self.sevenDays)) == .expired)
  }

  @Test(arguments: [lastMoment, expiry])
  func `what is open or has expired can be revoked`(time: Timestamp) {
    let workspace = given(.created, .ownerAdded, .invited())
      .when(Self.revoke, by: .user(owner), at: time).then(.invitationRevoked)
    #expect(workspace.invitations[firstInvitation]?.status(at: time) == .revoked)
  }

  // MARK: Folded

  @Test func `the fold stops at a second creation`() {
    given(.created, .ownerAdded, .invited()).thenCannotFold(.invited())
  }

  @Test(arguments: [
    WorkspaceEvent.invitationAccepted, .invitationDeclined, .invitationRevoked,
    .resent("new", at: Scenario.time(3)),
  ])
  func `the fold stops at what happened to no invitation`(event: WorkspaceEvent) {
    given(.created, .ownerAdded).thenCannotFold(event)
  }
}
