import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `gateways`: what an instance said last of what it runs.
struct GatewayRow {
  let tokenID: GatewayTokenID
  let report: GatewayReport
  let seenAt: Timestamp
}

enum GatewayTable {
  static let table = Table<GatewayRow>(
    "gateways",
    [
      .key("token_id") { $0.tokenID.uuid },
      .key("name") { $0.report.name },
      .value("position") { $0.report.position },
      .value("refused_position") { $0.report.refusal?.position },
      .value("refused_reason") { $0.report.refusal?.reason },
      .value("seen_at") { TimestampTZ($0.seenAt) },
    ])

  /// Those whose tokens are good and who were seen since a time, by name.
  static func seen(since time: Timestamp) -> Query {
    """
    SELECT \(fragment: columns) FROM gateways JOIN gateway_tokens AS t USING (token_id) \
    WHERE seen_at >= \(TimestampTZ(time)) AND t.revoked_at IS NULL \
    ORDER BY gateways.name, token_id
    """
  }

  /// Forgets those that were not seen since a time.
  static func deleteUnseen(since time: Timestamp) -> Query {
    "DELETE FROM gateways WHERE seen_at < \(TimestampTZ(time))"
  }

  private static let columns = Query(
    unchecked: table.columns.map { "gateways.\($0.name)" }.joined(separator: ", "))
}

extension GatewayRow {
  init(_ row: Row) throws(PostgresError) {
    let (tokenID, name, position, refusedPosition, reason, seenAt) = try row.decode(
      (UUID, ExactText, Int64, Int64?, String?, TimestampTZ).self)
    var refusal: GatewayReport.Refusal?
    if let refusedPosition, let reason {
      refusal = .init(position: refusedPosition, reason: reason)
    }
    self.init(
      tokenID: GatewayTokenID(tokenID),
      report: GatewayReport(name: name, position: position, refusal: refusal),
      seenAt: Timestamp(seenAt))
  }
}
