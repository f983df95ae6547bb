// MARK: Events

package enum OnboardingEvent: Equatable, Sendable {
  case factRecorded(FactRecorded)
  case advanced(Advanced)
  case completed(Completed)
  case dismissed(Dismissed)
  case resumed(Resumed)

  /// Something was seen that no other event of the workspace tells, such as its first request.
  package struct FactRecorded: EventPayload {
    package static let type = "organization.onboarding_fact_recorded"
    package let step: Onboarding.Step
    package var event: WorkspaceEvent { .onboarding(.factRecorded(self)) }
  }

  /// Facts have carried the workspace to another step: written in the batch of the fact that did it.
  package struct Advanced: EventPayload {
    package static let type = "organization.onboarding_advanced"
    package let from: Onboarding.Step
    package let to: Onboarding.Step
    package var event: WorkspaceEvent { .onboarding(.advanced(self)) }
  }

  package struct Completed: EventPayload {
    package static let type = "organization.onboarding_completed"
    package var event: WorkspaceEvent { .onboarding(.completed(self)) }
  }

  package struct Dismissed: EventPayload {
    package static let type = "organization.onboarding_dismissed"
    package var event: WorkspaceEvent { .onboarding(.dismissed(self)) }
  }

  /// Taken up again, where the facts are now.
  package struct Resumed: EventPayload {
    package static let type = "organization.onboarding_resumed"
    package var event: WorkspaceEvent { .onboarding(.resumed(self)) }
  }

  static let payloadTypes: [any EventPayload.Type] = [
    FactRecorded.self, Advanced.self, Completed.self, Dismissed.self, Resumed.self,
  ]

  var payload: any EventPayload {
    switch self {
    case .factRecorded(let payload): payload
    case .advanced(let payload): payload
    case .completed(let payload): payload
    case .dismissed(let payload): payload
    case .resumed(let payload): payload
    }
  }
}

// MARK: State and evolve

/// How far a workspace is set up: a state machine over facts, which may come in any order.
///
///     workspace_created → project_created → provider_connected → key_issued → first_request_seen → completed
///
/// The state is the last step before the first one whose fact is missing. `dismissed` may be entered from any state
/// before `completed`, and left again.
package struct Onboarding: Equatable, Sendable, Codable {
  /// The steps that facts decide, in their order. The raw values are stored.
  package enum Step: String, Sendable, Codable, CaseIterable {
    case workspaceCreated = "workspace_created"
    case projectCreated = "project_created"
    case providerConnected = "provider_connected"
    case keyIssued = "key_issued"
    case firstRequestSeen = "first_request_seen"
  }

  package enum State: Equatable, Sendable {
    case step(Step)
    case completed
    case dismissed

    /// The contract's name.
    package var name: String {
      switch self {
      case .step(let step): step.rawValue
      case .completed: "completed"
      case .dismissed: "dismissed"
      }
    }
  }

  /// What somebody may ask for. The raw values are the contract's names.
  package enum Transition: String, Sendable, CaseIterable {
    case complete, dismiss, resume
  }

  /// When each step's fact came first.
  package private(set) var facts: [Step: Timestamp]
  package private(set) var completedAt: Timestamp?
  package private(set) var dismissedAt: Timestamp?

  private enum CodingKeys: String, CodingKey {
    case facts
    case completedAt = "completed_at"
    case dismissedAt = "dismissed_at"
  }

  init(createdAt: Timestamp) {
    facts = [.workspaceCreated: createdAt]
  }

  package var state: State {
    if completedAt != nil { return .completed }
    return dismissedAt != nil ? .dismissed : .step(step)
  }

  /// How far the facts go, whatever anybody asked for.
  package var step: Step { Self.step(with: Set(facts.keys)) }

  /// Who may see to the step; nil when it is traffic that does.
  package static func permission(for step: Step) -> Permission? {
    switch step {
    case .workspaceCreated, .firstRequestSeen: nil
    case .projectCreated: .projectWrite
    case .providerConnected: .providerKeyWrite
    case .keyIssued: .apiKeyWrite
    }
  }

  /// The steps whose facts are missing, in order.
  package var missing: [Step] { Step.allCases.filter { facts[$0] == nil } }

  /// What may be asked for now.
  package var transitions: [Transition] { Self.transitions(from: state.name) }

  /// What may be asked for in the state with this name.
  package static func transitions(from state: String) -> [Transition] {
    switch state {
    case "completed": []
    case "dismissed": [.resume]
    case Step.firstRequestSeen.rawValue: [.complete, .dismiss]
    default: [.dismiss]
    }
  }

  static func step(with facts: Set<Step>) -> Step {
    let reached = Step.allCases.prefix { facts.contains($0) }
    return reached.last ?? .workspaceCreated
  }

  mutating func record(_ fact: Step, at time: Timestamp) {
    if facts[fact] == nil { facts[fact] = time }
  }

  mutating func evolve(_ event: OnboardingEvent, _ metadata: EventMetadata) {
    switch event {
    // The facts, which came first, say so already.
    case .factRecorded, .advanced: break
    case .completed: completedAt = metadata.occurredAt
    case .dismissed: dismissedAt = metadata.occurredAt
    case .resumed: dismissedAt = nil
    }
  }
}

