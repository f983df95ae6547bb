package import Domain
package import JSON

/// What gateways know of an API key: enough to recognize it, not enough to use it.
package struct ConfiguredAPIKey: Hashable, Sendable {
  /// HMAC-SHA-256 of the key under the key pepper, as base64url of 32 bytes.
  package var hash: String
  /// Nil when it does not expire. Also the end of the grace of a secret that was rotated.
  package var expiresAt: Timestamp?

  package init(hash: String, expiresAt: Timestamp? = nil) {
    self.hash = hash
    self.expiresAt = expiresAt
  }

  package var json: JSONObject {
    var object = JSONObject()
    object.set("hash", hash)
    if let expiresAt { object.set("expires_at", expiresAt.rfc3339) }
    return object
  }

  package init(_ json: JSONValue) throws(ConfigurationError) {
    let reader = try MemberReader(json)
    hash = try reader.required("hash", try reader.string("hash"))
    expiresAt = try reader.time("expires_at")
  }
}

/// A key of an upstream provider, sealed so that only gateways can open it (`ops/sealed-provider-keys.md`).
package struct ConfiguredProviderKey: Hashable, Sendable {
  /// The sealed key as base64url.
  package var sealed: String
  /// Tells one key from another without opening them.
  package var fingerprint: String

  package init(sealed: String, fingerprint: String) {
    self.sealed = sealed
    self.fingerprint = fingerprint
  }

  package var json: JSONObject {
    var object = JSONObject()
    object.set("sealed", sealed)
    object.set("fingerprint", fingerprint)
    return object
  }

  package init(_ json: JSONValue) throws(ConfigurationError) {
    let reader = try MemberReader(json)
    sealed = try reader.required("sealed", try reader.string("sealed"))
    fingerprint = try reader.required("fingerprint", try reader.string("fingerprint"))
  }
}
