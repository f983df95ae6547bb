import FoundationEssentials
import Support
import Testing

@testable import Domain

// Who else there is.

let admin = UserID(UUID(UInt128(5)))
let developer = UserID(UUID(UInt128(6)))
/// No member, unless a test makes them one.
let guest = UserID(UUID(UInt128(7)))

extension WorkspaceEvent {
  static func joined(_ id: UserID, as role: Role) -> Self {
    .member(.added(.init(userID: id, role: role)))
  }
  static func roleChanged(_ id: UserID, to role: Role) -> Self {
    .member(.roleChanged(.init(userID: id, role: role)))
  }
  static func removed(_ id: UserID) -> Self { .member(.removed(.init(userID: id))) }
}

@Suite struct MemberTests {
  // MARK: The last owner

  @Test(arguments: [
    MemberCommand.changeRole(owner, to: .admin), .changeRole(owner, to: .viewer), .remove(owner),
  ])
  func `the last owner neither steps down nor leaves`(command: MemberCommand) {
    given(.created, .ownerAdded, .joined(admin, as: .admin))
      .when(.member(command), by: .user(owner)).thenRejected(.lastOwner)
  }

  @Test(arguments: [WorkspaceEvent.roleChanged(admin, to: .admin), .removed(admin)])
  func `who was an owner once is no other owner`(event: WorkspaceEvent) {
    given(.created, .ownerAdded, .joined(admin, as: .owner), event)
      .when(.member(.remove(owner)), by: .user(owner)).thenRejected(.lastOwner)
  }

  @Test func `of two owners who leave, the second one stays`() {
    given(.created, .ownerAdded, .joined(admin, as: .owner))
      .when(.member(.remove(owner)), by: .user(owner)).then(.removed(owner))
    given(.created, .ownerAdded, .joined(admin, as: .owner), .removed(owner))
      .when(.member(.remove(admin)), by: .user(admin)).thenRejected(.lastOwner)
  }

  @Test func `of two owners who demote each other, the first one stays`() {
    given(.created, .ownerAdded, .joined(admin, as: .owner), .roleChanged(admin, to: .viewer))
      .when(.member(.changeRole(owner, to: .viewer)), by: .user(admin))
      .thenRejected(.roleNotYours(.owner))
  }

  // MARK: Refused

  @Test(arguments: [
    MemberCommand.changeRole(developer, to: .owner), .changeRole(admin, to: .owner),
    .changeRole(owner, to: .admin), .changeRole(owner, to: .viewer), .remove(owner),
    .transferOwnership(to: developer), .transferOwnership(to: admin),
  ])
  func `an admin neither makes nor demotes owners`(command: MemberCommand) {
    given(
      .created, .ownerAdded, .joined(admin, as: .admin), .joined(developer, as: .developer),
      .joined(guest, as: .owner)
    )
    .when(.member(command), by: .user(admin)).thenRejected(.roleNotYours(.owner))
  }

  @Test(arguments: Role.allCases, Role.allCases.filter { $0 != .viewer })
  func `nobody gives a role that may do what they may not`(giver: Role, role: Role) {
    let decision = given(
      .created, .ownerAdded, .joined(admin, as: giver), .joined(developer, as: .viewer)
    )
    .when(.member(.changeRole(developer, to: role)), by: .user(admin))
    if PermissionTests.grants[giver]?.contains(role) == true {
      decision.then(.roleChanged(developer, to: role))
    } else {
      decision.thenRejected(.roleNotYours(role))
    }
  }

  @Test(arguments: Role.allCases, Role.allCases.filter { $0 != .viewer })
  func `nobody takes a role that may do what they may not`(taker: Role, role: Role) {
    let decision = given(
      .created, .ownerAdded, .joined(admin, as: taker), .joined(developer, as: role)
    )
    .when(.member(.changeRole(developer, to: .viewer)), by: .user(admin))
    if PermissionTests.grants[taker]?.contains(role) == true {
      decision.then(.roleChanged(developer, to: .viewer))
    } else {
      decision.thenRejected(.roleNotYours(role))
    }
  }

  @Test(arguments: Role.allCases, Role.allCases)
  func `nobody removes who may do what they may not`(remover: Role, role: Role) {
    let decision = given(
      .created, .ownerAdded, .joined(admin, as: remover), .joined(developer, as: role)
    )
    .when(.member(.remove(developer)), by: .user(admin))
    if PermissionTests.grants[remover]?.contains(role) == true {
      decision.then(.removed(developer))
    } else {
      decision.thenRejected(.roleNotYours(role))
    }
  }

  /// An owner's id makes no owner of what is no user.
  @Test(arguments: [
    Actor.user(guest), .system, Actor(kind: .token, id: owner.uuid),
    Actor(kind: .gateway, id: owner.uuid),
  ])
  func `who has no role gives and takes none`(actor: Actor) {
    let scenario = given(.created, .ownerAdded, .joined(developer, as: .developer))
    scenario.when(.member(.changeRole(developer, to: .viewer)), by: actor)
      .thenRejected(.roleNotYours(.viewer))
    scenario.when(.member(.remove(developer)), by: actor).thenRejected(.roleNotYours(.developer))
    scenario.when(.member(.transferOwnership(to: developer)), by: actor)
      .thenRejected(.roleNotYours(.owner))
  }