extension Onboarding.Step: CodingKeyRepresentable {}

extension WorkspaceEvent {
  /// The step of onboarding that this event is the fact of: it changes the organization too.
  package var onboardingFact: Onboarding.Step? {
    switch self {
    case .organization(.created): .workspaceCreated
    case .project(.created): .projectCreated
    case .providerKey(.set): .providerConnected
    case .apiKey(.created): .keyIssued
    case .onboarding(.factRecorded(let fact)): fact.step
    case .usage(.recorded): .firstRequestSeen
    case .organization(.renamed), .organization(.archived), .member, .invitation, .serviceToken,
      .project(.renamed), .project(.thresholdsChanged), .project(.budgetsChanged),
      .project(.panicModeEnabled),
      .project(.panicModeDisabled), .project(.archived), .rule, .ruleSet, .apiKey(.renamed),
      .apiKey(.expiryChanged), .apiKey(.rotated), .apiKey(.revoked),
      .providerKey(.rewrapped), .providerKey(.deleted), .webhookEndpoint, .plan,
      .onboarding(.advanced),
      .onboarding(.completed), .onboarding(.dismissed), .onboarding(.resumed), .account,
      .gatewayToken, .credits, .usage(.thresholdReached), .billing:
      nil
    }
  }
}

// MARK: Commands and decide

package enum OnboardingCommand: Equatable, Sendable {
  case request(Onboarding.Transition)
  /// Reported by whoever saw it.
  case record(Onboarding.Step)
}

extension Workspace {
  func decide(_ command: OnboardingCommand) throws(Rejection) -> [WorkspaceEvent] {
    _ = try Organization.open(organization)
    guard let onboarding else { throw .notFound(.organization) }
    switch command {
    case .record(let step):
      return onboarding.facts[step] == nil ? [.onboarding(.factRecorded(.init(step: step)))] : []
    case .request(let transition):
      switch (transition, onboarding.state) {
      case (.complete, .completed), (.dismiss, .dismissed): return []
      case (.resume, .step): return []
      case (.complete, .step(.firstRequestSeen)): return [.onboarding(.completed(.init()))]
      case (.dismiss, .step): return [.onboarding(.dismissed(.init()))]
      case (.resume, .dismissed): return [.onboarding(.resumed(.init()))]
      case (.complete, .step), (.complete, .dismissed), (.dismiss, .completed),
        (.resume, .completed):
        throw .illegalTransition(
          transition, allowed: onboarding.transitions, missing: onboarding.missing)
      }
    }
  }

  /// What a batch of events adds to itself when their facts carry the onboarding on.
  func onboardingProgress(after events: [WorkspaceEvent]) -> [WorkspaceEvent] {
    guard let onboarding, onboarding.state != .completed else { return [] }
    let news = events.compactMap(\.onboardingFact)
    guard !news.isEmpty else { return [] }
    let step = Onboarding.step(with: Set(onboarding.facts.keys).union(news))
    guard step != onboarding.step else { return [] }
    return [.onboarding(.advanced(.init(from: onboarding.step, to: step)))]
  }
}
