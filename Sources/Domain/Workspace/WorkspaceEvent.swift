/// Everything that can have happened to a workspace. A feature's events are in the feature's folder.
package enum WorkspaceEvent: Equatable, Sendable {
  case organization(OrganizationEvent)
  case member(MemberEvent)
  case invitation(InvitationEvent)
  case serviceToken(ServiceTokenEvent)
  case project(ProjectEvent)
  case rule(RuleEvent)
  case ruleSet(RuleSetEvent)
  case apiKey(APIKeyEvent)
  case providerKey(ProviderKeyEvent)
  case webhookEndpoint(WebhookEndpointEvent)
  case plan(PlanEvent)
  case onboarding(OnboardingEvent)
  case account(AccountEvent)
  case gatewayToken(GatewayTokenEvent)
  case credits(CreditsEvent)
  case usage(UsageEvent)
  case billing(BillingEvent)

  /// What the event happened to.
  package func entity(in organization: OrganizationID) -> Entity {
    switch self {
    case .organization, .plan, .onboarding, .billing: .organization(organization)
    case .member(let event): .member(event.userID)
    case .invitation(let event): .invitation(event.invitationID)
    case .serviceToken(let event): .serviceToken(event.tokenID)
    case .project(let event): .project(event.projectID)
    case .rule(let event): .rule(event.ruleID)
    case .ruleSet(let event): .ruleSet(event.projectID)
    case .apiKey(let event): .apiKey(event.keyID)
    case .providerKey(let event): .providerKey(event.keyID)
    case .webhookEndpoint(let event): .webhookEndpoint(event.endpointID)
    case .account(let event): event.entity(in: organization)
    case .gatewayToken(let event): .gatewayToken(event.tokenID)
    case .credits(let event): event.purchaseID.map { .creditPurchase($0) } ?? .credits(organization)
    case .usage(.recorded(let event)): .usage(event.projectID, event.period)
    case .usage(.thresholdReached): .credits(organization)
    }
  }

  /// The entities whose rows the event changes, besides the organization's: as a rule what it happened to.
  package func changedEntities(in organization: OrganizationID) -> [Entity] {
    switch self {
    case .ruleSet(let event): event.ruleIDs.map { .rule($0) }
    case .organization, .member, .invitation, .serviceToken, .project, .rule, .apiKey, .providerKey,
      .webhookEndpoint, .plan, .onboarding, .account, .gatewayToken, .credits, .usage, .billing:
      [entity(in: organization)]
    }
  }

  /// Whether the organization's row changes with what the event happened to: facts of onboarding, balance and capacity
  /// stand there.
  package var touchesOrganization: Bool {
    switch self {
    case .credits, .usage: true
    case .organization, .member, .invitation, .serviceToken, .project, .rule, .ruleSet, .apiKey,
      .providerKey, .webhookEndpoint, .plan, .onboarding, .account, .gatewayToken, .billing:
      onboardingFact != nil
    }
  }
}

/// A payload with the name and version under which it is stored. Both are frozen: they are the storage format.
package protocol EventPayload: Codable, Equatable, Sendable {
  static var type: String { get }
  static var schemaVersion: Int { get }
  /// The payload as one of the workspace's events.
  var event: WorkspaceEvent { get }
}

extension EventPayload {
  package static var schemaVersion: Int { 1 }
}

/// Reads one stored payload into the type asked for, whatever the bytes are.
package protocol PayloadDecoder {
  func decode<Payload: EventPayload>(_ type: Payload.Type) throws -> Payload
}

/// A stored event of a type or version that this program does not know: it is newer, or the log was tampered with.
/// Never skipped: the workspace stops until a program that knows it reads the log.
package struct UnknownEventType: Error, Equatable, Sendable {
  package let type: String
  package let schemaVersion: Int
}

extension WorkspaceEvent {
  /// Every type of payload, each once, and the permission that callers need to read an event of that type.
  private static let catalog: [(permissionToRead: Permission, types: [any EventPayload.Type])] = [
    (.organizationRead, OrganizationEvent.payloadTypes),
    (.memberRead, MemberEvent.payloadTypes),
    (.invitationRead, InvitationEvent.payloadTypes),
    (.serviceTokenRead, ServiceTokenEvent.payloadTypes),
    (.projectRead, ProjectEvent.payloadTypes),
    (.ruleRead, RuleEvent.payloadTypes),
    (.ruleRead, RuleSetEvent.payloadTypes),
    (.apiKeyRead, APIKeyEvent.payloadTypes),
    (.providerKeyRead, ProviderKeyEvent.payloadTypes),
    (.webhookRead, WebhookEndpointEvent.payloadTypes),
    (.organizationRead, PlanEvent.payloadTypes),
    (.organizationRead, OnboardingEvent.payloadTypes),
    // These two kinds are in no workspace's log.
    (.eventRead, AccountEvent.payloadTypes),
    (.eventRead, GatewayTokenEvent.payloadTypes),
    (.creditsRead, CreditsEvent.payloadTypes),
    (.usageRead, UsageEvent.payloadTypes),
    (.organizationRead, BillingEvent.payloadTypes),
  ]

  /// Every type of payload, each once: decoding and the golden files go by this list.
  package static let payloadTypes: [any EventPayload.Type] = catalog.flatMap(\.types)

  private static let permissionsToRead: [String: Permission] = Dictionary(
    uniqueKeysWithValues: catalog.flatMap { permission, types in
      types.map { ($0.type, permission) }
    })

  /// The permission that callers need to read an event of a type; nil for a type that this program does not know.
  package static func permissionToRead(eventOfType type: String) -> Permission? {
    permissionsToRead[type]
  }

  /// The types of events that callers with a role may read; nil when they may read all types, known or not.
  package static func types(readableBy role: Role) -> [String]? { readableTypes[role] ?? [] }

  private static let readableTypes: [Role: [String]?] = Dictionary(
    uniqueKeysWithValues: Role.allCases.map { role -> (Role, [String]?) in
      // Owners may read everything, so a type of a newer program is theirs to see, too.
      if role == .owner { return (role, nil) }
      let types = catalog.filter { role.may($0.permissionToRead) }.flatMap(\.types)
      return (role, types.map { $0.type })
    })

  private static let payloadTypesByName: [String: any EventPayload.Type] =
    Dictionary(uniqueKeysWithValues: payloadTypes.map { ($0.type, $0) })

  /// The payload, with its type's stored name and version.
  package var payload: any EventPayload {
    switch self {
    case .organization(let event): event.payload
    case .member(let event): event.payload
    case .invitation(let event): event.payload
    case .serviceToken(let event): event.payload
    case .project(let event): event.payload
    case .rule(let event): event.payload
    case .ruleSet(let event): event.payload
    case .apiKey(let event): event.payload
    case .providerKey(let event): event.payload
    case .webhookEndpoint(let event): event.payload
    case .plan(let event): event.payload
    case .onboarding(let event): event.payload
    case .account(let event): event.payload
    case .gatewayToken(let event): event.payload
    case .credits(let event): event.payload
    case .usage(let event): event.payload
    case .billing(let event): event.payload
    }
  }

  /// Reads an event as it is stored.
  ///
  /// - Throws: ``UnknownEventType``, or whatever the decoder says of the payload.
  package init(type: String, schemaVersion: Int, from decoder: some PayloadDecoder) throws {
    guard let payloadType = Self.payloadTypesByName[type],
      payloadType.schemaVersion == schemaVersion
    else { throw UnknownEventType(type: type, schemaVersion: schemaVersion) }
    self = try decoder.decode(payloadType).event
  }
}
