/// The rules of a workspace, arranged by project, so that what is asked about one project takes no longer when the other
/// projects have many.
package struct Rules: Equatable, Sendable {
  /// Nil stands for the workspace around all projects. No group is empty.
  private var groups: [ProjectID?: [RuleID: Rule]] = [:]
  /// The group that holds each rule.
  private var places: [RuleID: ProjectID?] = [:]

  package init() {}

  package var count: Int { places.count }
  package var isEmpty: Bool { places.isEmpty }
  package var keys: some Collection<RuleID> & Sendable { places.keys }

  /// Every rule with its id, in no order.
  package var all: some Sequence<(key: RuleID, value: Rule)> { groups.values.joined() }

  /// A project's own rules, or with nil those of the workspace around it.
  package func of(_ project: ProjectID?) -> [RuleID: Rule] { groups[project] ?? [:] }

  package func count(of project: ProjectID?) -> Int { groups[project]?.count ?? 0 }

  package subscript(id: RuleID) -> Rule? {
    get {
      guard let place = places[id] else { return nil }
      return groups[place]?[id]
    }
    set {
      if let former = places[id], newValue == nil || newValue?.projectID != former {
        places[id] = nil
        groups[former]?[id] = nil
        if groups[former]?.isEmpty == true { groups[former] = nil }
      }
      guard let newValue else { return }
      places.updateValue(newValue.projectID, forKey: id)
      groups[newValue.projectID, default: [:]][id] = newValue
    }
  }

  /// Folds in that a project's set of rules was replaced. Nothing has changed when it throws.
  mutating func evolve(
    _ event: RuleSetEvent.Replaced, _ metadata: EventMetadata
  ) throws(FoldError) {
    var group = of(event.projectID)
    for id in event.deleted {
      try Rule.evolve(&group[id], .deleted(.init(ruleID: id)), metadata)
    }
    for changed in event.changed {
      try Rule.evolve(&group[changed.ruleID], .changed(changed), metadata)
    }
    for created in event.created {
      guard places[created.ruleID] == nil else {
        throw FoldError(version: metadata.version, reason: "the rule exists already")
      }
      try Rule.evolve(
        &group[created.ruleID], .created(created.rule(of: event.projectID)), metadata)
    }
    for id in event.deleted { places[id] = nil }
    for created in event.created { places.updateValue(event.projectID, forKey: created.ruleID) }
    groups[event.projectID] = group.isEmpty ? nil : group
  }
}

/// Stored as one object of all rules, each under its id: the arrangement follows from the rules.
extension Rules: Codable {
  package init(from decoder: any Decoder) throws {
    for (id, rule) in try [RuleID: Rule](from: decoder) { self[id] = rule }
  }

  package func encode(to encoder: any Encoder) throws {
    var rules = [RuleID: Rule](minimumCapacity: count)
    for (id, rule) in all { rules[id] = rule }
    try rules.encode(to: encoder)
  }
}
