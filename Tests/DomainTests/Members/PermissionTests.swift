import Testing

@testable import Domain

@Suite struct PermissionTests {
  /// The whole table, once more and by hand: whoever changes what a role may do changes it here too.
  static let table: [(Permission, Set<Role>)] = [
    (.organizationRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.organizationWrite, [.owner, .admin]),
    (.organizationArchive, [.owner]),
    (.projectRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.projectWrite, [.owner, .admin, .developer]),
    (.panicModeWrite, [.owner, .admin, .developer]),
    (.auditRead, [.owner, .admin, .developer, .billing, .viewer]),
    (.eventRead, [.owner, .admin, .developer, .billing, .viewer]),
  ]

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

  @Test func `stored names do not change`() {
    #expect(Role.allCases.map(\.rawValue) == ["owner", "admin", "developer", "billing", "viewer"])
  }
}
