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

/// What one command changes of the document, as one merge patch (RFC 7396): gateways never see half of it.
struct ConfigurationPatch {
  private var patch = JSONObject()

  var isEmpty: Bool { patch.isEmpty }
  var bytes: [UInt8] { patch.canonicalBytes() }

  /// Adds what happened to one entity.
  mutating func add(from before: ConfigurationPart?, to after: ConfigurationPart?) {
    guard let path = [after?.path, before?.path].compactMap({ $0 }).first(where: { !$0.isEmpty })
    else { return }
    switch (before?.value, after?.value) {
    case (nil, nil): break
    case (_, nil): patch.set(JSONObject?.none, at: path[...])
    case (nil, let value?): patch.set(value, at: path[...])
    case (let former?, let value?):
      let difference = MergePatch.difference(from: former, to: value)
      if !difference.isEmpty { patch.set(difference, at: path[...]) }
    }
  }
}

extension JSONObject {
  /// Sets what stands at the end of a path, beside what stands there already; nil becomes `null`.
  fileprivate mutating func set(_ value: JSONObject?, at path: ArraySlice<String>) {
    guard let name = path.first else { return }
    if path.count == 1 {
      guard let value else { return set(key: name, JSONValue.null) }
      var merged = object(name) ?? JSONObject()
      for member in value.names { merged.set(key: member, value[member] ?? .null) }
      return set(key: name, merged)
    }
    var child = object(name) ?? JSONObject()
    child.set(value, at: path.dropFirst())
    set(key: name, child)
  }
}
