import Domain
import JSON
import NIOCore

extension ServiceToken {
  /// The token as callers see it: never the secret.
  func json(id: ServiceTokenID, organizationID: OrganizationID) -> JSONObject {
    var object = JSONObject()
    object.set("id", id.description)
    object.set("organization_id", organizationID.description)
    object.set("name", name)
    object.set("role", role.rawValue)
    object.set("project_ids", projectIDs?.map(\.description))
    object.set("last_four", secret.lastFour)
    object.set("grace_until", former?.until.rfc3339)
    object.set("expires_at", expiresAt.rfc3339)
    object.set("revoked_at", revokedAt?.rfc3339)
    object.set("created_by", createdBy.json())
    object.set("version", version)
    object.set("created_at", createdAt.rfc3339)
    object.set("updated_at", updatedAt.rfc3339)
    return object
  }
}

extension JSONArray {
  /// Tokens by which people tell them apart, such as those that a former member made.
  init(_ tokens: [(id: ServiceTokenID, token: ServiceToken)]) {
    self.init()
    for (id, token) in tokens {
      var object = JSONObject()
      object.set("id", id.description)
      object.set("name", token.name)
      object.set("role", token.role.rawValue)
      object.set("project_ids", token.projectIDs?.map(\.description))
      object.set("last_four", token.secret.lastFour)
      object.set("expires_at", token.expiresAt.rfc3339)
      object.set("revoked_at", token.revokedAt?.rfc3339)
      append(object)
    }
  }
}

extension ServiceTokenRow {
  var json: JSONObject {
    var object = token.json(id: id, organizationID: organizationID)
    object.set("last_used_at", lastUsedAt?.rfc3339)
    return object
  }
}

/// The body of `POST …/service-tokens`.
struct CreateServiceTokenPayload {
  let name: ExactText
  let role: Role
  let projectIDs: [ProjectID]?
  let expiresAt: Timestamp

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer, now: Timestamp) throws {
    let reader = try PayloadReader(body)
    let name = reader.exactText("name", .name)
    let role = reader.choice("role", of: Role.self)
    projectIDs = reader.optionalStrings(
      "project_ids", 1...100, each: TextRules(1...64), where: { ProjectID($0) != nil },
      otherwise: "must be an id that starts with prj_"
    )?.compactMap { ProjectID($0) }
    let expiresAt = reader.future("expires_at", after: now, within: ServiceToken.longestLife)
    if let projectIDs, Set(projectIDs).count < projectIDs.count {
      reader.refuse("project_ids", "duplicate", "must name each project once")
    }
    if role == .owner { reader.refuse("role", "choice", "a token cannot be an owner") }
    try reader.finish()
    guard let name, let role, let expiresAt else { throw Problem(.invalidRequest) }
    self.name = name
    self.role = role
    self.expiresAt = expiresAt
  }
}

/// The body of `POST …/service-tokens/{token}/rotate`.
struct RotateServiceTokenPayload {
  let graceSeconds: Int64

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    guard body.readableBytes > 0 else {
      graceSeconds = 0
      return
    }
    let reader = try PayloadReader(body)
    graceSeconds = reader.optionalInteger("grace_seconds", 0...ServiceToken.longestGrace) ?? 0
    try reader.finish()
  }
}
