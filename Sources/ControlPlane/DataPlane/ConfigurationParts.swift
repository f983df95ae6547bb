import ConfigurationFeed
import Domain
import JSON

/// One entity's place in the document that gateways hold, and what stands there.
struct ConfigurationPart {
  /// The members' names from the document down.
  let path: [String]
  /// Nil while there is nothing: the entity does not exist, or is archived with what is around it.
  let value: JSONObject?
}

extension Workspace {
  /// What gateways are told of an entity, beside what is told of those inside it; nil when they are told of none of its kind.
  func configurationPart(
    of entity: Entity, in id: OrganizationID, plans: PlanCatalog
  ) -> ConfigurationPart? {
    let root = ["organizations", "\(id)"]
    let isOpen = organization.map { $0.archivedAt == nil } ?? false
    switch entity {
    case .organization:
      return ConfigurationPart(
        path: root, value: isOpen ? configuredOrganization(plans: plans).json : nil)
    case .project(let projectID):
      let project = isOpen ? projects[projectID] : nil
      return ConfigurationPart(
        path: root + ["projects", "\(projectID)"], value: project?.configured?.json)
    case .rule(let ruleID):
      guard let rule = rules[ruleID] else {
        // Whoever removes it knows where it was.
        return ConfigurationPart(path: [], value: nil)
      }
      let isShown = isOpen && rule.projectID.map { projects[$0]?.archivedAt == nil } ?? true
      let around = rule.projectID.map { ["projects", "\($0)"] } ?? []
      return ConfigurationPart(
        path: root + around + ["rules", "\(ruleID)"],
        value: isShown ? ConfiguredRule(rule).json : nil)
    case .apiKey(let keyID):
      guard let key = apiKeys[keyID] else { return ConfigurationPart(path: [], value: nil) }
      let isShown = isOpen && projects[key.projectID]?.archivedAt == nil
      return ConfigurationPart(
        path: root + ["projects", "\(key.projectID)", "api_keys", "\(keyID)"],
        value: isShown ? key.configured?.json : nil)
    case .providerKey(let keyID):
      guard let key = providerKeys[keyID] else { return ConfigurationPart(path: [], value: nil) }
      let isShown = isOpen && projects[key.projectID]?.archivedAt == nil
      return ConfigurationPart(
        path: root + ["projects", "\(key.projectID)", "provider_keys", "\(key.provider)"],
        value: isShown ? key.configured.json : nil)
    case .ruleSet, .member, .invitation, .serviceToken, .webhookEndpoint, .account,
      .personalAccessToken, .gatewayToken, .credits, .creditPurchase, .usage:
      return nil
    }
  }

  private func configuredOrganization(plans: PlanCatalog) -> ConfiguredOrganization {
    let tier = plan?.tier ?? .free
    let entitlements = plan?.entitlements ?? plans[tier].entitlements
    return ConfiguredOrganization(
      plan: tier, entitlements, balance: credits.balance, period: usage.newestPeriod,
      includedUsed: usage.includedUsed)
  }
}

extension ConfiguredOrganization {
  /// What gateways are told of capacity does not depend on the time: they know when its month is over.
  ///
  /// - Parameters:
  ///   - period: the newest month that anything was used in; nil when nothing was ever.
  ///   - includedUsed: how many of that month's included requests.
  init(
    plan tier: PlanTier, _ entitlements: Entitlements, balance: Int64, period: BillingPeriod?,
    includedUsed: Int64
  ) {
    let month = period ?? BillingPeriod(containing: .epoch)
    let capacity = Capacity(
      entitlements, includedUsed: includedUsed, balance: balance, in: month)
    let resets = period != nil && entitlements.includedRequests > 0
    self.init(
      plan: tier, providers: entitlements.providers, remaining: capacity.coarseRemaining,
      resetsAt: resets ? capacity.resetsAt : nil)
  }
}

extension Project {
  /// Nil when it is archived: its traffic is over.
  var configured: ConfiguredProject? {
    archivedAt == nil
      ? ConfiguredProject(
        environment: environment, thresholds: thresholds,
        requestsPerMonth: budgets.requestsPerMonth, costPerMonth: budgets.costPerMonth,
        panicMode: panicMode.map { .init(since: $0.since, until: $0.until) })
      : nil
  }
}

extension APIKey {
  /// Nil when it is revoked: gateways need not know it.
  var configured: ConfiguredAPIKey? {
    revokedAt == nil ? ConfiguredAPIKey(hash: secret.hash, expiresAt: expiresAt) : nil
  }
}

extension ProviderKey {
  var configured: ConfiguredProviderKey {
    ConfiguredProviderKey(sealed: secret.sealed.envelope, fingerprint: secret.fingerprint)
  }
}
