/// Something that a caller may be allowed to do in a workspace. The raw values are the contract's names.
package enum Permission: String, Sendable, CaseIterable {
  case organizationRead = "organization:read"
  case organizationWrite = "organization:write"
  case organizationArchive = "organization:archive"
  case ownershipTransfer = "ownership:transfer"
  case memberRead = "member:read"
  case memberWrite = "member:write"
  case invitationRead = "invitation:read"
  case invitationWrite = "invitation:write"
  case serviceTokenRead = "service_token:read"
  case serviceTokenWrite = "service_token:write"
  case projectRead = "project:read"
  case projectWrite = "project:write"
  case panicModeWrite = "panic_mode:write"
  case ruleRead = "rule:read"
  case ruleWrite = "rule:write"
  case apiKeyRead = "api_key:read"
  case apiKeyWrite = "api_key:write"
  case providerKeyRead = "provider_key:read"
  case providerKeyWrite = "provider_key:write"
  case webhookRead = "webhook:read"
  case webhookWrite = "webhook:write"
  case onboardingWrite = "onboarding:write"
  case planWrite = "plan:write"
  case auditRead = "audit:read"
  case eventRead = "event:read"
  case requestLogRead = "request_log:read"
  case usageRead = "usage:read"
  case creditsRead = "credits:read"
  case billingWrite = "billing:write"

  /// The roles that have it: the one table that the check, `GET /v1/roles` and the tests go by.
  package var roles: [Role] {
    switch self {
    case .organizationRead, .memberRead, .projectRead, .ruleRead, .apiKeyRead, .providerKeyRead,
      .webhookRead, .auditRead, .requestLogRead, .eventRead, .usageRead, .creditsRead:
      Role.allCases
    case .organizationWrite, .memberWrite, .invitationRead, .invitationWrite, .serviceTokenRead,
      .serviceTokenWrite:
      [.owner, .admin]
    case .organizationArchive, .ownershipTransfer: [.owner]
    case .projectWrite, .panicModeWrite, .ruleWrite, .apiKeyWrite, .providerKeyWrite,
      .webhookWrite, .onboardingWrite:
      [.owner, .admin, .developer]
    case .planWrite, .billingWrite: [.owner, .billing]
    }
  }

  /// Whether a token that is bound to projects can have it: it is about one of them, or tells where they are.
  package var isAboutProjects: Bool {
    switch self {
    case .organizationRead, .projectRead, .projectWrite, .panicModeWrite, .ruleRead, .ruleWrite,
      .apiKeyRead, .apiKeyWrite, .providerKeyRead, .providerKeyWrite, .requestLogRead:
      true
    case .organizationWrite, .organizationArchive, .ownershipTransfer,
      .memberRead, .memberWrite, .invitationRead, .invitationWrite, .serviceTokenRead,
      .serviceTokenWrite, .webhookRead, .webhookWrite, .onboardingWrite, .planWrite, .auditRead,
      .eventRead, .usageRead, .creditsRead, .billingWrite:
      false
    }
  }
}
