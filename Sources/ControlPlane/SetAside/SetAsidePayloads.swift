import Domain
import JSON

extension JobAttemptRow {
  /// The item as platform admins see it.
  ///
  /// - Parameter isDone: whether it was just carried out.
  func json(isDone: Bool = false) -> JSONObject {
    var object = JSONObject()
    object.set("id", id.description)
    object.set("kind", item.kind.rawValue)
    object.set("item", item.key)
    object.set("organization_id", item.organizationID?.description)
    object.set("status", isDone ? "done" : "set_aside")
    object.set("attempts", Int64(attempts))
    object.set("error", error)
    object.set("first_attempt_at", firstAttemptAt.rfc3339)
    object.set("last_attempt_at", lastAttemptAt.rfc3339)
    object.set("set_aside_at", setAsideAt?.rfc3339)
    return object
  }
}
