import Domain
import EventStore
import FoundationEssentials
import JSON
import Postgres

/// A command that writes thousands of rows, with what a large change is decided on.
struct LargeChangeDraft: Sendable {
  let request: CommandRequest
  /// The state's place in its stream. The change is only appended if it is still the newest one.
  let base: StreamHead
  let workspace: Workspace
  let plans: PlanCatalog
  let upgrades: PlanUpgrades
}

/// The workspace has moved on since the draft was made, or its caller may not ask any more.
struct OutdatedDraft: Error {}

/// A large change with all that does not depend on its place in the log: decided, folded, rendered and encoded.
struct PreparedChange: Sendable {
  struct Part: Sendable {
    let event: WorkspaceEvent
    /// Canonical JSON.
    let payload: [UInt8]
    let difference: AuditedDifference
  }

  let base: StreamHead
  /// As the change leaves it behind.
  let workspace: Workspace
  let parts: [Part]
  /// The rows of what it touches.
  let writes: [Query]
  /// What gateways are told, as a merge patch; nil for nothing.
  let configurationPatch: [UInt8]?
  let reply: CommandReply
  let body: [UInt8]

  /// Folds the events into a copy of the draft's state.
  ///
  /// - Throws: ``FoldError`` or an encoding error: the decider and the fold disagree.
  init(_ events: [WorkspaceEvent], of draft: LargeChangeDraft) throws {
    let (request, id) = (draft.request, draft.request.organizationID)
    var workspace = draft.workspace
    let existed = workspace.version(of: request.command.entity(in: id)) != nil
    var change = ConfigurationChange(of: id, plans: draft.plans)
    var parts: [Part] = []
    var touched: Set<Entity> = []
    for event in events {
      let payload = try CanonicalJSONEncoder().encode(event.payload)
      let before = workspace.audited(event, in: id)
      change.note(event, before: workspace)
      try workspace.evolve(
        event,
        EventMetadata(
          version: workspace.version + 1, occurredAt: request.occurredAt, actor: request.actor))
      let after = workspace.audited(event, in: id)
      parts.append(
        Part(
          event: event, payload: payload, difference: AuditedDifference(from: before, to: after)))
      touched.formUnion(event.changedEntities(in: id))
      if event.touchesOrganization { touched.insert(.organization(id)) }
    }
    let writes = EntityWrites(
      touched.map { TouchedEntity(organizationID: id, entity: $0, workspace: workspace) })
    base = draft.base
    self.workspace = workspace
    self.parts = parts
    self.writes = writes.upserts + writes.deletes
    configurationPatch = change.patch(after: workspace).bytes
    reply = CommandReply(
      to: request.command, from: workspace, in: id, at: request.occurredAt, existed: existed)
    body = reply.body?.bytes() ?? []
  }
}

/// A large change on its way back to the writer.
struct LargeChange: Sendable {
  enum Preparation: Sendable {
    /// Its rows are written in a transaction that waits for the writer.
    case written(PreparedChange, SessionHandoff)
    /// Nothing has to be written.
    case answered(PendingCommand.Answer)
    case failed(any Error)
  }

  let command: PendingCommand
  /// How often it was prepared, from 1.
  let attempt: Int
  let preparation: Preparation
}
