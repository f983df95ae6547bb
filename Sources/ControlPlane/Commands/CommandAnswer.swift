import Domain
import FoundationEssentials
import JSON

/// What the writer says of a command that was carried out, or rehearsed.
enum CommandAnswer: Sendable {
  case outcome(CommandOutcome)
  /// What happened is certain; what its caller is told of it takes so long to write that others should not wait for it.
  case unrendered(UnrenderedOutcome)
}

/// A decided command, with the state that it is rendered from.
struct UnrenderedOutcome: Sendable {
  let request: CommandRequest
  /// As the command left it behind; for a dry run, as it was before.
  let workspace: Workspace
  /// What a dry run would append.
  let rehearsed: [WorkspaceEvent]
  /// Of the command's last event.
  let position: Int64?
  /// Whether the entity that the command is about was there before.
  let existed: Bool

  /// The outcome, rendered on threads that nothing else waits for.
  func rendered(on threads: BackgroundThreads) async throws(CommandError) -> CommandOutcome {
    do {
      return try await withTaskExecutorPreference(threads) {
        try await renderedElsewhere()
      }
    } catch {
      throw .failed(reason: "\(error)")
    }
  }

  @concurrent
  private func renderedElsewhere() async throws -> CommandOutcome {
    request.isDryRun ? try rehearsal() : reply()
  }

  private func reply() -> CommandOutcome {
    CommandOutcome(
      CommandReply(
        to: request.command, from: workspace, in: request.organizationID, at: request.occurredAt,
        existed: existed), position: position)
  }

  /// What would happen, rendered from a copy of the state that is then forgotten.
  func rehearsal() throws -> CommandOutcome {
    var workspace = workspace
    var appended = JSONArray()
    for event in rehearsed {
      let metadata = EventMetadata(
        version: workspace.version + 1, occurredAt: request.occurredAt, actor: request.actor)
      try workspace.evolve(event, metadata)
      var item = JSONObject()
      item.set("type", type(of: event.payload).type)
      item.set("schema_version", Int64(type(of: event.payload).schemaVersion))
      let shown = try ShownPayload(of: event)
      item.set("payload", shown.payload)
      item.set("redacted", shown.redacted)
      appended.append(item)
    }
    var body = JSONObject()
    body.set("dry_run", true)
    body.set("events", appended)
    let reply = CommandReply(
      to: request.command, from: workspace, in: request.organizationID, at: request.occurredAt)
    body.set("resource", reply.body)
    return CommandOutcome(
      status: 200, version: nil, location: nil, body: body.bytes(), position: nil, isReplay: false)
  }
}

extension CommandOutcome {
  /// What a caller is told now, and not for the second time.
  ///
  /// - Parameters:
  ///   - body: the reply's, if it is rendered already.
  ///   - position: of the command's last event; nil when it changed nothing.
  init(_ reply: CommandReply, body: [UInt8]? = nil, position: Int64?) {
    self.init(
      status: reply.status, version: reply.version, location: reply.location,
      body: body ?? reply.body?.bytes() ?? [], position: position, isReplay: false)
  }
}
