import Domain
import FoundationEssentials
import JSON
import Postgres

extension AuditEventTable.Filter {
  /// Reads `actor`, `action`, `target`, `since` and `until`.
  init(_ query: QueryReader) {
    if let text = query.string("actor", where: { Actor.uuid($0) != nil }, otherwise: Self.idRule) {
      actorID = Actor.uuid(text)
    }
    if let text = query.string("target", where: { Entity.uuid($0) != nil }, otherwise: Self.idRule)
    {
      targetID = Entity.uuid(text)
    }
    action = query.string(
      "action", TextRules(1...100), where: Self.isEventType,
      otherwise: "must be a type of event such as project.created")
    since = query.time("since").map { TimestampTZ($0) }
    until = query.time("until").map { TimestampTZ($0) }
  }

  private static let idRule = "must be an id such as prj_01h2xcejqtf2nbrexx3vqjhp41"

  /// Two or more words of lowercase letters and underscores, joined by points.
  private static func isEventType(_ text: String) -> Bool {
    let words = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    return words.count >= 2
      && words.allSatisfy { word in
        word.split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false).allSatisfy {
          !$0.isEmpty && $0.allSatisfy((UInt8(ascii: "a")...UInt8(ascii: "z")).contains)
        }
      }
  }

  /// Names the filter, so that a cursor goes on with no other.
  var scope: String {
    """
    \(actorID.debugDescription) \(targetID.debugDescription) \(action.debugDescription) \
    \(since.debugDescription) \(until.debugDescription)
    """
  }
}

extension AuditEventRow {
  /// The audit event as callers see it.
  ///
  /// - Throws: when a stored before or after is not JSON.
  func json() throws -> JSONObject {
    var target = JSONObject()
    target.set("kind", targetKind)
    target.set("id", Entity.Kind(rawValue: targetKind)?.externalID(targetID))

    var object = JSONObject()
    object.set("position", position)
    object.set("event_id", EventID(eventID).description)
    object.set("version", version)
    object.set("action", action)
    object.set("actor", Actor.Kind(rawValue: actorKind).map { Actor(kind: $0, id: actorID).json() })
    object.set("target", target)
    object.set("occurred_at", Timestamp(occurredAt).rfc3339)
    object.set("request_id", requestID)
    object.set("ip", address)
    object.set("user_agent", userAgent)
    object.set("before", try before.map { try JSONObject(parsing: $0.utf8) })
    object.set("after", try after.map { try JSONObject(parsing: $0.utf8) })
    return object
  }
}
