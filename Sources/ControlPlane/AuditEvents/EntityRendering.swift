import Domain
import JSON

extension Workspace {
  /// What an event happens to, as the audit shows it before and after: bounded, however much the event touches.
  func audited(_ event: WorkspaceEvent, in id: OrganizationID) -> JSONObject? {
    switch event {
    case .ruleSet(.replaced(let event)):
      projects[event.projectID].map { _ in RulePayloads.audited(event, rules, in: id) }
    case .organization, .member, .invitation, .serviceToken, .project, .rule, .apiKey, .providerKey,
      .webhookEndpoint, .plan, .onboarding, .account, .gatewayToken, .credits, .usage, .billing:
      json(of: event.entity(in: id), in: id)
    }
  }

  /// One entity as callers see it; nil while it does not exist. The audit's before and after.
  func json(of entity: Entity, in id: OrganizationID) -> JSONObject? {
    switch entity {
    case .organization: organizationJSON(id: id)
    case .member(let userID): members[userID]?.json(userID: userID)
    case .invitation(let invitationID):
      invitations[invitationID]?.json(id: invitationID, organizationID: id)
    case .serviceToken(let tokenID):
      serviceTokens[tokenID]?.json(id: tokenID, organizationID: id)
    case .project(let projectID):
      projects[projectID]?.json(id: projectID, organizationID: id)
    case .rule(let ruleID): rules[ruleID]?.json(id: ruleID, organizationID: id)
    case .ruleSet(let projectID):
      projects[projectID].map { _ in RulePayloads.set(rules(of: projectID), in: id) }
    case .apiKey(let keyID): apiKeys[keyID]?.json(id: keyID, organizationID: id)
    case .providerKey(let keyID): providerKeys[keyID]?.json(id: keyID, organizationID: id)
    case .webhookEndpoint(let endpointID):
      webhookEndpoints[endpointID]?.json(id: endpointID, organizationID: id)
    case .account(let userID): account?.json(userID: userID)
    case .personalAccessToken(let tokenID): account?.tokens[tokenID]?.json(id: tokenID)
    case .gatewayToken(let tokenID): gatewayTokens[tokenID]?.json(id: tokenID)
    case .credits: organization.map { _ in credits.json }
    case .creditPurchase(let purchaseID):
      credits.purchases[purchaseID].map {
        CreditPurchaseRow(organizationID: id, id: purchaseID, $0).json
      }
    case .usage(let projectID, let period):
      usage.months[period]?.projects[projectID]?.json(projectID: projectID, period: period)
    }
  }
}
