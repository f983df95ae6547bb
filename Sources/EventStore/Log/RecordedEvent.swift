package import FoundationEssentials
package import Postgres

/// One entry of the log as it is stored. The log knows names and bytes; what they mean is for others to say.
package struct RecordedEvent: Sendable, Equatable {
  /// The stream; every workspace is one.
  package let organizationID: UUID
  /// The place in the stream, from 1 without gaps.
  package let version: Int64
  /// The place among all events, in the order of commits, from 1 without gaps.
  package let position: Int64
  package let eventID: UUID
  /// The stored name of what happened, such as `project.created`.
  package let type: String
  package let schemaVersion: Int32
  /// Canonical JSON.
  package let payload: [UInt8]
  package let actorKind: String
  package let actorID: UUID?
  package let requestID: String?
  /// The command that caused it; all events of one command share it.
  package let causationID: UUID
  package let occurredAt: TimestampTZ
  /// The hash of the stream's event before this one; 32 zero bytes before the first.
  package let previousHash: [UInt8]
  /// See ``HashChain``.
  package let hash: [UInt8]
}

/// What is to be appended; its place and its hash are given by the log.
package struct UnrecordedEvent: Sendable {
  package let eventID: UUID
  package let type: String
  package let schemaVersion: Int32
  package let actorKind: String
  package let actorID: UUID?
  package let requestID: String?
  package let causationID: UUID
  package let occurredAt: TimestampTZ

  package init(
    eventID: UUID, type: String, schemaVersion: Int32, actorKind: String, actorID: UUID?,
    requestID: String?, causationID: UUID, occurredAt: TimestampTZ
  ) {
    self.eventID = eventID
    self.type = type
    self.schemaVersion = schemaVersion
    self.actorKind = actorKind
    self.actorID = actorID
    self.requestID = requestID
    self.causationID = causationID
    self.occurredAt = occurredAt
  }

  /// Gives the event its place behind `head` of its stream and at `position` of the log.
  ///
  /// - Parameter payload: canonical JSON of an object.
  package func recorded(
    payload: [UInt8], organizationID: UUID, after head: StreamHead, position: Int64
  ) -> RecordedEvent {
    let version = head.version + 1
    let hash = HashChain.hash(
      of: self, payload: payload, organizationID: organizationID, version: version,
      position: position, previousHash: head.hash)
    return RecordedEvent(
      organizationID: organizationID, version: version, position: position, eventID: eventID,
      type: type, schemaVersion: schemaVersion, payload: payload,
      actorKind: actorKind, actorID: actorID, requestID: requestID, causationID: causationID,
      occurredAt: occurredAt, previousHash: head.hash, hash: hash)
  }
}

/// The newest entry of one stream: what the next one is chained to.
package struct StreamHead: Sendable, Equatable {
  /// 0 before the first event.
  package var version: Int64
  package var hash: [UInt8]

  package init(version: Int64, hash: [UInt8]) {
    self.version = version
    self.hash = hash
  }

  /// A stream without events.
  package static let empty = StreamHead(version: 0, hash: HashChain.genesis)
}
