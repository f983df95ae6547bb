// MARK: Events

package enum PlanEvent: Equatable, Sendable {
  case changed(Changed)

  /// What the plan allows is written down as it was when it was given: a later catalog changes nothing by itself.
  package struct Changed: EventPayload {
    package static let type = "organization.plan_changed"
    package let planTier: PlanTier
    package let catalogVersion: Int64
    package let entitlements: Entitlements
    package var event: WorkspaceEvent { .plan(.changed(self)) }

    init(_ tier: PlanTier, of catalog: PlanCatalog) {
      planTier = tier
      catalogVersion = catalog.version
      entitlements = catalog[tier].entitlements
    }

    private enum CodingKeys: String, CodingKey {
      case planTier = "plan_tier"
      case catalogVersion = "catalog_version"
      case entitlements
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [Changed.self]

  var payload: any EventPayload {
    switch self {
    case .changed(let payload): payload
    }
  }
}

// MARK: State and evolve

/// The plan that a workspace is on, and what that allows.
package struct WorkspacePlan: Equatable, Sendable, Codable {
  package let tier: PlanTier
  package let catalogVersion: Int64
  package let entitlements: Entitlements
  package let since: Timestamp

  private enum CodingKeys: String, CodingKey {
    case tier, entitlements, since
    case catalogVersion = "catalog_version"
  }

  init(_ event: PlanEvent, _ metadata: EventMetadata) {
    switch event {
    case .changed(let changed):
      tier = changed.planTier
      catalogVersion = changed.catalogVersion
      entitlements = changed.entitlements
      since = metadata.occurredAt
    }
  }
}

extension Workspace {
  /// How many there are of what the plan limits for the whole workspace.
  package func usage(of limit: WorkspaceLimit, at time: Timestamp) -> Int64 {
    switch limit {
    case .projects: Int64(projects.values.count { $0.archivedAt == nil })
    case .members:
      Int64(members.count + invitations.values.count { $0.status(at: time) == .pending })
    }
  }
}

extension Workspace {
  /// How many there are of what the plan limits for each project.
  package func usage(of limit: ProjectLimit, in project: ProjectID, at time: Timestamp) -> Int64 {
    switch limit {
    case .apiKeys: activeKeys(in: project, at: time)
    case .rules: ruleCount(in: project)
    }
  }

  /// How many rules a project has, or the workspace around all of them.
  package func ruleCount(in project: ProjectID?) -> Int64 {
    Int64(rules.count(of: project))
  }
}

/// Those limits that hold for each project by itself.
package enum ProjectLimit: Sendable, CaseIterable {
  case apiKeys, rules

  package var limit: Limit {
    switch self {
    case .apiKeys: .apiKeysPerProject
    case .rules: .rulesPerProject
    }
  }
}

/// Those limits that hold for a workspace as a whole.
package enum WorkspaceLimit: Sendable, CaseIterable {
  case projects, members

  package var limit: Limit {
    switch self {
    case .projects: .projects
    case .members: .members
    }
  }
}

/// A plan allows no more of something.
package struct LimitExceeded: Equatable, Sendable {
  package let limit: Limit
  package let allowed: Int64
  package let usage: Int64
  package let plan: PlanTier
  /// The smallest plan that would allow it; nil when none does.
  package let upgrade: PlanTier?
}

/// A plan does not have something.
package struct FeatureMissing: Equatable, Sendable {
  package let feature: PlanFeature
  package let plan: PlanTier
  /// The smallest plan that has it; nil when none does.
  package let upgrade: PlanTier?
}

// MARK: Commands and decide

package enum PlanCommand: Equatable, Sendable {
  /// Accepted even when there is more than the plan allows: what exists goes on, more is refused.
  case change(to: PlanTier)
}

extension Workspace {
  func decide(
    _ command: PlanCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    switch command {
    case .change(let tier):
      _ = try Organization.open(organization)
      try requireLeave(to: tier, in: context)
      let changed = PlanEvent.Changed(tier, of: context.plans)
      let isSame =
        plan?.tier == tier && plan?.catalogVersion == changed.catalogVersion
        && plan?.entitlements == changed.entitlements
      return isSame ? [] : [.plan(.changed(changed))]
    }
  }

  /// Refuses one more of something of which there are as many as the plan allows.
  func requireRoom(
    for limit: WorkspaceLimit, in context: CommandContext
  ) throws(Rejection) {
    try requireRoom(
      for: limit.limit, besides: usage(of: limit, at: context.time), in: context)
  }

  /// Refuses one more beside those that there are.
  func requireRoom(
    for limit: Limit, besides usage: Int64, in context: CommandContext
  ) throws(Rejection) {
    let allowed = entitlements(in: context)[limit]
    guard usage >= allowed else { return }
    throw .limitExceeded(
      LimitExceeded(
        limit: limit, allowed: allowed, usage: usage, plan: plan?.tier ?? .free,
        upgrade: context.plans.smallest(allowing: usage, of: limit)))
  }

  /// Refuses what the plan does not have at all.
  func require(_ feature: PlanFeature, in context: CommandContext) throws(Rejection) {
    guard !entitlements(in: context)[feature] else { return }
    throw .featureMissing(
      FeatureMissing(
        feature: feature, plan: plan?.tier ?? .free,
        upgrade: context.plans.plans.first { $0.entitlements[feature] }?.tier))
  }

  /// Refuses a provider that the plan does not have.
  func require(_ provider: Provider, in context: CommandContext) throws(Rejection) {
    let has: (Entitlements) -> Bool = { $0.providers?.contains(provider.description) ?? true }
    guard !has(entitlements(in: context)) else { return }
    throw .providerMissing(
      ProviderMissing(
        provider: provider, plan: plan?.tier ?? .free,
        upgrade: context.plans.plans.first { has($0.entitlements) }?.tier))
  }

  private func entitlements(in context: CommandContext) -> Entitlements {
    plan?.entitlements ?? context.plans[plan?.tier ?? .free].entitlements
  }
}
