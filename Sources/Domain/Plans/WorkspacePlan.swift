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
    let tier = plan?.tier ?? .free
    let allowed = (plan?.entitlements ?? context.plans[tier].entitlements)[limit.limit]
    let usage = usage(of: limit, at: context.time)
    guard usage >= allowed else { return }
    throw .limitExceeded(
      LimitExceeded(
        limit: limit.limit, allowed: allowed, usage: usage, plan: tier,
        upgrade: context.plans.smallest(allowing: usage, of: limit.limit)))
  }
}
