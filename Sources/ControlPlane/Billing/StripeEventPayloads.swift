import Domain
import JSON

extension StripeEventRow {
  /// The event as platform admins see it.
  var json: JSONObject {
    var object = JSONObject()
    object.set("id", id)
    object.set("type", type)
    object.set("api_version", apiVersion)
    object.set("livemode", isLive)
    object.set("subject", subject)
    object.set("organization_id", organizationID?.description)
    object.set("status", status.rawValue)
    object.set("reason", reason)
    object.set("attempts", Int64(attempts))
    object.set("created_at", createdAt.rfc3339)
    object.set("received_at", receivedAt.rfc3339)
    object.set("updated_at", updatedAt.rfc3339)
    object.set("retry_at", retryAt?.rfc3339)
    return object
  }

  /// As it would be.
  func with(_ status: Status, _ reason: String?) -> StripeEventRow {
    StripeEventRow(
      id: id, receivedAt: receivedAt, type: type, apiVersion: apiVersion, createdAt: createdAt,
      isLive: isLive, subject: subject, organizationID: organizationID, status: status,
      attempts: attempts, reason: reason, retryAt: retryAt, updatedAt: updatedAt)
  }
}
