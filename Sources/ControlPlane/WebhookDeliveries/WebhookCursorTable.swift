import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `webhook_cursors`: how far deliveries to one endpoint are made, and who is making one.
struct WebhookCursorRow {
  let organizationID: OrganizationID
  let endpointID: WebhookEndpointID
  let ownerID: UUID
  let position: Int64
  let startVersion: Int64
  let dueAt: Timestamp?
  let url: String
  let failures: Int
  let leaseID: UUID?
  let leaseUntil: Timestamp?
  /// What is being delivered, and by which process.
  let inHand: UUID?
  let holder: Int64?
}

/// The log → deliveries. Whoever changes an endpoint's deliveries locks its cursor first, so that everybody sees them as the one
/// before left them: a statement looks at the tables only after the lock was granted.
enum WebhookCursorTable {
  static let table = Table<WebhookCursorRow>(
    "webhook_cursors",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("endpoint_id") { $0.endpointID.uuid },
      .value("owner_id") { $0.ownerID },
      .value("position") { $0.position },
      .value("start_version") { $0.startVersion },
      .value("due_at") { $0.dueAt.map(TimestampTZ.init) },
      .value("url") { $0.url },
      .value("failures") { Int32($0.failures) },
      .value("lease_id") { $0.leaseID },
      .value("lease_until") { $0.leaseUntil.map(TimestampTZ.init) },
      .value("in_hand") { $0.inHand },
      .value("holder") { $0.holder },
    ])

  /// The first owner of an endpoint's workspace: all workspaces of one user have one share of what is sent at a time.
  private static let owner: Query = """
    coalesce((SELECT m.user_id FROM memberships AS m \
    WHERE m.organization_id = e.organization_id AND m.role = 'owner' \
    ORDER BY m.user_id LIMIT 1), e.organization_id)
    """

  /// How many events of a workspace are looked at in one step.
  static let pageSize: Int64 = 500
  /// An endpoint that does not keep up has so many deliveries waiting, and the rest in the log.
  static let mostPending: Int64 = 1000

  /// The log's end in every row, and in each one of those workspaces with endpoints to which something happened behind a
  /// position; null in the only one when there is none.
  static func workspacesWithNews(after position: Int64) -> Query {
    """
    SELECT h.position, v.organization_id FROM event_log_head AS h LEFT JOIN LATERAL ( \
    SELECT DISTINCT organization_id FROM events \
    WHERE events.position > \(position) AND events.position <= h.position \
    AND organization_id IN (SELECT organization_id FROM webhook_endpoints)) AS v ON true
    """
  }

  /// All workspaces with endpoints, behind one in the order of ids.
  static func workspaces(after: UUID?, limit: Int64) -> Query {
    """
    SELECT DISTINCT organization_id FROM webhook_endpoints \
    WHERE \(after)::uuid IS NULL OR organization_id > \(after) ORDER BY organization_id LIMIT \(limit)
    """
  }

  /// One step of these workspaces, as one transaction. The last rows but one are of endpoints that have more to look at.
  static func dispatch(_ organizations: [UUID]) -> [Query] {
    [
      "BEGIN",
      """
      INSERT INTO webhook_cursors \
      (organization_id, endpoint_id, owner_id, position, start_version, url, failures) \
      SELECT organization_id, endpoint_id, \(fragment: owner), 0, 0, url, 1 \
      FROM webhook_endpoints AS e WHERE organization_id = ANY(\(organizations)) AND NOT EXISTS (SELECT FROM webhook_cursors AS c \
      WHERE c.organization_id = e.organization_id AND c.endpoint_id = e.endpoint_id) \
      ORDER BY organization_id, endpoint_id ON CONFLICT DO NOTHING
      """,
      """
      SELECT 1 FROM webhook_cursors WHERE organization_id = ANY(\(organizations)) \
      ORDER BY organization_id, endpoint_id FOR UPDATE
      """,
      // At another URL an endpoint has never answered.
      """
      UPDATE webhook_cursors AS c SET url = e.url, failures = greatest(c.failures, 1) \
      FROM webhook_endpoints AS e WHERE c.organization_id = ANY(\(organizations)) \
      AND e.organization_id = c.organization_id AND e.endpoint_id = c.endpoint_id \
      AND e.url <> c.url
      """,
      // What was asked for last, once.
      """
      UPDATE webhook_cursors AS c SET start_version = e.start_version, \
      position = coalesce(e.start_after, v.position) FROM webhook_endpoints AS e, events AS v \
      WHERE c.organization_id = ANY(\(organizations)) \
      AND e.organization_id = c.organization_id AND e.endpoint_id = c.endpoint_id \
      AND v.organization_id = e.organization_id AND v.version = e.start_version \
      AND c.start_version < e.start_version
      """,
      // What waits at an endpoint that was enabled again.
      """
      UPDATE webhook_cursors AS c SET due_at = now() FROM webhook_endpoints AS e \
      WHERE c.organization_id = ANY(\(organizations)) \
      AND e.organization_id = c.organization_id AND e.endpoint_id = c.endpoint_id \
      AND e.disabled_at IS NULL AND c.due_at IS NULL AND EXISTS (\(fragment: pending(of: "c")))
      """,
      """
      WITH seen AS ( \
      SELECT c.organization_id, c.endpoint_id, v.position, v.event_id, v.type, \
      v.type = ANY(\(EventTypeFilter.deliverableTypes)) AND ('*' = ANY(e.event_types) \
      OR v.type = ANY(e.event_types) \
      OR split_part(v.type, '.', 1) || '.*' = ANY(e.event_types)) AS is_wanted \
      FROM webhook_cursors AS c JOIN webhook_endpoints AS e USING (organization_id, endpoint_id) \
      CROSS JOIN LATERAL ( \
      SELECT position, event_id, type FROM events WHERE events.organization_id = c.organization_id \
      AND events.position > c.position ORDER BY events.position LIMIT \(pageSize)) AS v \
      WHERE c.organization_id = ANY(\(organizations)) AND e.disabled_at IS NULL \
      AND (SELECT count(*) FROM (\(fragment: pending(of: "c")) LIMIT \(mostPending)) AS waiting) \
      < \(mostPending)), \
      made AS ( \
      INSERT INTO webhook_deliveries AS d (organization_id, endpoint_id, event_id, position, \
      event_type, status, attempts, next_attempt_at, created_at) \
      SELECT organization_id, endpoint_id, event_id, position, type, 'pending', 0, now(), now() \
      FROM seen WHERE is_wanted \
      ON CONFLICT (organization_id, endpoint_id, event_id) DO UPDATE SET status = 'pending', \
      attempts = 0, next_attempt_at = now(), created_at = now(), finished_at = NULL \
      WHERE d.status <> 'pending') \
      UPDATE webhook_cursors AS c SET position = s.last, \
      due_at = CASE WHEN s.is_wanted THEN least(c.due_at, now()) ELSE c.due_at END \
      FROM (SELECT organization_id, endpoint_id, max(position) AS last, \
      bool_or(is_wanted) AS is_wanted, count(*) AS number FROM seen \
      GROUP BY organization_id, endpoint_id) AS s \
      WHERE c.organization_id = s.organization_id AND c.endpoint_id = s.endpoint_id \
      RETURNING c.organization_id, s.number = \(pageSize) AS has_more, s.is_wanted
      """,
      "COMMIT",
    ]
  }

  private static func pending(of cursor: StaticString) -> Query {
    Query(
      unchecked: """
        SELECT 1 FROM webhook_deliveries AS p WHERE p.organization_id = \(cursor).organization_id \
        AND p.endpoint_id = \(cursor).endpoint_id AND p.status = 'pending'
        """)
  }

  /// One transaction that makes a ping wait, before everything else.
  static func ping(
    _ id: EventID, to endpoint: WebhookEndpointID, in organization: OrganizationID
  ) -> [Query] {
    let type = WebhookDelivery.pingType
    return [
      "BEGIN",
      """
      INSERT INTO webhook_cursors \
      (organization_id, endpoint_id, owner_id, position, start_version, url, failures) \
      SELECT organization_id, endpoint_id, \(fragment: owner), 0, 0, url, 1 \
      FROM webhook_endpoints AS e WHERE organization_id = \(organization.uuid) AND endpoint_id = \(endpoint.uuid) \
      ON CONFLICT DO NOTHING
      """,
      lock(endpoint, in: organization),
      """
      INSERT INTO webhook_deliveries (organization_id, endpoint_id, event_id, event_type, status, \
      attempts, next_attempt_at, created_at) \
      VALUES (\(organization.uuid), \(endpoint.uuid), \(id.uuid), \(type), 'pending', 0, now(), now())
      """,
      wake(endpoint, in: organization),
      "COMMIT",
    ]
  }

  /// One transaction that has something sent again that was given up, or delivered before.
  static func retry(
    _ id: EventID, to endpoint: WebhookEndpointID, in organization: OrganizationID
  ) -> [Query] {
    [
      "BEGIN", lock(endpoint, in: organization),
      """
      UPDATE webhook_deliveries SET status = 'pending', attempts = 0, next_attempt_at = now(), \
      finished_at = NULL WHERE organization_id = \(organization.uuid) \
      AND endpoint_id = \(endpoint.uuid) AND event_id = \(id.uuid) AND status <> 'pending'
      """,
      wake(endpoint, in: organization), "COMMIT",
    ]
  }

  private static func lock(
    _ endpoint: WebhookEndpointID, in organization: OrganizationID
  ) -> Query {
    """
    SELECT 1 FROM webhook_cursors WHERE organization_id = \(organization.uuid) \
    AND endpoint_id = \(endpoint.uuid) FOR UPDATE
    """
  }

  private static func wake(
    _ endpoint: WebhookEndpointID, in organization: OrganizationID
  ) -> Query {
    """
    UPDATE webhook_cursors SET due_at = least(due_at, now()) \
    WHERE organization_id = \(organization.uuid) AND endpoint_id = \(endpoint.uuid)
    """
  }

  // MARK: What is swept

  /// What was finished before a time, of at most so many.
  static func deleteFinished(before time: Timestamp, limit: Int64) -> Query {
    """
    DELETE FROM webhook_deliveries AS d USING (SELECT organization_id, endpoint_id, event_id \
    FROM webhook_deliveries WHERE status <> 'pending' AND finished_at < \(TimestampTZ(time)) \
    ORDER BY finished_at LIMIT \(limit)) AS old WHERE d.organization_id = old.organization_id \
    AND d.endpoint_id = old.endpoint_id AND d.event_id = old.event_id
    """
  }

  /// Deliveries to endpoints that are gone, of at most so many; their cursors go last.
  static func deleteOrphans(limit: Int64) -> [Query] {
    [
      """
      DELETE FROM webhook_deliveries AS d USING ( \
      SELECT d.organization_id, d.endpoint_id, d.event_id FROM webhook_cursors AS c \
      JOIN webhook_deliveries AS d USING (organization_id, endpoint_id) \
      LEFT JOIN webhook_endpoints AS e USING (organization_id, endpoint_id) \
      WHERE e.endpoint_id IS NULL LIMIT \(limit)) AS gone \
      WHERE d.organization_id = gone.organization_id AND d.endpoint_id = gone.endpoint_id \
      AND d.event_id = gone.event_id
      """,
      """
      DELETE FROM webhook_cursors AS c WHERE NOT EXISTS (SELECT FROM webhook_endpoints AS e \
      WHERE e.organization_id = c.organization_id AND e.endpoint_id = c.endpoint_id) \
      AND NOT EXISTS (SELECT FROM webhook_deliveries AS d \
      WHERE d.organization_id = c.organization_id AND d.endpoint_id = c.endpoint_id)
      """,
    ]
  }

  /// One row: for how many seconds the oldest delivery has waited whose endpoint is enabled; null when none waits.
  static let oldestPending: Query = """
    SELECT extract(epoch FROM now() - min(d.created_at))::bigint AS age FROM webhook_deliveries AS d \
    JOIN webhook_endpoints AS e USING (organization_id, endpoint_id) \
    WHERE d.status = 'pending' AND e.disabled_at IS NULL
    """
}
