import ConfigurationFeed
import Domain

/// What gateways were told of everything that a command touches, gathered before its events are folded in; from it follows
/// the patch afterwards.
struct ConfigurationChange {
  private let organization: OrganizationID
  private let plans: PlanCatalog
  private var formerParts: [Entity: ConfigurationPart] = [:]
  /// Rules of projects whose sets were replaced, each nil when it is new.
  private var formerRules: [ProjectID: [RuleID: ConfiguredRule?]] = [:]

  init(of organization: OrganizationID, plans: PlanCatalog) {
    self.organization = organization
    self.plans = plans
  }

  /// Notes what stands there before an event is folded in. What an earlier event of the command touched is noted already.
  mutating func note(_ event: WorkspaceEvent, before workspace: Workspace) {
    if case .ruleSet(.replaced(let replaced)) = event {
      var former = formerRules.removeValue(forKey: replaced.projectID) ?? [:]
      for id in replaced.ruleIDs where former[id] == nil {
        former.updateValue(workspace.rules[id].map(ConfiguredRule.init), forKey: id)
      }
      formerRules[replaced.projectID] = former
    } else {
      note(event.entity(in: organization), before: workspace)
    }
    if event.touchesOrganization { note(.organization(organization), before: workspace) }
  }

  private mutating func note(_ entity: Entity, before workspace: Workspace) {
    guard formerParts[entity] == nil else { return }
    formerParts[entity] = workspace.configurationPart(of: entity, in: organization, plans: plans)
  }

  /// What the command changed, now that all of its events are folded in.
  func patch(after workspace: Workspace) -> ConfigurationPatch {
    var patch = ConfigurationPatch()
    for (entity, before) in formerParts {
      patch.add(
        from: before,
        to: workspace.configurationPart(of: entity, in: organization, plans: plans))
    }
    for (projectID, rules) in formerRules {
      patch.add(
        rules, to: workspace.rules,
        at: ["organizations", "\(organization)", "projects", "\(projectID)", "rules"])
    }
    return patch
  }
}
