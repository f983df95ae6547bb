import ConfigurationFeed
import Domain
import EventStore
import FoundationEssentials
import Hummingbird
import JSON
import NIOCore
import Postgres

/// One caller's stream of a workspace's events: what is behind their cursor, then whatever happens, until somebody hangs up or
/// their right ends. A caller who does not read keeps nothing here but the page that is on its way.
struct EventStream: Sendable {
  /// How long clients wait before they connect again, in milliseconds.
  private static let retry = 1000
  private static let pageSize: Int64 = 200
  /// How often the right is looked at when nothing happens.
  private static let checkInterval: Duration = .milliseconds(500)

  let live: LiveEvents
  let organizationID: OrganizationID
  let cursor: Int64
  /// Everything up to here was there when the stream began.
  let head: Int64
  /// Who asks, as of now.
  ///
  /// Throws a ``Problem`` when they may not any more.
  let member: @Sendable () async throws -> Membership

  /// - Throws: when the caller is gone.
  @concurrent
  func write(to writer: inout any ResponseBodyWriter) async throws {
    live.streamOpened(at: head)
    defer { live.streamClosed() }
    try await writer.write(ByteBuffer(bytes: ServerSentEvent.retry(milliseconds: Self.retry)))
    guard cursor <= head else { return try await reset(writer: &writer) }
    var sent = cursor
    var heartbeats: Int?
    var nextCheck = ContinuousClock.now
    while !Task.isCancelled {
      let view = live.view(after: sent, of: organizationID.uuid)
      // They connect to another replica when this one goes.
      if view.isStopping { return }
      var buffer = ByteBuffer()
      var (next, isWaiting) = (view.position, true)
      do {
        if !view.events.isEmpty || !view.isComplete || ContinuousClock.now >= nextCheck {
          // Before anything is sent: what happened since they lost their right is not theirs to see.
          let member = try await member()
          nextCheck = .now + Self.checkInterval
          var events = view.events
          if !view.isComplete {
            events = try await olderEvents(member, after: sent)
            // When there are none, nothing of theirs is between the cursor and what is held.
            next = events.last?.position ?? next
            isWaiting = false
          }
          for event in events where member.maySee(event) {
            buffer.writeBytes(try event.streamed.bytes)
          }
        }
      } catch let problem as Problem where [401, 403, 404].contains(problem.kind.status.code) {
        return
      } catch  where error is Problem || (error as? PostgresError)?.isTransient == true {
        // A database that is away ends nobody's right, and has nothing to say.
        (next, isWaiting) = (sent, true)
      }
      if let heartbeats, view.heartbeats > heartbeats, buffer.readableBytes == 0 {
        buffer.writeBytes(ServerSentEvent.comment("heartbeat"))
      }
      heartbeats = view.heartbeats
      if buffer.readableBytes > 0 { try await writer.write(buffer) }
      sent = next
      if isWaiting { await live.wait(after: view.revision) }
    }
  }

  private func olderEvents(
    _ member: Membership, after position: Int64
  ) async throws -> [RecordedEvent] {
    try await member.reads.rows(
      EventLog.events(of: organizationID.uuid, after: position, limit: Self.pageSize)
    ).map { row throws(PostgresError) in try RecordedEvent(row) }
  }

  @concurrent
  private func reset(writer: inout any ResponseBodyWriter) async throws {
    var data = JSONObject()
    data.set("reason", "the cursor is ahead of the log")
    try await writer.write(
      ByteBuffer(
        bytes: ServerSentEvent(
          event: "reset", data: String(decoding: data.bytes(), as: UTF8.self)
        ).bytes))
  }
}

extension RecordedEvent {
  /// As it is listed, with its position for an id.
  fileprivate var streamed: ServerSentEvent {
    get throws {
      ServerSentEvent(
        id: "\(position)", event: "event", data: String(decoding: try json().bytes(), as: UTF8.self)
      )
    }
  }
}

extension Membership {
  /// The types of events that they may read; nil when they may read all.
  var readableEventTypes: [String]? { role.flatMap { WorkspaceEvent.types(readableBy: $0) } }

  /// Whether they may read what an event happened to. An event that this program does not know is for owners, who may read all.
  fileprivate func maySee(_ event: RecordedEvent) -> Bool {
    guard let role else { return true }
    guard let permission = WorkspaceEvent.permissionToRead(eventOfType: event.type) else {
      return role == .owner
    }
    return role.may(permission)
  }
}
