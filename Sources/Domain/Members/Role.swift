/// What a member of a workspace may do. The raw values are stored.
package enum Role: String, Sendable, Codable, CaseIterable {
  case owner, admin, developer, billing, viewer

  /// Whether members with this role may do it.
  package func may(_ permission: Permission) -> Bool {
    permission.roles.contains(self)
  }

  /// Whether whoever has this role may give the other one to somebody: nobody gives away what they may not do themselves.
  package func mayGrant(_ other: Role) -> Bool {
    Permission.allCases.allSatisfy { !other.may($0) || may($0) }
  }
}
