import Domain
import EventStore
package import FoundationEssentials
import Postgres

/// A caller's wish that a request take effect once however often it is sent
/// (draft-ietf-httpapi-idempotency-key-header).
package struct IdempotencyClaim: Sendable {
  /// Whose key it is, and the key: two principals may use the same one.
  package struct ID: Hashable, Sendable {
    package let principalID: UUID
    package let key: String
  }

  package let id: ID
  /// Keyed hash over method, path, query and body: the same key with another hash is a mistake of the caller.
  package let requestHash: [UInt8]
  /// The secret that the reply shows, as ``ReplySecretVault`` sealed it; nil when it shows none.
  package var sealedSecret: [UInt8]?

  package init(principalID: UUID, key: String, requestHash: [UInt8]) {
    id = ID(principalID: principalID, key: key)
    self.requestHash = requestHash
  }
}

/// The stored reply to a request with an Idempotency-Key. Kept for 24 hours.
struct IdempotencyRecord: Sendable {
  let claim: IdempotencyClaim
  let status: Int32
  let version: Int64?
  let location: String?
  let position: Int64?
  let body: [UInt8]
  let createdAt: TimestampTZ

  static let table = Table<IdempotencyRecord>(
    "idempotency_records",
    [
      .key("principal_id") { $0.claim.id.principalID },
      .key("key") { $0.claim.id.key },
      .value("request_hash") { $0.claim.requestHash },
      .value("status") { $0.status },
      .value("version") { $0.version },
      .value("location") { $0.location },
      .value("position") { $0.position },
      .value("body") { $0.body },
      .value("sealed_secret") { $0.claim.sealedSecret },
      .value("created_at") { $0.createdAt },
    ])

  private static let columns = Query(unchecked: table.columnList)

  /// The records of the keys that are still kept.
  static func find(_ ids: [IdempotencyClaim.ID]) -> Query {
    """
    SELECT \(fragment: columns) FROM idempotency_records \
    WHERE (principal_id, key) IN \
    (SELECT * FROM unnest(\(ids.map(\.principalID)), \(ids.map(\.key)))) \
    AND created_at > now() - interval '24 hours'
    """
  }

  /// Forgets what is no longer kept.
  static let deleteExpired: Query =
    "DELETE FROM idempotency_records WHERE created_at <= now() - interval '24 hours'"

  init(
    claim: IdempotencyClaim, status: Int32, version: Int64?, location: String?, position: Int64?,
    body: [UInt8], createdAt: TimestampTZ
  ) {
    self.claim = claim
    self.status = status
    self.version = version
    self.location = location
    self.position = position
    self.body = body
    self.createdAt = createdAt
  }

  /// Keeps the reply of a request for its repetitions.
  init(claim: IdempotencyClaim, _ outcome: CommandOutcome, at time: Timestamp) {
    self.init(
      claim: claim, status: Int32(outcome.status), version: outcome.version,
      location: outcome.location, position: outcome.position, body: outcome.body,
      createdAt: TimestampTZ(time))
  }

  init(_ row: Row) throws(PostgresError) {
    let (
      principalID, key, requestHash, status, version, location, position, body, sealedSecret,
      createdAt
    ) =
      try row.decode(
        (
          UUID, String, [UInt8], Int32, Int64?, String?,
          Int64?, [UInt8], [UInt8]?, TimestampTZ
        ).self)
    var claim = IdempotencyClaim(principalID: principalID, key: key, requestHash: requestHash)
    claim.sealedSecret = sealedSecret
    self.init(
      claim: claim, status: status, version: version, location: location, position: position,
      body: body, createdAt: createdAt)
  }

  var outcome: CommandOutcome {
    CommandOutcome(
      status: Int(status), version: version, location: location, body: body, position: position,
      isReplay: true, sealedSecret: claim.sealedSecret)
  }
}
