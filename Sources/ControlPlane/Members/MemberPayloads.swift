import Domain
import JSON

extension Member {
  /// The membership as callers see it.
  func json(userID: UserID) -> JSONObject {
    var object = JSONObject()
    object.set("user_id", userID.description)
    object.set("role", role.rawValue)
    object.set("version", version)
    object.set("created_at", createdAt.rfc3339)
    return object
  }
}
