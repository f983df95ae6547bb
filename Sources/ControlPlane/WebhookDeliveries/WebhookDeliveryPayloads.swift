import Domain
import JSON

extension WebhookDelivery {
  /// The delivery as callers see it.
  func json(to endpoint: WebhookEndpointID, in organization: OrganizationID) -> JSONObject {
    var object = JSONObject()
    object.set("event_id", id.description)
    object.set("endpoint_id", endpoint.description)
    object.set("organization_id", organization.description)
    object.set("position", position)
    object.set("event_type", eventType)
    object.set("status", status.rawValue)
    object.set("attempts", Int64(attempts))
    object.set("next_attempt_at", nextAttemptAt?.rfc3339)
    object.set(
      "last_attempt",
      last.map { last in
        var attempt = JSONObject()
        attempt.set("at", last.at.rfc3339)
        attempt.set("response_status", last.responseStatus.map { Int64($0) })
        attempt.set("response_excerpt", last.responseExcerpt)
        attempt.set("failure", last.failure)
        attempt.set("duration_ms", last.duration)
        return attempt
      })
    object.set("created_at", createdAt.rfc3339)
    object.set("finished_at", finishedAt?.rfc3339)
    return object
  }
}
