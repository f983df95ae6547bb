package import Domain
package import EventStore
import FoundationEssentials
import JSON
package import Postgres

/// Between what happened (Domain) and what is stored (EventStore).
extension WorkspaceEvent {
  /// Reads a stored event.
  ///
  /// - Throws: ``UnknownEventType``, or `DecodingError` when the payload is not of the type's shape.
  package init(_ recorded: RecordedEvent) throws {
    try self.init(
      type: recorded.type, schemaVersion: Int(recorded.schemaVersion),
      from: JSONPayload(bytes: recorded.payload))
  }
}

private struct JSONPayload: PayloadDecoder {
  let bytes: [UInt8]

  func decode<Payload: EventPayload>(_ type: Payload.Type) throws -> Payload {
    try StrictJSONDecoder().decode(type, from: bytes)
  }
}

extension RecordedEvent {
  /// What the fold needs to know of it.
  ///
  /// - Throws: ``FoldError`` when the kind of actor is unknown.
  package func metadata() throws(FoldError) -> EventMetadata {
    guard let kind = Actor.Kind(rawValue: actorKind) else {
      throw FoldError(version: version, reason: "unknown kind of actor: \(actorKind)")
    }
    return EventMetadata(
      version: version, occurredAt: Timestamp(occurredAt), actor: Actor(kind: kind, id: actorID))
  }
}

extension Workspace {
  /// Folds stored events in.
  ///
  /// - Throws: ``FoldError``, ``UnknownEventType`` or `DecodingError`: the workspace cannot be folded further.
  package mutating func fold(_ event: RecordedEvent) throws {
    try evolve(WorkspaceEvent(event), event.metadata())
  }
}

extension Timestamp {
  package init(_ timestamp: TimestampTZ) {
    self.init(clamping: timestamp.microsecondsSinceUnixEpoch)
  }
}

extension TimestampTZ {
  package init(_ timestamp: Timestamp) {
    self.init(clamping: timestamp.microseconds)
  }
}
