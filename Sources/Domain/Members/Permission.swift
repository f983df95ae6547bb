/// Something that a caller may be allowed to do in a workspace. The raw values are the contract's names.
package enum Permission: String, Sendable, CaseIterable {
  case organizationRead = "organization:read"
  case organizationWrite = "organization:write"
  case organizationArchive = "organization:archive"
  case projectRead = "project:read"
  case projectWrite = "project:write"
  case panicModeWrite = "panic_mode:write"
  case auditRead = "audit:read"
  case eventRead = "event:read"

  /// The roles that have it: the one table that both the check and the tests go by.
  package var roles: [Role] {
    switch self {
    case .organizationRead, .projectRead, .auditRead, .eventRead: Role.allCases
    case .organizationWrite: [.owner, .admin]
    case .organizationArchive: [.owner]
    case .projectWrite, .panicModeWrite: [.owner, .admin, .developer]
    }
  }
}

extension Role {
  /// Whether members with this role may do it.
  package func may(_ permission: Permission) -> Bool {
    permission.roles.contains(self)
  }
}
