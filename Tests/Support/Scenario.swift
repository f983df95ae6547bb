package import Domain
import FoundationEssentials
package import Testing

/// Specifies a decider by example:
///
///     given(created, archived).when(.organization(.rename(name: "Acme", slug: nil)))
///       .thenRejected(.archived(.organization))
///
/// The events are folded into the workspace, the command is decided on it, and what comes out is compared. Time and
/// actor of the n-th event are ``Scenario/time(_:)`` and ``Scenario/actor``.
package func given(
  _ events: WorkspaceEvent..., at location: SourceLocation = #_sourceLocation
) -> Scenario {
  Scenario(events, location)
}

/// The same, for a history that is made by a program.
package func given(
  _ events: [WorkspaceEvent], at location: SourceLocation = #_sourceLocation
) -> Scenario {
  Scenario(events, location)
}

/// A workspace with a history.
package struct Scenario {
  package static let actor = Actor.user(
    UserID(UUID(uuid: (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16))))

  /// When the event with this version happened.
  package static func time(_ version: Int64) -> Timestamp {
    Timestamp(clamping: 1_000_000 &* version)
  }

  package private(set) var workspace = Workspace()
  private var foldError: FoldError?

  fileprivate init(_ events: [WorkspaceEvent], _ location: SourceLocation) {
    do throws(FoldError) {
      for event in events { try workspace.fold(event) }
    } catch {
      foldError = error
      Issue.record(error, "the given events cannot be folded", sourceLocation: location)
    }
  }

  /// Decides the command, by whom and when the next event would be unless said otherwise.
  package func when(
    _ command: WorkspaceCommand, by actor: Actor = Scenario.actor, at time: Timestamp? = nil,
    plans: PlanCatalog = .standard, upgrades: PlanUpgrades = .selfService,
    isByPlatform: Bool = false
  ) -> Decision {
    let context = CommandContext(
      actor: actor, time: time ?? Self.time(workspace.version + 1), plans: plans,
      upgrades: upgrades, isByPlatform: isByPlatform)
    return Decision(
      before: workspace,
      result: Result { () throws(Rejection) in try workspace.decide(command, in: context) })
  }

  /// Asserts that the next event makes the fold stop, and that the state stays as it was.
  package func thenCannotFold(
    _ event: WorkspaceEvent, version: Int64? = nil, at location: SourceLocation = #_sourceLocation
  ) {
    var after = workspace
    #expect(throws: FoldError.self, sourceLocation: location) {
      try after.fold(event, version: version)
    }
    #expect(after == workspace, sourceLocation: location)
  }
}

/// What became of a command.
package struct Decision {
  let before: Workspace
  let result: Result<[WorkspaceEvent], Rejection>

  /// Asserts that exactly these events are yielded, and that they can be folded.
  @discardableResult
  package func then(
    _ events: WorkspaceEvent..., at location: SourceLocation = #_sourceLocation
  ) -> Workspace {
    #expect(result == .success(events), sourceLocation: location)
    var after = before
    do {
      for event in events { try after.fold(event) }
    } catch {
      Issue.record(error, sourceLocation: location)
    }
    return after
  }

  /// Asserts that nothing changes.
  package func thenNothing(at location: SourceLocation = #_sourceLocation) {
    #expect(result == .success([]), sourceLocation: location)
  }

  /// Asserts the refusal.
  package func thenRejected(
    _ rejection: Rejection, at location: SourceLocation = #_sourceLocation
  ) {
    #expect(result == .failure(rejection), sourceLocation: location)
  }
}

extension Workspace {
  /// Folds one more event in, with the next version unless another is given.
  package mutating func fold(_ event: WorkspaceEvent, version: Int64? = nil) throws(FoldError) {
    let version = version ?? self.version + 1
    try evolve(
      event,
      EventMetadata(
        version: version, occurredAt: Scenario.time(version), actor: Scenario.actor))
  }
}
