/// What a decision may depend on besides the state and the command: who asks, when, and the plans that are for sale and how
/// they are got.
package struct CommandContext: Sendable {
  package let actor: Actor
  package let time: Timestamp
  package let plans: PlanCatalog
  package let upgrades: PlanUpgrades
  /// Whether the actor is a platform admin.
  package let isByPlatform: Bool

  package init(
    actor: Actor, time: Timestamp, plans: PlanCatalog, upgrades: PlanUpgrades = .platform,
    isByPlatform: Bool = false
  ) {
    self.actor = actor
    self.time = time
    self.plans = plans
    self.upgrades = upgrades
    self.isByPlatform = isByPlatform
  }
}
