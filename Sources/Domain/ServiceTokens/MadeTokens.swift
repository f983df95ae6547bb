/// The tokens of a person who loses something: a token keeps working when its maker leaves, so that pipelines go on, and
/// those who see to access have to know.
extension Workspace {
  /// The tokens that a person made, or whose present secret they were shown, newest first, without those that have expired
  /// or were revoked before this moment.
  package func serviceTokens(
    madeBy maker: UserID, at time: Timestamp
  ) -> [(id: ServiceTokenID, token: ServiceToken)] {
    serviceTokens.filter { _, token in
      [token.createdBy, token.rotatedBy].contains(.user(maker)) && token.expiresAt > time
        && token.revokedAt.map { $0 >= time } ?? true
    }
    .sorted { $0.key.uuid > $1.key.uuid }
    .map { (id: $0.key, token: $0.value) }
  }

  /// Those of them that may do what this role may not.
  package func serviceTokens(
    madeBy maker: UserID, strongerThan role: Role, at time: Timestamp
  ) -> [(id: ServiceTokenID, token: ServiceToken)] {
    serviceTokens(madeBy: maker, at: time).filter { !role.mayGrant($0.token.role) }
  }

  /// What ends them.
  func revocations(
    of tokens: [(id: ServiceTokenID, token: ServiceToken)]
  ) -> [WorkspaceEvent] {
    tokens.filter { $0.token.revokedAt == nil }
      .map { .serviceToken(.revoked(.init(tokenID: $0.id))) }
  }
}
