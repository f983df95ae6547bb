import Domain
import JSON
import NIOCore

extension ProviderKey {
  /// The key as callers see it: what tells it from others, never the key itself.
  func json(id: ProviderKeyID, organizationID: OrganizationID) -> JSONObject {
    var object = JSONObject()
    object.set("id", id.description)
    object.set("organization_id", organizationID.description)
    object.set("project_id", projectID.description)
    object.set("provider", provider.description)
    object.set("fingerprint", secret.fingerprint)
    object.set("last_four", secret.lastFour)
    object.set("key_version", secret.sealed.keyVersion)
    object.set("version", version)
    object.set("created_at", createdAt.rfc3339)
    object.set("updated_at", updatedAt.rfc3339)
    return object
  }
}

/// The body of `PUT …/provider-keys/{provider}`.
struct SetProviderKeyPayload {
  let key: String

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong, and never repeats the key.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let key = reader.string(
      "key", TextRules(8...500), where: { $0.utf8.allSatisfy { (0x21...0x7e).contains($0) } },
      otherwise: "must be visible ASCII characters without spaces, as the provider shows it")
    try reader.finish()
    guard let key else { throw Problem(.invalidRequest) }
    self.key = key
  }
}
