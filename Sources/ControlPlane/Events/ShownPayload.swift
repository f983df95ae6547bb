import Domain
import EventStore
import JSON

/// An event's payload as it leaves the store: without hashes of secrets and without anything sealed.
///
/// Lists, streams, webhooks and dry runs show events by way of this type, and nothing else of a payload is shown anywhere. What
/// is left out is decided by the types of the payload's members (``Undisclosed``), so a feature cannot forget it.
struct ShownPayload {
  let payload: JSONObject
  /// A JSON Pointer into the payload to each member that is left out.
  let redacted: [String]

  /// - Throws: `EncodingError` when the payload cannot be written as JSON.
  init(of event: WorkspaceEvent) throws {
    (payload, redacted) = try Self.encode(event.payload)
  }

  /// A payload that this program cannot read is left out as a whole: nobody knows what is in it.
  ///
  /// - Throws: `EncodingError` when the payload cannot be written as JSON.
  init(of recorded: RecordedEvent) throws {
    if let event = try? WorkspaceEvent(recorded) {
      try self.init(of: event)
    } else {
      self.init(payload: JSONObject(), redacted: [""])
    }
  }

  private init(payload: JSONObject, redacted: [String]) {
    self.payload = payload
    self.redacted = redacted
  }

  private static func encode(_ payload: some EventPayload) throws -> (JSONObject, [String]) {
    let (object, missing) = try CanonicalJSONEncoder().encodeObject(payload) {
      $0 is any Undisclosed
    }
    return (object, missing.sorted())
  }
}
