import Domain
import JSON
import NIOCore

extension APIKey {
  /// The key as callers see it: never the secret, nor its hash.
  func json(id: APIKeyID, organizationID: OrganizationID) -> JSONObject {
    var object = JSONObject()
    object.set("id", id.description)
    object.set("organization_id", organizationID.description)
    object.set("project_id", projectID.description)
    object.set("name", name)
    object.set("prefix", environment.apiKeyPrefix)
    object.set("last_four", secret.lastFour)
    object.set("rotated_from", rotatedFrom?.description)
    object.set("rotated_to", rotatedTo?.description)
    object.set("expires_at", expiresAt?.rfc3339)
    object.set("revoked_at", revokedAt?.rfc3339)
    object.set("revoked_reason", revokedReason)
    object.set("created_by", createdBy.json())
    object.set("version", version)
    object.set("created_at", createdAt.rfc3339)
    object.set("updated_at", updatedAt.rfc3339)
    return object
  }
}

/// The body of `POST …/api-keys`.
struct CreateAPIKeyPayload {
  let name: ExactText
  let expiresAt: Timestamp?

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer, now: Timestamp) throws {
    let reader = try PayloadReader(body)
    let name = reader.exactText("name", .name)
    expiresAt = reader.optionalFuture("expires_at", after: now)
    try reader.finish()
    guard let name else { throw Problem(.invalidRequest) }
    self.name = name
  }
}

/// The body of `PATCH …/api-keys/{key}`: a merge patch (RFC 7396). An expiry that has passed means now.
struct ChangeAPIKeyPayload {
  let name: ExactText?
  let expiresAt: Timestamp??

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    name = reader.replacement("name", reader.exactTextChange("name", .name))
    expiresAt = reader.timeChange("expires_at").removable
    try reader.finish()
  }
}

/// The body of `POST …/api-keys/{key}:rotate`.
struct RotateAPIKeyPayload {
  let graceSeconds: Int64

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    guard body.readableBytes > 0 else {
      graceSeconds = 0
      return
    }
    let reader = try PayloadReader(body)
    graceSeconds = reader.optionalInteger("grace_seconds", 0...APIKey.longestGrace) ?? 0
    try reader.finish()
  }
}
