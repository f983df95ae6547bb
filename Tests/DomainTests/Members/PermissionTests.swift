import Testing

@testable import Domain

@Suite struct PermissionTests {
  /// The whole table, once more and by hand: whoever changes what a role may do changes it here too.
  static let table: [(Permission, Set<Role>)] = [
    (.organizationRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.organizationWrite, [.owner, .admin]),
    (.organizationArchive, [.owner]),
    (.ownershipTransfer, [.owner]),
    (.memberRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.memberWrite, [.owner, .admin]),
    (.invitationRead, [.owner, .admin]),
    (.invitationWrite, [.owner, .admin]),
    (.serviceTokenRead, [.owner, .admin]),
    (.serviceTokenWrite, [.owner, .admin]),
    (.projectRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.projectWrite, [.owner, .admin, .developer]),
    (.panicModeWrite, [.owner, .admin, .developer]),
    (.ruleRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.ruleWrite, [.owner, .admin, .developer]),
    (.apiKeyRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.apiKeyWrite, [.owner, .admin, .developer]),
    (.providerKeyRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.providerKeyWrite, [.owner, .admin, .developer]),
    (.webhookRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.webhookWrite, [.owner, .admin, .developer]),
    (.onboardingWrite, [.owner, .admin, .developer]),
    (.planWrite, [.owner, .billing]),
    (.auditRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.eventRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.requestLogRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.usageRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.creditsRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.billingWrite, [.owner, .billing]),
  ]

  /// Which roles somebody with a role may give and take, by hand too.
  static let grants: [Role: Set<Role>] = [
    .owner: [.owner, .admin, .developer, .billing, .viewer],
    .admin: [.admin, .developer, .viewer],
    .developer: [.developer, .viewer],
    .billing: [.billing, .viewer],
    .viewer: [.viewer],
  ]

  @Test func `no permission is missing in the table`() {
    #expect(Self.table.map { $0.0 } == Permission.allCases)
  }

  @Test(arguments: table)
  func `a role may do what the table says and nothing else`(
    permission: Permission, roles: Set<Role>
  ) {
    for role in Role.allCases {
      #expect(role.may(permission) == roles.contains(role), "\(role) \(permission)")
    }
  }

  @Test(arguments: Permission.allCases)
  func `the owner may do everything`(permission: Permission) {
    #expect(Role.owner.may(permission))
  }

  @Test(arguments: Permission.allCases)
  func `a viewer only reads`(permission: Permission) {
    let isForManagers = [.invitationRead, .serviceTokenRead].contains(permission)
    #expect(
      Role.viewer.may(permission) == (permission.rawValue.hasSuffix(":read") && !isForManagers))
  }

  @Test(arguments: Role.allCases, Role.allCases)
  func `nobody gives away what they may not do`(giver: Role, role: Role) {
    #expect(giver.mayGrant(role) == Self.grants[giver]?.contains(role))
  }

  @Test func `stored names do not change`() {
    #expect(Role.allCases.map(\.rawValue) == ["owner", "admin", "developer", "billing", "viewer"])
  }
}
