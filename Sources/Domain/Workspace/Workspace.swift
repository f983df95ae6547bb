/// The folded state of one workspace: everything that its events say, and nothing else.
/// Tables, replies, the audit's before and after, dry runs and time travel are renderings of it.
package struct Workspace: Equatable, Sendable, Codable {
  /// Raised whenever ``evolve(_:_:)`` gives an old event another meaning or the state another shape:
  /// snapshots made by another fold are not used.
  package static let foldVersion = 6

  /// How many events are folded in; the version of the newest one.
  package private(set) var version: Int64 = 0
  /// Nil until the workspace is created.
  package private(set) var organization: Organization?
  package private(set) var members: [UserID: Member] = [:]
  package private(set) var projects: [ProjectID: Project] = [:]
  package private(set) var rules = Rules()
  package private(set) var apiKeys: [APIKeyID: APIKey] = [:]
  package private(set) var providerKeys: [ProviderKeyID: ProviderKey] = [:]
  package private(set) var webhookEndpoints: [WebhookEndpointID: WebhookEndpoint] = [:]
  package private(set) var invitations: [InvitationID: Invitation] = [:]
  package private(set) var serviceTokens: [ServiceTokenID: ServiceToken] = [:]
  /// Nil until the workspace is on a plan.
  package private(set) var plan: WorkspacePlan?
  /// Nil until the workspace is created.
  package private(set) var onboarding: Onboarding?
  /// Only in the stream of a person.
  package private(set) var account: Account?
  /// Only in the platform's stream.
  package private(set) var gatewayTokens: [GatewayTokenID: GatewayToken] = [:]
  package private(set) var credits = Credits()
  package private(set) var usage = Usage()
  package private(set) var billing = Billing()

  /// The state before any event.
  package init() {}

  private enum CodingKeys: String, CodingKey {
    case version, organization, members, projects, rules, invitations, plan, onboarding, account
    case credits, usage, billing
    case serviceTokens = "service_tokens"
    case gatewayTokens = "gateway_tokens"
    case apiKeys = "api_keys"
    case providerKeys = "provider_keys"
    case webhookEndpoints = "webhook_endpoints"
  }
}

/// What the log knows of an event besides its payload.
package struct EventMetadata: Equatable, Sendable {
  /// The event's place in its workspace, from 1 without gaps.
  package let version: Int64
  package let occurredAt: Timestamp
  package let actor: Actor

  package init(version: Int64, occurredAt: Timestamp, actor: Actor) {
    self.version = version
    self.occurredAt = occurredAt
    self.actor = actor
  }
}

/// The log contradicts itself: an event out of order, or one about something that does not exist.
package struct FoldError: Error, Equatable, Sendable {
  package let version: Int64
  package let reason: String

  package init(version: Int64, reason: String) {
    self.version = version
    self.reason = reason
  }
}

extension Workspace {
  /// Folds one event in. The only place where an event's meaning stands.
  package mutating func evolve(
    _ event: WorkspaceEvent, _ metadata: EventMetadata
  ) throws(FoldError) {
    guard metadata.version == version + 1 else {
      throw FoldError(version: metadata.version, reason: "version \(version + 1) was due")
    }
    switch event {
    case .organization(let event):
      organization = try Organization.evolve(organization, event, metadata)
      if onboarding == nil { onboarding = Onboarding(createdAt: metadata.occurredAt) }
    case .member(let event):
      try Member.evolve(&members[event.userID], event, metadata)
    case .invitation(let event):
      try Invitation.evolve(&invitations[event.invitationID], event, metadata)
    case .serviceToken(let event):
      try ServiceToken.evolve(&serviceTokens[event.tokenID], event, metadata)
    case .project(let event):
      try Project.evolve(&projects[event.projectID], event, metadata)
    case .rule(let event):
      try Rule.evolve(&rules[event.ruleID], event, metadata)
    case .ruleSet(.replaced(let event)):
      try rules.evolve(event, metadata)
    case .apiKey(let event):
      try APIKey.evolve(&apiKeys[event.keyID], event, metadata)
    case .providerKey(let event):
      try ProviderKey.evolve(&providerKeys[event.keyID], event, metadata)
    case .webhookEndpoint(let event):
      try WebhookEndpoint.evolve(&webhookEndpoints[event.endpointID], event, metadata)
    case .plan(let event):
      try touchOrganization(metadata)
      plan = WorkspacePlan(event, metadata)
    case .onboarding(let event):
      try touchOrganization(metadata)
      onboarding?.evolve(event, metadata)
    case .account(let event):
      var account = account ?? Account()
      try account.evolve(event, metadata)
      self.account = account
    case .gatewayToken(let event):
      try GatewayToken.evolve(&gatewayTokens[event.tokenID], event, metadata)
    case .credits(let event):
      try credits.evolve(event, metadata)
    case .usage(let event):
      usage.evolve(event, metadata)
    case .billing(let event):
      try touchOrganization(metadata)
      billing.evolve(event)
    }
    if let fact = event.onboardingFact { onboarding?.record(fact, at: metadata.occurredAt) }
    version = metadata.version
  }

  /// Plan and onboarding are parts of the organization as callers see it.
  private mutating func touchOrganization(_ metadata: EventMetadata) throws(FoldError) {
    guard organization != nil else {
      throw FoldError(version: metadata.version, reason: "the organization does not exist")
    }
    organization?.touch(metadata)
  }

  /// Roughly how much memory and how large a snapshot the workspace takes: how many entities it has.
  package var entityCount: Int {
    members.count + projects.count + rules.count + apiKeys.count + providerKeys.count
      + webhookEndpoints.count + invitations.count + serviceTokens.count + gatewayTokens.count
      + credits.purchases.count
  }

  /// The version of one entity, as its ETag shows it; nil when it does not exist.
  package func version(of entity: Entity) -> Int64? {
    switch entity {
    case .organization: organization?.version
    case .member(let id): members[id]?.version
    case .invitation(let id): invitations[id]?.version
    case .serviceToken(let id): serviceTokens[id]?.version
    case .project(let id): projects[id]?.version
    case .rule(let id): rules[id]?.version
    case .ruleSet(let id): projects[id].map { _ in Rule.setVersion(rules.of(id)) }
    case .apiKey(let id): apiKeys[id]?.version
    case .providerKey(let id): providerKeys[id]?.version
    case .webhookEndpoint(let id): webhookEndpoints[id]?.version
    case .account: account?.version
    case .personalAccessToken(let id): account?.tokens[id]?.version
    case .gatewayToken(let id): gatewayTokens[id]?.version
    case .credits: organization.map { _ in credits.version }
    case .creditPurchase(let id): credits.purchases[id]?.version
    case .usage(let id, let period): usage.months[period]?.projects[id]?.version
    }
  }
}
