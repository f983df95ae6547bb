// MARK: Events

/// What happens to all rules of a project together. One act is one event, however many rules it touches.
package enum RuleSetEvent: Equatable, Sendable {
  case replaced(Replaced)

  /// A project has another set of rules from now on. A rule that no list names stays as it was.
  package struct Replaced: EventPayload {
    package static let type = "rule_set.replaced"
    package let projectID: ProjectID
    package let deleted: [RuleID]
    package let changed: [RuleEvent.Changed]
    package let created: [Created]
    package var event: WorkspaceEvent { .ruleSet(.replaced(self)) }

    private enum CodingKeys: String, CodingKey {
      case deleted, changed, created
      case projectID = "project_id"
    }

    /// Every rule that the event is about, in the order of its lists.
    package var ruleIDs: [RuleID] {
      deleted + changed.map(\.ruleID) + created.map(\.ruleID)
    }
  }

  /// A new rule, whose project is the set's.
  package struct Created: Equatable, Sendable, Codable {
    package let ruleID: RuleID
    package let match: Rule.Match
    package let effect: Rule.Effect
    package let note: ExactText?
    /// Absent when it does not expire.
    package let expiresAt: Timestamp?

    private enum CodingKeys: String, CodingKey {
      case match, effect, note
      case ruleID = "rule_id"
      case expiresAt = "expires_at"
    }

    /// The same as the event of a rule that is created by itself.
    func rule(of project: ProjectID) -> RuleEvent.Created {
      RuleEvent.Created(
        ruleID: ruleID, projectID: project, match: match, effect: effect, note: note,
        expiresAt: expiresAt)
    }
  }

  package var projectID: ProjectID {
    switch self {
    case .replaced(let payload): payload.projectID
    }
  }

  /// The rules whose rows the event changes.
  package var ruleIDs: [RuleID] {
    switch self {
    case .replaced(let payload): payload.ruleIDs
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [Replaced.self]

  var payload: any EventPayload {
    switch self {
    case .replaced(let payload): payload
    }
  }
}

// MARK: Decide

extension Workspace {
  /// Decides what of a project's rules is deleted, changed and created, so that it has exactly those of the drafts.
  func replaceRules(
    of projectID: ProjectID, by drafts: [RuleCommand.Draft], in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    try requireOpen(projectID)
    let former = rules.of(projectID)
    var drafted = [Rule.Match: RuleCommand.Draft](minimumCapacity: drafts.count)
    for draft in drafts {
      if let other = drafted.updateValue(draft, forKey: draft.match) {
        throw .ruleExists(other.id, isContradiction: other.effect != draft.effect)
      }
    }
    // Of several about the same, one at most is in force, and goes on; else the youngest does.
    var kept = [Rule.Match: (id: RuleID, isInForce: Bool)](minimumCapacity: former.count)
    for (id, rule) in former where drafted[rule.match] != nil {
      let candidate = (id: id, isInForce: rule.isInForce(at: context.time))
      if let other = kept[rule.match],
        (other.isInForce ? 1 : 0, other.id.uuid) > (candidate.isInForce ? 1 : 0, id.uuid)
      {
        continue
      }
      kept[rule.match] = candidate
    }
    let survivors = Set(kept.values.map(\.id))
    let deleted = former.keys.filter { !survivors.contains($0) }.sorted { $0.uuid < $1.uuid }
    var changed: [RuleEvent.Changed] = []
    var created: [RuleSetEvent.Created] = []
    for (index, draft) in drafts.enumerated() {
      let rule = kept[draft.match].flatMap { former[$0.id] }
      // Rules that have expired already may stay in the set, but none can be added to it, or end so.
      if rule == nil || rule?.expiresAt != draft.expiresAt {
        try requireFuture(draft.expiresAt, in: context, index: index)
      }
      guard let id = kept[draft.match]?.id, let rule else {
        try requireFeature(of: draft.match, in: context)
        created.append(.init(draft))
        continue
      }
      let change = RuleEvent.Changed(
        ruleID: id, effect: draft.effect, note: draft.note, expiresAt: draft.expiresAt)
      if change != RuleEvent.Changed(ruleID: id, rule) { changed.append(change) }
    }
    if !created.isEmpty {
      try requireRoom(for: .rulesPerProject, besides: Int64(drafts.count - 1), in: context)
    }
    if deleted.isEmpty, changed.isEmpty, created.isEmpty { return [] }
    return [
      .ruleSet(
        .replaced(
          .init(projectID: projectID, deleted: deleted, changed: changed, created: created)))
    ]
  }
}

extension RuleSetEvent.Created {
  fileprivate init(_ draft: RuleCommand.Draft) {
    self.init(
      ruleID: draft.id, match: draft.match, effect: draft.effect, note: draft.note,
      expiresAt: draft.expiresAt)
  }
}
