/// The folded state of one workspace: everything that its events say, and nothing else.
/// Tables, replies, the audit's before and after, dry runs and time travel are renderings of it.
package struct Workspace: Equatable, Sendable, Codable {
  /// Raised whenever ``evolve(_:_:)`` gives an old event another meaning or the state another shape:
  /// snapshots made by another fold are not used.
  package static let foldVersion = 1

  /// How many events are folded in; the version of the newest one.
  package private(set) var version: Int64 = 0
  /// Nil until the workspace is created.
  package private(set) var organization: Organization?
  package private(set) var members: [UserID: Member] = [:]
  package private(set) var projects: [ProjectID: Project] = [:]

  /// The state before any event.
  package init() {}

  private enum CodingKeys: String, CodingKey {
    case version, organization, members, projects
  }
}

/// What the log knows of an event besides its payload.
package struct EventMetadata: Equatable, Sendable {
  /// The event's place in its workspace, from 1 without gaps.
  package let version: Int64
  package let occurredAt: Timestamp
  package let actor: Actor

  package init(version: Int64, occurredAt: Timestamp, actor: Actor) {
    self.version = version
    self.occurredAt = occurredAt
    self.actor = actor
  }
}

/// The log contradicts itself: an event out of order, or one about something that does not exist.
package struct FoldError: Error, Equatable, Sendable {
  package let version: Int64
  package let reason: String

  package init(version: Int64, reason: String) {
    self.version = version
    self.reason = reason
  }
}

extension Workspace {
  /// Folds one event in. The only place where an event's meaning stands.
  package mutating func evolve(
    _ event: WorkspaceEvent, _ metadata: EventMetadata
  ) throws(FoldError) {
    guard metadata.version == version + 1 else {
      throw FoldError(version: metadata.version, reason: "version \(version + 1) was due")
    }
    switch event {
    case .organization(let event):
      organization = try Organization.evolve(organization, event, metadata)
    case .member(let event):
      members[event.userID] = Member.evolve(members[event.userID], event, metadata)
    case .project(let event):
      try Project.evolve(&projects[event.projectID], event, metadata)
    }
    version = metadata.version
  }

  /// The version of one entity, as its ETag shows it; nil when it does not exist.
  package func version(of entity: Entity) -> Int64? {
    switch entity {
    case .organization: organization?.version
    case .member(let id): members[id]?.version
    case .project(let id): projects[id]?.version
    }
  }
}
