/// Everything that can be asked of a workspace. A feature's commands are in the feature's folder.
package enum WorkspaceCommand: Equatable, Sendable {
  case organization(OrganizationCommand)
  case member(MemberCommand)
  case invitation(InvitationCommand)
  case serviceToken(ServiceTokenCommand)
  case project(ProjectCommand)
  case rule(RuleCommand)
  case apiKey(APIKeyCommand)
  case providerKey(ProviderKeyCommand)
  case webhookEndpoint(WebhookEndpointCommand)
  case plan(PlanCommand)
  case onboarding(OnboardingCommand)
  case account(AccountCommand)
  case gatewayToken(GatewayTokenCommand)
  case credits(CreditsCommand)
  case usage(UsageCommand)
  case billing(BillingCommand)

  /// What the command is about: an expected version is that entity's.
  package func entity(in organization: OrganizationID) -> Entity {
    switch self {
    case .organization, .plan, .onboarding, .billing: .organization(organization)
    case .member(let command): .member(command.userID)
    case .invitation(let command): .invitation(command.invitationID)
    case .serviceToken(let command): .serviceToken(command.tokenID)
    case .project(let command): .project(command.projectID)
    case .rule(let command): command.entity
    case .apiKey(let command): .apiKey(command.keyID)
    case .providerKey(let command): .providerKey(command.keyID)
    case .webhookEndpoint(let command): .webhookEndpoint(command.endpointID)
    case .account(let command): command.entity(in: organization)
    case .gatewayToken(let command): .gatewayToken(command.tokenID)
    case .credits, .usage: .credits(organization)
    }
  }

  /// A slug that must be free, or this organization's own, for the command to be carried out.
  package var claimedSlug: String? {
    switch self {
    case .organization(let command): command.claimedSlug
    case .member, .invitation, .serviceToken, .project, .rule, .apiKey, .providerKey,
      .webhookEndpoint, .plan,
      .onboarding, .account, .gatewayToken, .credits, .usage, .billing:
      nil
    }
  }
}

extension WorkspaceCommand {
  /// The reports that it records, each of which must not have been recorded yet.
  package var usageReports: [UsageReport] {
    if case .usage(.record(let reports)) = self { reports } else { [] }
  }
}

extension Workspace {
  /// Decides what happens when this is asked: pure, and asking again after it happened yields no events.
  package func decide(
    _ command: WorkspaceCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    let events =
      switch command {
      case .organization(let command): try Organization.decide(organization, command, in: context)
      case .member(let command): try decide(command, in: context)
      case .invitation(let command): try decide(command, in: context)
      case .serviceToken(let command): try decide(command, in: context)
      case .project(let command): try decide(command, in: context)
      case .rule(let command): try decide(command, in: context)
      case .apiKey(let command): try decide(command, in: context)
      case .providerKey(let command): try decide(command, in: context)
      case .webhookEndpoint(let command): try decide(command, in: context)
      case .plan(let command): try decide(command, in: context)
      case .onboarding(let command): try decide(command)
      case .account(let command): try decide(command)
      case .gatewayToken(let command): try decide(command)
      case .credits(let command): try decide(command, in: context)
      case .usage(let command): try decide(command, in: context)
      case .billing(let command): try decide(command, in: context)
      }
    return events + onboardingProgress(after: events)
  }
}
