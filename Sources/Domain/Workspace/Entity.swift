package import FoundationEssentials

/// Something in a workspace that events happen to: the audit's target, and the unit in which rows are written.
package enum Entity: Hashable, Sendable {
  case organization(OrganizationID)
  case member(UserID)
  case invitation(InvitationID)
  case serviceToken(ServiceTokenID)
  case project(ProjectID)
  case rule(RuleID)
  /// All rules of a project together, as they are replaced; its version only tells one set from another.
  case ruleSet(ProjectID)
  case apiKey(APIKeyID)
  case providerKey(ProviderKeyID)
  case webhookEndpoint(WebhookEndpointID)
  case account(UserID)
  case personalAccessToken(PersonalAccessTokenID)
  case gatewayToken(GatewayTokenID)
  /// What a workspace has bought and used, as a whole.
  case credits(OrganizationID)
  case creditPurchase(CreditPurchaseID)
  /// What a project used in a month.
  case usage(ProjectID, BillingPeriod)

  /// The kind by itself, as the audit and problems name it. The raw values are stored.
  package enum Kind: String, Sendable, CaseIterable {
    case organization, member, invitation, project, rule, account, credits, usage
    case apiKey = "api_key"
    case serviceToken = "service_token"
    case ruleSet = "rule_set"
    case providerKey = "provider_key"
    case webhookEndpoint = "webhook_endpoint"
    case personalAccessToken = "personal_access_token"
    case gatewayToken = "gateway_token"
    case creditPurchase = "credit_purchase"
  }

  package var kind: Kind {
    switch self {
    case .organization: .organization
    case .member: .member
    case .invitation: .invitation
    case .serviceToken: .serviceToken
    case .project: .project
    case .rule: .rule
    case .ruleSet: .ruleSet
    case .apiKey: .apiKey
    case .providerKey: .providerKey
    case .webhookEndpoint: .webhookEndpoint
    case .account: .account
    case .personalAccessToken: .personalAccessToken
    case .gatewayToken: .gatewayToken
    case .credits: .credits
    case .creditPurchase: .creditPurchase
    case .usage: .usage
    }
  }

  package var uuid: UUID {
    switch self {
    case .organization(let id): id.uuid
    case .member(let id): id.uuid
    case .invitation(let id): id.uuid
    case .serviceToken(let id): id.uuid
    case .project(let id): id.uuid
    case .rule(let id): id.uuid
    case .ruleSet(let id): id.uuid
    case .apiKey(let id): id.uuid
    case .providerKey(let id): id.uuid
    case .webhookEndpoint(let id): id.uuid
    case .account(let id): id.uuid
    case .personalAccessToken(let id): id.uuid
    case .gatewayToken(let id): id.uuid
    case .credits(let id): id.uuid
    case .creditPurchase(let id): id.uuid
    case .usage(let id, _): id.uuid
    }
  }

  /// The id as callers write it.
  package var externalID: String { kind.externalID(uuid) }
}

extension Entity.Kind {
  /// The type of the ids of entities of this kind. The one list of kinds that ids are written and read by.
  private var identified: any Identified.Type {
    switch self {
    case .organization, .credits: Organization.self
    case .member, .account: User.self
    case .invitation: Invitation.self
    case .serviceToken: ServiceToken.self
    case .project, .ruleSet, .usage: Project.self
    case .rule: Rule.self
    case .apiKey: APIKey.self
    case .providerKey: ProviderKey.self
    case .webhookEndpoint: WebhookEndpoint.self
    case .personalAccessToken: PersonalAccessToken.self
    case .gatewayToken: GatewayToken.self
    case .creditPurchase: CreditPurchase.self
    }
  }

  /// The external id of an entity of this kind.
  package func externalID(_ uuid: UUID) -> String {
    func write<Entity: Identified>(_ type: Entity.Type) -> String {
      TypeID<Entity>(uuid).description
    }
    return write(identified)
  }

  /// The uuid in an external id of an entity of this kind; nil when the text is no such id.
  package func uuid(_ externalID: String) -> UUID? {
    func read<Entity: Identified>(_ type: Entity.Type) -> UUID? {
      TypeID<Entity>(externalID)?.uuid
    }
    return read(identified)
  }
}

extension Entity {
  /// The uuid in the external id of an entity of whatever kind; nil when the text is no such id.
  package static func uuid(_ externalID: String) -> UUID? {
    for kind in Kind.allCases {
      if let uuid = kind.uuid(externalID) { return uuid }
    }
    return nil
  }
}
