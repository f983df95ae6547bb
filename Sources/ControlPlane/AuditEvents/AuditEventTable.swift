import Domain
import EventStore
import FoundationEssentials
import JSON
import Postgres

/// A row of `workspace_audit_events`: who did what to what, and what it was before and after.
struct AuditEventRow {
  let organizationID: UUID
  let position: Int64
  let version: Int64
  let eventID: UUID
  let action: String
  let actorKind: String
  let actorID: UUID?
  let targetKind: String
  let targetID: UUID
  let occurredAt: TimestampTZ
  let requestID: String?
  let address: String?
  let userAgent: String?
  let before: JSONB?
  let after: JSONB?
}

/// What an entity was before an event, and is after it: only the members that differ. An entity that was created has no
/// before.
struct AuditedDifference: Sendable {
  let before: JSONB?
  let after: JSONB?

  init(from before: JSONObject?, to after: JSONObject?) {
    var (before, after) = (before, after)
    if let former = before, let current = after {
      (before, after) = current.differences(from: former)
    }
    self.before = before.map { JSONB(utf8: $0.canonicalBytes()) }
    self.after = after.map { JSONB(utf8: $0.canonicalBytes()) }
  }
}

extension AuditEventRow {
  init(
    event: RecordedEvent, target: Entity, origin: CommandOrigin, difference: AuditedDifference
  ) {
    self.init(
      organizationID: event.organizationID, position: event.position, version: event.version,
      eventID: event.eventID, action: event.type, actorKind: event.actorKind,
      actorID: event.actorID, targetKind: target.kind.rawValue, targetID: target.uuid,
      occurredAt: event.occurredAt, requestID: event.requestID, address: origin.address,
      userAgent: origin.userAgent, before: difference.before, after: difference.after)
  }
}

enum AuditEventTable {
  static let table = Table<AuditEventRow>(
    "workspace_audit_events",
    [
      .key("organization_id") { $0.organizationID },
      .key("position") { $0.position },
      .value("version") { $0.version },
      .value("event_id") { $0.eventID },
      .value("action") { $0.action },
      .value("actor_kind") { $0.actorKind },
      .value("actor_id") { $0.actorID },
      .value("target_kind") { $0.targetKind },
      .value("target_id") { $0.targetID },
      .value("occurred_at") { $0.occurredAt },
      .value("request_id") { $0.requestID },
      .value("ip", as: "inet") { $0.address },
      .value("user_agent") { $0.userAgent },
      .value("before") { $0.before },
      .value("after") { $0.after },
    ])

  /// Which of an organization's audit events are asked for.
  struct Filter: Hashable {
    var action: String?
    var actorID: UUID?
    var targetID: UUID?
    /// Inclusive.
    var since: TimestampTZ?
    /// Exclusive.
    var until: TimestampTZ?
  }

  /// An organization's audit events, newest first, before the one at position `before`.
  static func list(
    in organization: OrganizationID, _ filter: Filter, before: Int64?, limit: Int64
  ) -> Query {
    var query: Query = """
      SELECT \(fragment: columns) FROM workspace_audit_events \
      WHERE organization_id = \(organization.uuid)
      """
    if let before { query += " AND position < \(before)" }
    if let action = filter.action { query += " AND action = \(action)" }
    if let actorID = filter.actorID { query += " AND actor_id = \(actorID)" }
    if let targetID = filter.targetID { query += " AND target_id = \(targetID)" }
    if let since = filter.since { query += " AND occurred_at >= \(since)" }
    if let until = filter.until { query += " AND occurred_at < \(until)" }
    return query + " ORDER BY position DESC LIMIT \(limit)"
  }

  private static let columns = Query(
    unchecked: table.columns.map { $0.name == "ip" ? "host(ip)" : $0.name }.joined(separator: ", "))
}

extension AuditEventRow {
  init(_ row: Row) throws(PostgresError) {
    let (
      organizationID, position, version, eventID, action, actorKind, actorID, targetKind, targetID,
      occurredAt, requestID, address, userAgent, before, after
    ) = try row.decode(
      (
        UUID, Int64, Int64, UUID, String, String, UUID?, String, UUID, TimestampTZ, String?,
        String?, String?, JSONB?, JSONB?
      ).self)
    self.init(
      organizationID: organizationID, position: position, version: version, eventID: eventID,
      action: action, actorKind: actorKind, actorID: actorID, targetKind: targetKind,
      targetID: targetID, occurredAt: occurredAt, requestID: requestID, address: address,
      userAgent: userAgent, before: before, after: after)
  }
}
