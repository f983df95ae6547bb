import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `webhook_deliveries`.
struct WebhookDeliveryRow {
  let organizationID: OrganizationID
  let endpointID: WebhookEndpointID
  let delivery: WebhookDelivery
}

enum WebhookDeliveryTable {
  static let table = Table<WebhookDeliveryRow>(
    "webhook_deliveries",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("endpoint_id") { $0.endpointID.uuid },
      .key("event_id") { $0.delivery.id.uuid },
      .value("position") { $0.delivery.position },
      .value("event_type") { $0.delivery.eventType },
      .value("status") { $0.delivery.status.rawValue },
      .value("attempts") { Int32($0.delivery.attempts) },
      .value("next_attempt_at") { $0.delivery.nextAttemptAt.map(TimestampTZ.init) },
      .value("last_attempt_at") { ($0.delivery.last?.at).map(TimestampTZ.init) },
      .value("response_status") { ($0.delivery.last?.responseStatus).map { Int32($0) } },
      .value("response_excerpt") { $0.delivery.last?.responseExcerpt },
      .value("failure") { $0.delivery.last?.failure },
      .value("duration_ms") { $0.delivery.last?.duration },
      .value("created_at") { TimestampTZ($0.delivery.createdAt) },
      .value("finished_at") { $0.delivery.finishedAt.map(TimestampTZ.init) },
    ])

  /// An endpoint's deliveries, the newest events first, behind the one with the id `after`.
  static func list(
    to endpoint: WebhookEndpointID, in organization: OrganizationID,
    status: WebhookDelivery.Status?, after: UUID?, limit: Int64
  ) -> Query {
    """
    SELECT \(fragment: columns) FROM webhook_deliveries \
    WHERE organization_id = \(organization.uuid) AND endpoint_id = \(endpoint.uuid) \
    AND (\(status?.rawValue)::text IS NULL OR status = \(status?.rawValue)) \
    AND (\(after)::uuid IS NULL OR event_id < \(after)) ORDER BY event_id DESC LIMIT \(limit)
    """
  }

  static func find(
    _ id: EventID, to endpoint: WebhookEndpointID, in organization: OrganizationID
  ) -> Query {
    """
    SELECT \(fragment: columns) FROM webhook_deliveries \
    WHERE organization_id = \(organization.uuid) AND endpoint_id = \(endpoint.uuid) \
    AND event_id = \(id.uuid)
    """
  }

  private static let columns = Query(unchecked: table.columnList)
}

extension WebhookDeliveryRow {
  init(_ row: Row) throws(PostgresError) {
    let (
      organizationID, endpointID, id, position, eventType, status, attempts, nextAttemptAt,
      lastAttemptAt, responseStatus, responseExcerpt, failure, duration, createdAt, finishedAt
    ) = try row.decode(
      (
        UUID, UUID, UUID, Int64?, String, WebhookDelivery.Status, Int32, TimestampTZ?,
        TimestampTZ?, Int32?, String?, String?, Int64?, TimestampTZ, TimestampTZ?
      ).self)
    self.init(
      organizationID: OrganizationID(organizationID), endpointID: WebhookEndpointID(endpointID),
      delivery: WebhookDelivery(
        id: EventID(id), position: position, eventType: eventType, status: status,
        attempts: Int(attempts), nextAttemptAt: nextAttemptAt.map(Timestamp.init),
        last: lastAttemptAt.map {
          WebhookDelivery.Result(
            at: Timestamp($0), responseStatus: responseStatus.map { Int($0) },
            responseExcerpt: responseExcerpt, failure: failure, duration: duration ?? 0)
        },
        createdAt: Timestamp(createdAt), finishedAt: finishedAt.map(Timestamp.init)))
  }
}
