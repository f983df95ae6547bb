extension Workspace {
  /// Whether somebody has any business here: what they may do is asked before, and by others. A second lock, that holds
  /// when the first was left open.
  package func admits(_ actor: Actor, for command: WorkspaceCommand) -> Bool {
    switch command {
    case .account: return true
    // Only platform admins, whom nobody asks here.
    case .gatewayToken: return actor.kind == .system
    // What providers and gateways tell is told on by the system.
    case .credits, .usage, .billing: return actor.kind == .system
    // Whoever holds the token that was sent is no member yet.
    case .invitation(.accept), .invitation(.decline): return true
    case .organization, .project, .rule, .apiKey, .providerKey, .webhookEndpoint, .member,
      .invitation, .serviceToken, .plan, .onboarding:
      break
    }
    guard organization != nil, let id = actor.id else { return true }
    return switch actor.kind {
    case .user: members[UserID(id)] != nil
    case .token: serviceTokens[ServiceTokenID(id)] != nil
    case .gateway: false
    case .system: true
    }
  }
}
