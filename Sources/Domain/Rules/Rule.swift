import FoundationEssentials

package typealias RuleID = TypeID<Rule>

// MARK: Events

package enum RuleEvent: Equatable, Sendable {
  case created(Created)
  case changed(Changed)
  case deleted(Deleted)

  package struct Created: EventPayload {
    package static let type = "rule.created"
    package let ruleID: RuleID
    /// Absent when the rule is for the whole workspace.
    package let projectID: ProjectID?
    package let match: Rule.Match
    package let effect: Rule.Effect
    package let note: ExactText?
    /// Absent when it does not expire.
    package let expiresAt: Timestamp?
    package var event: WorkspaceEvent { .rule(.created(self)) }

    private enum CodingKeys: String, CodingKey {
      case match, effect, note
      case ruleID = "rule_id"
      case projectID = "project_id"
      case expiresAt = "expires_at"
    }
  }

  /// All that can change of a rule, as it is now.
  package struct Changed: EventPayload {
    package static let type = "rule.changed"
    package let ruleID: RuleID
    package let effect: Rule.Effect
    package let note: ExactText?
    package let expiresAt: Timestamp?
    package var event: WorkspaceEvent { .rule(.changed(self)) }

    private enum CodingKeys: String, CodingKey {
      case effect, note
      case ruleID = "rule_id"
      case expiresAt = "expires_at"
    }
  }

  package struct Deleted: EventPayload {
    package static let type = "rule.deleted"
    package let ruleID: RuleID
    package var event: WorkspaceEvent { .rule(.deleted(self)) }

    private enum CodingKeys: String, CodingKey {
      case ruleID = "rule_id"
    }
  }

  package var ruleID: RuleID {
    switch self {
    case .created(let payload): payload.ruleID
    case .changed(let payload): payload.ruleID
    case .deleted(let payload): payload.ruleID
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [Created.self, Changed.self, Deleted.self]

  /// What the log calls the subjects of all events that change rules, one by one or as a set: the parts of their types before
  /// the first point.
  package static let subjects = Set(
    (payloadTypes + RuleSetEvent.payloadTypes).map { String($0.type.prefix { $0 != "." }) })

  var payload: any EventPayload {
    switch self {
    case .created(let payload): payload
    case .changed(let payload): payload
    case .deleted(let payload): payload
    }
  }
}

// MARK: State and evolve

/// What passes, or does not, of a project's traffic, or of a whole workspace's.
package struct Rule: Equatable, Sendable, Codable, Identified {
  package static let idPrefix = "rul"

  /// The raw values are stored.
  package enum Effect: String, Sendable, Codable, CaseIterable {
    case allow, deny
  }

  /// What the rule is about.
  package enum Match: Hashable, Sendable {
    case network(Network)
    case country(Country)
    case region(Region)
    case model(provider: ProviderPattern, ModelPattern)
  }

  /// Nil for the whole workspace.
  package let projectID: ProjectID?
  package let match: Match
  package var effect: Effect
  package var note: ExactText?
  /// Nil when it does not expire.
  package var expiresAt: Timestamp?
  package let createdBy: Actor
  package var version: Int64
  package let createdAt: Timestamp
  package var updatedAt: Timestamp

  /// A rule as it was read from a row.
  package init(
    projectID: ProjectID? = nil, match: Match, effect: Effect, note: ExactText? = nil,
    expiresAt: Timestamp? = nil, createdBy: Actor, version: Int64 = 1, createdAt: Timestamp,
    updatedAt: Timestamp
  ) {
    self.projectID = projectID
    self.match = match
    self.effect = effect
    self.note = note
    self.expiresAt = expiresAt
    self.createdBy = createdBy
    self.version = version
    self.createdAt = createdAt
    self.updatedAt = updatedAt
  }

  private enum CodingKeys: String, CodingKey {
    case match, effect, note, version
    case projectID = "project_id"
    case expiresAt = "expires_at"
    case createdBy = "created_by"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
  }

  /// Tells one set of rules from another, like a version: equal for equal ids and versions, in whatever order. A sum of
  /// well-mixed numbers (the finalizer of splitmix64), so that nothing has to be sorted.
  package static func setVersion(_ rules: some Sequence<(key: RuleID, value: Rule)>) -> Int64 {
    func mix(_ number: UInt64) -> UInt64 {
      var number = number
      number = (number ^ (number >> 30)) &* 0xbf58_476d_1ce4_e5b9
      number = (number ^ (number >> 27)) &* 0x94d0_49bb_1331_11eb
      return number ^ (number >> 31)
    }
    var sum: UInt64 = 0x9e37_79b9_7f4a_7c15
    for (id, rule) in rules {
      let id = UInt128(id.uuid)
      let (high, low) = (UInt64(truncatingIfNeeded: id >> 64), UInt64(truncatingIfNeeded: id))
      sum &+= mix(high ^ mix(low ^ mix(UInt64(bitPattern: rule.version))))
    }
    return Int64(sum >> 1)
  }

  /// Whether it counts in decisions.
  package func isInForce(at time: Timestamp) -> Bool {
    expiresAt.map { time < $0 } ?? true
  }

  static func evolve(
    _ state: inout Rule?, _ event: RuleEvent, _ metadata: EventMetadata
  ) throws(FoldError) {
    if case .created(let created) = event {
      guard state == nil else {
        throw FoldError(version: metadata.version, reason: "the rule exists already")
      }
      state = Rule(
        projectID: created.projectID, match: created.match, effect: created.effect,
        note: created.note, expiresAt: created.expiresAt, createdBy: metadata.actor,
        createdAt: metadata.occurredAt, updatedAt: metadata.occurredAt)
      return
    }
    guard var rule = state else {
      throw FoldError(version: metadata.version, reason: "the rule does not exist")
    }
    switch event {
    case .created: break
    case .changed(let changed):
      rule.effect = changed.effect
      rule.note = changed.note
      rule.expiresAt = changed.expiresAt
      rule.version += 1
      rule.updatedAt = metadata.occurredAt
      state = rule
    case .deleted:
      state = nil
    }
  }
}

extension RuleEvent.Changed {
  /// A rule as it is.
  init(ruleID: RuleID, _ rule: Rule) {
    self.init(ruleID: ruleID, effect: rule.effect, note: rule.note, expiresAt: rule.expiresAt)
  }
}

extension Workspace {
  /// A project's own rules, without those of the workspace around it.
  package func rules(of projectID: ProjectID) -> [RuleID: Rule] {
    rules.of(projectID)
  }
}

extension Rule.Match {
  /// The raw values are the contract's names, and stored.
  package enum Kind: String, Sendable, Codable, CaseIterable {
    case network, country, region, model
  }

  package var kind: Kind {
    switch self {
    case .network: .network
    case .country: .country
    case .region: .region
    case .model: .model
    }
  }

  /// What it names, in its one way of writing.
  package var subject: String {
    switch self {
    case .network(let network): network.description
    case .country(let country): country.description
    case .region(let region): region.rawValue
    case .model(_, let pattern): pattern.description
    }
  }

  package var provider: String? {
    if case .model(let provider, _) = self { provider.description } else { nil }
  }

  /// Nil when the subject, or the provider, is none of its kind.
  package init?(_ kind: Kind, _ subject: String, provider: String?) {
    let match: Self? =
      switch kind {
      case .network: Network(subject).map { .network($0) }
      case .country: Country(subject).map { .country($0) }
      case .region: Region(rawValue: subject).map { .region($0) }
      case .model:
        if let provider = provider.flatMap(ProviderPattern.init),
          let pattern = ModelPattern(subject)
        {
          .model(provider: provider, pattern)
        } else {
          nil
        }
      }
    guard let match else { return nil }
    self = match
  }
}

extension Rule.Match: Codable {
  private enum CodingKeys: String, CodingKey {
    case kind, subject, provider
  }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let match = Self(
      try container.decode(Kind.self, forKey: .kind),
      try container.decode(String.self, forKey: .subject),
      provider: try container.decodeIfPresent(String.self, forKey: .provider))
    guard let match else {
      throw DecodingError.dataCorruptedError(
        forKey: .subject, in: container, debugDescription: "nothing that there is")
    }
    self = match
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(kind, forKey: .kind)
    try container.encode(subject, forKey: .subject)
    try container.encodeIfPresent(provider, forKey: .provider)
  }
}

// MARK: Commands and decide

package enum RuleCommand: Equatable, Sendable {
  case create(
    RuleID, project: ProjectID?, match: Rule.Match, effect: Rule.Effect, note: ExactText?,
    expiresAt: Timestamp?)
  /// Nil leaves something as it is; the inner nil removes it.
  case change(RuleID, effect: Rule.Effect?, note: ExactText??, expiresAt: Timestamp??)
  case delete(RuleID)
  /// The project has these rules from now on and no others. What is about the same as before stays the same rule.
  case replaceAll(of: ProjectID, [Draft])

  /// A rule that a project is to have, with the id that it gets if it is new.
  package struct Draft: Equatable, Sendable {
    let id: RuleID
    let match: Rule.Match
    let effect: Rule.Effect
    let note: ExactText?
    let expiresAt: Timestamp?

    package init(
      id: RuleID, match: Rule.Match, effect: Rule.Effect, note: ExactText? = nil,
      expiresAt: Timestamp? = nil
    ) {
      self.id = id
      self.match = match
      self.effect = effect
      self.note = note
      self.expiresAt = expiresAt
    }
  }

  /// What the command is about: a rule, or all rules of a project.
  package var entity: Entity {
    switch self {
    case .create(let id, _, _, _, _, _), .change(let id, _, _, _), .delete(let id): .rule(id)
    case .replaceAll(let projectID, _): .ruleSet(projectID)
    }
  }
}

extension Workspace {
  func decide(
    _ command: RuleCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    _ = try Organization.open(organization)
    switch command {
    case .create(let id, let projectID, let match, let effect, let note, let expiresAt):
      guard rules[id] == nil else { return [] }
      if let projectID { try requireOpen(projectID) }
      try requireFuture(expiresAt, in: context)
      try requireFeature(of: match, in: context)
      try requireNoOther(than: id, about: match, effect, in: projectID, context)
      try requireRoomForRule(in: projectID, context)
      return [
        .rule(
          .created(
            .init(
              ruleID: id, projectID: projectID, match: match, effect: effect, note: note,
              expiresAt: expiresAt)))
      ]
    case .change(let id, let effect, let note, let expiresAt):
      guard let rule = rules[id] else { throw .notFound(.rule) }
      let changed = RuleEvent.Changed(
        ruleID: id, effect: effect ?? rule.effect, note: note ?? rule.note,
        expiresAt: expiresAt ?? rule.expiresAt)
      guard changed != RuleEvent.Changed(ruleID: id, rule) else { return [] }
      if changed.expiresAt != rule.expiresAt { try requireFuture(changed.expiresAt, in: context) }
      // One that had expired may have been replaced meanwhile.
      try requireNoOther(than: id, about: rule.match, changed.effect, in: rule.projectID, context)
      return [.rule(.changed(changed))]
    case .delete(let id):
      guard rules[id] != nil else { throw .notFound(.rule) }
      return [.rule(.deleted(.init(ruleID: id)))]
    case .replaceAll(let projectID, let drafts):
      return try replaceRules(of: projectID, by: drafts, in: context)
    }
  }

  func requireOpen(_ projectID: ProjectID) throws(Rejection) {
    guard let project = projects[projectID] else { throw .notFound(.project) }
    guard project.archivedAt == nil else { throw .archived(.project) }
  }

  /// A rule that has expired when it is made, or changed, would never match anything.
  ///
  /// - Parameter index: the rule's place among those of a set.
  func requireFuture(
    _ expiresAt: Timestamp?, in context: CommandContext, index: Int? = nil
  ) throws(Rejection) {
    if let expiresAt, expiresAt <= context.time { throw .ruleExpired(index: index) }
  }

  /// Rules about addresses and countries are features of a plan.
  func requireFeature(
    of match: Rule.Match, in context: CommandContext
  ) throws(Rejection) {
    let feature: PlanFeature? =
      switch match {
      case .network: .networkControls
      case .country, .region: .regionRules
      case .model: nil
      }
    if let feature { try require(feature, in: context) }
  }

  /// Two rules in the same place about the same thing say the same, or contradict each other.
  private func requireNoOther(
    than id: RuleID, about match: Rule.Match, _ effect: Rule.Effect, in projectID: ProjectID?,
    _ context: CommandContext
  ) throws(Rejection) {
    let other = rules.of(projectID).filter {
      $0.key != id && $0.value.match == match && $0.value.isInForce(at: context.time)
    }.min { $0.key.uuid < $1.key.uuid }
    if let other { throw .ruleExists(other.key, isContradiction: other.value.effect != effect) }
  }

  /// A project has as many rules as the plan allows, and so has the workspace around it.
  private func requireRoomForRule(
    in projectID: ProjectID?, _ context: CommandContext
  ) throws(Rejection) {
    try requireRoom(for: .rulesPerProject, besides: ruleCount(in: projectID), in: context)
  }
}
