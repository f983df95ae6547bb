import Domain
import EventStore
import Hummingbird
import JSON

/// Recorded events as callers see them.
enum EventPayloads {
  /// A page of the feed; `next_after` is where the next one begins.
  ///
  /// - Throws: when a stored payload is not JSON.
  static func page(_ events: [RecordedEvent], nextAfter: Int64) throws -> Reply {
    var data = JSONArray()
    for event in events { data.append(try event.json()) }
    var body = JSONObject()
    body.set("data", data)
    body.set("next_after", nextAfter)
    return .json(body.bytes())
  }
}

extension RecordedEvent {
  /// The event as it is listed, streamed, and sent to webhooks: without what may only be stored.
  func json() throws -> JSONObject {
    var object = JSONObject()
    object.set("position", position)
    object.set("version", version)
    object.set("event_id", EventID(eventID).description)
    object.set("type", type)
    object.set("schema_version", Int64(schemaVersion))
    object.set("occurred_at", Timestamp(occurredAt).rfc3339)
    object.set("actor", Actor.Kind(rawValue: actorKind).map { Actor(kind: $0, id: actorID).json() })
    object.set("request_id", requestID)
    object.set("command_id", causationID.lowercased)
    let shown = try ShownPayload(of: self)
    object.set("payload", shown.payload)
    object.set("redacted", shown.redacted)
    object.set("previous_hash", previousHash.hexadecimal)
    object.set("hash", hash.hexadecimal)
    return object
  }
}

extension [UInt8] {
  fileprivate var hexadecimal: String {
    let digits = Array("0123456789abcdef".utf8)
    return String(unsafeUninitializedCapacity: count * 2) { buffer in
      for (index, byte) in enumerated() {
        buffer[2 * index] = digits[Int(byte >> 4)]
        buffer[2 * index + 1] = digits[Int(byte & 15)]
      }
      return count * 2
    }
  }
}
