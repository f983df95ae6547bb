import Domain
import FoundationEssentials
import JSON
import NIOCore

extension PersonalAccessToken {
  /// The token as its owner sees it: never the secret.
  func json(id: PersonalAccessTokenID) -> JSONObject {
    var object = JSONObject()
    object.set("id", id.description)
    object.set("name", name)
    object.set("last_four", secret.lastFour)
    object.set("expires_at", expiresAt?.rfc3339)
    object.set("revoked_at", revokedAt?.rfc3339)
    object.set("version", version)
    object.set("created_at", createdAt.rfc3339)
    return object
  }
}

extension Account {
  /// The account as the audit sees it.
  func json(userID: UserID) -> JSONObject {
    var object = JSONObject()
    object.set("id", userID.description)
    object.set("version", version)
    object.set("erased_at", erasedAt?.rfc3339)
    return object
  }
}

/// The body of `POST /v1/me/tokens`.
struct CreatePersonalAccessTokenPayload {
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
