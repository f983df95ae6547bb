import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `configuration_changes`: what a command changed for gateways.
struct ConfigurationChangeRow {
  let organizationID: OrganizationID
  /// Of the command's last event.
  let position: Int64
  /// A merge patch of the document.
  let patch: [UInt8]
}

/// Kept for a while, so that gateways go on where they were; whoever was away for longer begins with a snapshot.
enum ConfigurationChangeTable {
  static let keptFor: Duration = .seconds(7 * 86_400)

  static let table = Table<ConfigurationChangeRow>(
    "configuration_changes",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("position") { $0.position },
      .value("patch") { String(decoding: $0.patch, as: UTF8.self) },
    ])

  /// Those behind a position, of all workspaces, in order.
  static func changes(after position: Int64, limit: Int64) -> Query {
    """
    SELECT organization_id, position, patch FROM configuration_changes \
    WHERE position > \(position) ORDER BY position LIMIT \(limit)
    """
  }

  /// The log's end, in every row, and the changes behind a position; at least one row, which may hold no change.
  static func changesAndHead(after position: Int64, limit: Int64) -> Query {
    """
    SELECT head.position AS head, organization_id, change.position, patch FROM event_log_head AS head \
    LEFT JOIN LATERAL (SELECT organization_id, position, patch FROM configuration_changes \
    WHERE position > \(position) ORDER BY position LIMIT \(limit)) AS change ON true \
    ORDER BY change.position
    """
  }

  /// The position behind which every change is still there.
  static let floor: Query = "SELECT position FROM configuration_changes_floor"

  /// The last change up to a position, of all workspaces; 0 when there is none.
  static func newest(upTo position: Int64) -> Query {
    """
    SELECT coalesce(max(position), 0) FROM configuration_changes WHERE position <= \(position)
    """
  }

  /// Forgets what is old, and notes up to where.
  static func deleteOld() -> Query {
    """
    WITH gone AS (DELETE FROM configuration_changes \
    WHERE recorded_at < now() - make_interval(secs => \(keptFor.components.seconds)) \
    RETURNING position) \
    UPDATE configuration_changes_floor SET position = greatest(configuration_changes_floor.position, \
    (SELECT max(position) FROM gone)) WHERE EXISTS (SELECT FROM gone)
    """
  }
}

extension ConfigurationChangeRow {
  /// A row of ``ConfigurationChangeTable/changesAndHead(after:limit:)``; nil when it holds no change.
  init?(besidesHead row: Row) throws(PostgresError) {
    let (_, organizationID, position, patch) = try row.decode(
      (Int64, UUID?, Int64?, String?).self)
    guard let organizationID, let position, let patch else { return nil }
    self.init(
      organizationID: OrganizationID(organizationID), position: position, patch: Array(patch.utf8))
  }

  init(_ row: Row) throws(PostgresError) {
    let (organizationID, position, patch) = try row.decode((UUID, Int64, String).self)
    self.init(
      organizationID: OrganizationID(organizationID), position: position, patch: Array(patch.utf8))
  }
}
