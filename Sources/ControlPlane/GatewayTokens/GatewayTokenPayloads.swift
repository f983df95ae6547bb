import Domain
import JSON
import NIOCore

extension GatewayToken {
  /// The token as platform admins see it: never the secret.
  func json(id: GatewayTokenID) -> JSONObject {
    var object = JSONObject()
    object.set("id", id.description)
    object.set("name", name)
    object.set("last_four", secret.lastFour)
    object.set("expires_at", expiresAt?.rfc3339)
    object.set("revoked_at", revokedAt?.rfc3339)
    object.set("created_by", createdBy.json())
    object.set("version", version)
    object.set("created_at", createdAt.rfc3339)
    return object
  }
}

/// The body of `POST /v1/platform/gateway-tokens`.
struct CreateGatewayTokenPayload {
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
