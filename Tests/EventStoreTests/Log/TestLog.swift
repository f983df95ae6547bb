import FoundationEssentials
import JSON
import Postgres
import Support

@testable import EventStore

/// Appends as a command handler does, without any features.
enum TestLog {
  /// Appends events to one stream, in a transaction of their own.
  static func append(
    _ count: Int, to stream: UUID, type: String = "thing.happened",
    text: String = "Zürich 🚂 \"quoted\"", as replica: UUID = UUID(), _ session: Session
  ) throws {
    let opening: [Query] = [
      "BEGIN", EventLog.lockHead,
      """
      SELECT version, hash FROM events WHERE organization_id = \(stream) \
      ORDER BY version DESC LIMIT 1
      """,
    ]
    var results = try session.pipeline(opening, deadline: .soon)
    while let revocation = try Revocation(results[1][0], by: replica) {
      _ = try session.execute("ROLLBACK", deadline: .soon)
      try revocation.carryOut(session, deadline: .soon)
      results = try session.pipeline(opening, deadline: .soon)
    }
    var position = try results[1][0].decode(Int64.self)
    var head = StreamHead.empty
    if let newest = results[2].first {
      let (version, hash) = try newest.decode((Int64, [UInt8]).self)
      head = StreamHead(version: version, hash: hash)
    }
    var events: [RecordedEvent] = []
    for number in 0..<count {
      position += 1
      var payload = JSONObject()
      payload.set("number", number)
      payload.set("text", text)
      let event = UnrecordedEvent(
        eventID: UUID(), type: type, schemaVersion: 1, actorKind: "somebody", actorID: UUID(),
        requestID: "req-\(number)", causationID: UUID(),
        occurredAt: TimestampTZ(clamping: 1_700_000_000_000_000 + position)
      ).recorded(
        payload: payload.canonicalBytes(), organizationID: stream, after: head, position: position)
      head = StreamHead(version: event.version, hash: event.hash)
      events.append(event)
    }
    _ = try session.pipeline(EventLog.append(events) + ["COMMIT"], deadline: .soon)
  }

  /// All events in the order of positions.
  static func all(_ session: Session) throws -> [RecordedEvent] {
    try session.execute(EventLog.events(after: 0, limit: 1_000_000), deadline: .soon)
      .map { row throws in try RecordedEvent(row) }
  }

  /// The first defect of any stream.
  static func defect(_ session: Session) throws -> HashChain.Defect? {
    var heads: [UUID: StreamHead] = [:]
    let events = try session.execute(
      """
      SELECT \(fragment: EventLog.columns) FROM events ORDER BY organization_id, version
      """, deadline: .soon)
    for row in events {
      let event = try RecordedEvent(row)
      let head = heads[event.organizationID] ?? .empty
      if let defect = try HashChain.defect(in: event, after: head) { return defect }
      heads[event.organizationID] = StreamHead(version: event.version, hash: event.hash)
    }
    return nil
  }
}

extension LogTail.Topic {
  /// What ``TestLog`` appends to a stream.
  static func things(of stream: UUID) -> LogTail.Topic {
    LogTail.Topic(organizationID: stream, subject: "thing")
  }
}
