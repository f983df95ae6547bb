/// What a decision may depend on besides the state and the command: who asks, when, and the plans that are for sale.
package struct CommandContext: Sendable {
  package let actor: Actor
  package let time: Timestamp
  package let plans: PlanCatalog

  package init(actor: Actor, time: Timestamp, plans: PlanCatalog) {
    self.actor = actor
    self.time = time
    self.plans = plans
  }
}
