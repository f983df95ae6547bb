import Cryptography
package import FoundationEssentials
import JSON
import Postgres

/// The chain that makes a stream's history tamper-evident: every event's hash covers the hash before it.
///
/// hash = SHA-256(previous hash ‖ canonical JSON of the envelope), where the envelope is the object of
/// `actor_id` (absent for the system), `actor_kind`, `causation_id`, `event_id`, `occurred_at` (microseconds since
/// the Unix epoch), `organization_id`, `payload`, `position`, `request_id` (absent when there was none),
/// `schema_version`, `type` and `version`. Ids are lowercase UUIDs, and the canonical form is ``JSONObject/canonicalBytes()``.
package enum HashChain {
  /// What the first event of a stream is chained to.
  package static let genesis = [UInt8](repeating: 0, count: 32)

  /// - Parameter payload: canonical JSON of an object.
  static func hash(
    of event: UnrecordedEvent, payload: [UInt8], organizationID: UUID, version: Int64,
    position: Int64, previousHash: [UInt8]
  ) -> [UInt8] {
    var envelope = JSONObject()
    if let actorID = event.actorID { envelope.set("actor_id", actorID.lowercased) }
    envelope.set("actor_kind", event.actorKind)
    envelope.set("causation_id", event.causationID.lowercased)
    envelope.set("event_id", event.eventID.lowercased)
    envelope.set("occurred_at", event.occurredAt.microsecondsSinceUnixEpoch)
    envelope.set("organization_id", organizationID.lowercased)
    // The payload stands between two members by its name, and is canonical already: it may be a megabyte.
    var rest = JSONObject()
    rest.set("position", position)
    if let requestID = event.requestID { rest.set("request_id", requestID) }
    rest.set("schema_version", Int64(event.schemaVersion))
    rest.set("type", event.type)
    rest.set("version", version)
    return SHA256.hash(
      previousHash, Array(envelope.canonicalBytes().dropLast()), Array(",\"payload\":".utf8),
      payload, Array(",".utf8), Array(rest.canonicalBytes().dropFirst())
    ).bytes
  }

  /// What is wrong with a stored event, if anything, given the stream's head before it.
  ///
  /// - Throws: when the stored payload is not JSON.
  package static func defect(
    in event: RecordedEvent, after head: StreamHead
  ) throws -> Defect? {
    guard event.version == head.version + 1 else {
      return .gap(organizationID: event.organizationID, expected: head.version + 1)
    }
    guard event.previousHash == head.hash else {
      return .brokenLink(organizationID: event.organizationID, version: event.version)
    }
    let unrecorded = UnrecordedEvent(
      eventID: event.eventID, type: event.type, schemaVersion: event.schemaVersion,
      actorKind: event.actorKind, actorID: event.actorID, requestID: event.requestID,
      causationID: event.causationID, occurredAt: event.occurredAt)
    let expected = hash(
      of: unrecorded, payload: try JSONObject(parsing: event.payload).canonicalBytes(),
      organizationID: event.organizationID, version: event.version, position: event.position,
      previousHash: event.previousHash)
    return expected == event.hash
      ? nil : .wrongHash(organizationID: event.organizationID, version: event.version)
  }

  /// A place where the log is not what was appended.
  package enum Defect: Error, Equatable, Sendable {
    case gap(organizationID: UUID, expected: Int64)
    case brokenLink(organizationID: UUID, version: Int64)
    case wrongHash(organizationID: UUID, version: Int64)
  }
}

extension UUID {
  /// The canonical text form (RFC 9562, section 4), as PostgreSQL prints it too.
  package var lowercased: String {
    withUnsafeBytes(of: uuid) { bytes in
      String(unsafeUninitializedCapacity: 36) { buffer in
        let digits: StaticString = "0123456789abcdef"
        var index = 0
        for (offset, byte) in bytes.enumerated() {
          if offset == 4 || offset == 6 || offset == 8 || offset == 10 {
            buffer[index] = UInt8(ascii: "-")
            index += 1
          }
          buffer[index] = digits.utf8Start[Int(byte >> 4)]
          buffer[index + 1] = digits.utf8Start[Int(byte & 15)]
          index += 2
        }
        return index
      }
    }
  }
}