  @Test(arguments: [
    MemberCommand.changeRole(guest, to: .viewer), .remove(guest), .transferOwnership(to: guest),
  ])
  func `who is no member is not found`(command: MemberCommand) {
    given(.created, .ownerAdded)
      .when(.member(command), by: .user(owner)).thenRejected(.notFound(.member))
    given(.created, .ownerAdded, .joined(guest, as: .viewer), .removed(guest))
      .when(.member(command), by: .user(owner)).thenRejected(.notFound(.member))
  }

  @Test(arguments: [
    MemberCommand.changeRole(owner, to: .viewer), .transferOwnership(to: owner),
  ])
  func `roles need an organization`(command: MemberCommand) {
    given().when(.member(command), by: .user(owner)).thenRejected(.notFound(.organization))
  }

  @Test(arguments: [
    MemberCommand.changeRole(admin, to: .viewer), .changeRole(admin, to: .admin),
    .transferOwnership(to: admin),
  ])
  func `no role changes in an archived organization`(command: MemberCommand) {
    given(.created, .ownerAdded, .joined(admin, as: .admin), .archived)
      .when(.member(command), by: .user(owner)).thenRejected(.archived(.organization))
  }

  // MARK: Repeated

  @Test(arguments: Role.allCases)
  func `giving somebody the role that they have yields nothing`(role: Role) {
    given(.created, .ownerAdded, .joined(admin, as: role))
      .when(.member(.changeRole(admin, to: role)), by: .user(owner)).thenNothing()
  }

  @Test func `the last owner may be made an owner again`() {
    given(.created, .ownerAdded)
      .when(.member(.changeRole(owner, to: .owner)), by: .user(owner)).thenNothing()
  }

  @Test func `handing the ownership over to oneself yields nothing`() {
    given(.created, .ownerAdded)
      .when(.member(.transferOwnership(to: owner)), by: .user(owner)).thenNothing()
  }

  @Test func `who has handed the ownership over cannot do it again`() {
    given(
      .created, .ownerAdded, .joined(admin, as: .admin), .roleChanged(admin, to: .owner),
      .roleChanged(owner, to: .admin)
    )
    .when(.member(.transferOwnership(to: admin)), by: .user(owner))
    .thenRejected(.roleNotYours(.owner))
  }

  // MARK: Accepted

  @Test func `a changed role is a new version of the same membership`() {
    let workspace = given(.created, .ownerAdded, .joined(developer, as: .developer))
      .when(.member(.changeRole(developer, to: .admin)), by: .user(owner))
      .then(.roleChanged(developer, to: .admin))
    #expect(
      workspace.members[developer]
        == Member(
          role: .admin, version: 4, createdAt: Scenario.time(3), updatedAt: Scenario.time(4)))
    #expect(workspace.version(of: .member(developer)) == 4)
    #expect(workspace.members[owner]?.version == 2)
    #expect(workspace.role(of: .user(developer)) == .admin)
  }

  @Test(arguments: Role.allCases)
  func `whoever is not the last owner may leave`(role: Role) {
    let workspace = given(.created, .ownerAdded, .joined(developer, as: role))
      .when(.member(.remove(developer)), by: .user(developer)).then(.removed(developer))
    #expect(workspace.members.mapValues(\.role) == [owner: .owner])
    #expect(workspace.role(of: .user(developer)) == nil)
  }

  @Test func `access can be taken away in an archived organization too`() {
    let scenario = given(.created, .ownerAdded, .joined(developer, as: .developer), .archived)
    scenario.when(.member(.remove(developer)), by: .user(owner)).then(.removed(developer))
    scenario.when(.member(.remove(developer)), by: .user(developer)).then(.removed(developer))
  }

  @Test func `an owner makes another one, and may step down then`() {
    given(.created, .ownerAdded, .joined(admin, as: .admin))
      .when(.member(.changeRole(admin, to: .owner)), by: .user(owner))
      .then(.roleChanged(admin, to: .owner))
    given(.created, .ownerAdded, .joined(admin, as: .owner))
      .when(.member(.changeRole(owner, to: .viewer)), by: .user(owner))
      .then(.roleChanged(owner, to: .viewer))
  }

  @Test func `who comes back never has a version that they had before`() {
    let workspace = given(
      .created, .ownerAdded, .joined(developer, as: .developer), .removed(developer),
      .joined(developer, as: .developer)
    ).workspace
    #expect(workspace.version(of: .member(developer)) == 5)
    #expect(workspace.members[developer]?.createdAt == Scenario.time(5))
  }

  @Test func `who hands the ownership over is an admin afterwards`() {
    let workspace = given(.created, .ownerAdded, .joined(developer, as: .developer))
      .when(.member(.transferOwnership(to: developer)), by: .user(owner))
      .then(.roleChanged(developer, to: .owner), .roleChanged(owner, to: .admin))
    #expect(workspace.members.mapValues(\.role) == [owner: .admin, developer: .owner])
  }

  @Test func `handing over to an owner only takes one's own`() {
    given(.created, .ownerAdded, .joined(admin, as: .owner))
      .when(.member(.transferOwnership(to: admin)), by: .user(owner))
      .then(.roleChanged(owner, to: .admin))
  }

  // MARK: Folded

  @Test func `the fold stops at a second membership`() {
    given(.created, .ownerAdded).thenCannotFold(.joined(owner, as: .viewer))
  }

  @Test(arguments: [WorkspaceEvent.roleChanged(guest, to: .admin), .removed(guest)])
  func `the fold stops at what happened to no member`(event: WorkspaceEvent) {
    given(.created, .ownerAdded).thenCannotFold(event)
  }
}
