import Domain
import FoundationEssentials
import JSON
import Postgres
import Stripe

/// A row of `stripe_events`, without what is kept of the event itself.
struct StripeEventRow: Sendable {
  /// The raw values are stored, and the contract's names.
  enum Status: String, CaseIterable, Sendable {
    /// It is being tried, or will be again.
    case received
    case applied
    /// There is nothing to do about it.
    case ignored
    /// It waits for another event about the same payment or subscription.
    case parked
    /// Nothing will make it work by itself: a dead letter.
    case failed

    /// Whether a delivery that comes again changes nothing.
    var isFinished: Bool { self != .received && self != .parked }
  }

  let id: String
  let receivedAt: Timestamp
  let type: String
  let apiVersion: String?
  let createdAt: Timestamp
  let isLive: Bool
  let subject: String?
  let organizationID: OrganizationID?
  let status: Status
  let attempts: Int32
  let reason: String?
  let retryAt: Timestamp?
  let updatedAt: Timestamp
}

/// An event that is to be tried again, as it is kept.
struct StoredStripeEvent: Sendable {
  let id: String
  /// Nil while it is not known.
  let organizationID: OrganizationID?
  let payload: [UInt8]
  let attempts: Int32
  let age: Duration

  /// - Throws: `JSONSyntaxError` or ``StripeEvent/Malformed`` when it is not what was stored.
  func event() throws -> StripeEvent { try StripeEvent(JSONValue.parse(payload)) }
}

/// `stripe_events`: written and read by the system alone. Times are the database's, so that replicas agree on what is due.
enum StripeEventTable {
  static let name = "stripe_events"
  static let columns = [
    "event_id", "received_at", "type", "api_version", "created_at", "livemode", "subject",
    "organization_id", "status", "attempts", "reason", "retry_at", "updated_at",
  ]
  /// How long whoever took an event in hand has to finish, before others try.
  private static let lease: Query = "interval '20 seconds'"

  /// Nothing when it is there already.
  static func insert(_ event: StripeEvent, of organization: OrganizationID?) -> Query {
    """
    INSERT INTO stripe_events (event_id, type, api_version, created_at, livemode, subject, \
    organization_id, retry_at, payload) \
    VALUES (\(event.id), \(event.type), \(event.apiVersion), \
    \(TimestampTZ(Timestamp(clampingSeconds: event.created))), \(event.isLive), \
    \(event.content.subject), \(organization?.uuid), now() + \(fragment: lease), \
    \(JSONB(utf8: event.payload.canonicalBytes()))) \
    ON CONFLICT (event_id) DO NOTHING
    """
  }

  static func status(of id: String) -> Query {
    "SELECT status FROM stripe_events WHERE event_id = \(id)"
  }

  /// What became of a try. What is applied stays so, whatever a slower try says, and what is ignored stays so unless it
  /// takes effect after all.
  static func settle(
    _ id: String, _ status: StripeEventRow.Status, of organization: OrganizationID?,
    because reason: String?, retryIn delay: Duration?
  ) -> Query {
    """
    UPDATE stripe_events SET status = \(status.rawValue), attempts = attempts + 1, \
    organization_id = coalesce(\(organization?.uuid), organization_id), reason = \(reason), \
    retry_at = now() + \(delay?.components.seconds)::bigint * interval '1 second', \
    updated_at = now() \
    WHERE event_id = \(id) AND status <> 'applied' \
    AND (status <> 'ignored' OR \(status.rawValue) = 'applied')
    """
  }

  /// Takes those in hand that wait for something about a subject, and those about a payment that were given up: they
  /// waited longer than others do, and it has come.
  static func takeWaiting(for subject: String, besides id: String) -> Query {
    """
    UPDATE stripe_events SET retry_at = now() + \(fragment: lease), \
    status = 'received' WHERE event_id IN (SELECT event_id FROM stripe_events \
    WHERE subject = \(subject) AND event_id <> \(id) AND (status IN ('received', 'parked') \
    OR status IN ('ignored', 'failed') AND (type LIKE 'charge.%' OR type LIKE 'refund.%')) \
    ORDER BY event_id FOR UPDATE) RETURNING \(fragment: stored)
    """
  }

  /// An event that could not be tried now is due again within moments.
  static func postpone(_ id: String) -> Query {
    """
    UPDATE stripe_events SET retry_at = now() + interval '2 seconds' \
    WHERE event_id = \(id) AND status IN ('received', 'parked')
    """
  }

  /// An event that is set aside becomes a dead letter, which nothing tries again by itself.
  static func setAside(_ id: String) -> Query {
    """
    UPDATE stripe_events SET status = 'failed', retry_at = NULL, updated_at = now(), \
    reason = 'it is set aside after \(fragment: mostAttempts) attempts: ' || coalesce((SELECT error \
    FROM job_attempts WHERE kind = 'stripe_event' AND item = event_id), 'it cannot be carried out') \
    WHERE event_id = \(id) AND status IN ('received', 'parked')
    """
  }

  private static let mostAttempts = Query(unchecked: "\(JobAttemptTable.mostAttempts)")

  /// Purchases of a payment that were told and have not been carried out.
  static func openCheckouts(about subject: String) -> Query {
    """
    SELECT event_id FROM stripe_events WHERE subject = \(subject) \
    AND type LIKE 'checkout.session.%' AND status IN ('received', 'parked', 'failed') LIMIT 1
    """
  }

  /// An event that says of a payment that it was an invoice's.
  static func invoices(of payment: String) -> Query {
    """
    SELECT event_id FROM stripe_events WHERE subject = \(payment) \
    AND payload->'data'->'object' ? 'invoice' LIMIT 1
    """
  }

  /// Deletes events that are done with, some at a time. Nothing depends on them any more: what they told is in the log,
  /// and one that came again would change nothing.
  ///
  /// Those stay about whose payment or subscription another event is still open, and the newest that says whose a
  /// subscription is.
  static func deleteFinished(olderThan age: Duration, limit: Int64) -> Query {
    """
    DELETE FROM stripe_events WHERE event_id IN (SELECT event_id FROM stripe_events AS old \
    WHERE status IN ('applied', 'ignored') \
    AND updated_at < now() - \(age.components.seconds)::bigint * interval '1 second' \
    AND NOT EXISTS (SELECT FROM stripe_events AS open WHERE open.subject = old.subject \
    AND open.status IN ('received', 'parked', 'failed')) \
    AND (old.organization_id IS NULL OR old.subject NOT LIKE 'sub\\_%' OR EXISTS ( \
    SELECT FROM stripe_events AS newer WHERE newer.subject = old.subject \
    AND newer.organization_id = old.organization_id \
    AND (newer.received_at, newer.event_id) > (old.received_at, old.event_id))) \
    ORDER BY updated_at LIMIT \(limit) FOR UPDATE SKIP LOCKED)
    """
  }

  /// Takes those in hand that are due, and that nobody else has.
  static func takeDue(limit: Int64) -> Query {
    """
    UPDATE stripe_events SET retry_at = now() + \(fragment: lease) WHERE event_id IN ( \
    SELECT event_id FROM stripe_events WHERE retry_at <= now() \
    ORDER BY retry_at LIMIT \(limit) FOR UPDATE SKIP LOCKED) \
    RETURNING \(fragment: stored)
    """
  }

  static func find(_ id: String) -> Query {
    "SELECT \(fragment: list) FROM stripe_events WHERE event_id = \(id)"
  }

  static func findStored(_ id: String) -> Query {
    "SELECT \(fragment: stored) FROM stripe_events WHERE event_id = \(id)"
  }

  /// Newest first, behind the one that came at `after`.
  static func list(
    _ status: StripeEventRow.Status?, after place: (time: Timestamp, id: String)?, limit: Int64
  ) -> Query {
    let time = place.map { TimestampTZ($0.time) }
    return """
      SELECT \(fragment: list) FROM stripe_events \
      WHERE (\(status?.rawValue)::text IS NULL OR status = \(status?.rawValue)) \
      AND (\(time)::timestamptz IS NULL OR (received_at, event_id) < (\(time), \(place?.id))) \
      ORDER BY received_at DESC, event_id DESC LIMIT \(limit)
      """
  }

  private static let list = Query(unchecked: columns.joined(separator: ", "))
  private static let stored: Query =
    "event_id, organization_id, payload, attempts, extract(epoch FROM now() - received_at)::bigint"
}

extension StoredStripeEvent {
  init(_ row: Row) throws(PostgresError) {
    let (id, organizationID, payload, attempts, age) = try row.decode(
      (String, UUID?, JSONB, Int32, Int64).self)
    self.init(
      id: id, organizationID: organizationID.map { OrganizationID($0) }, payload: payload.utf8,
      attempts: attempts, age: .seconds(age))
  }
}

extension StripeEventRow {
  init(_ row: Row) throws(PostgresError) {
    let (
      id, receivedAt, type, apiVersion, createdAt, isLive, subject, organizationID, status,
      attempts, reason, retryAt, updatedAt
    ) = try row.decode(
      (
        String, TimestampTZ, String, String?, TimestampTZ, Bool, String?, UUID?, Status, Int32,
        String?, TimestampTZ?, TimestampTZ
      ).self)
    self.init(
      id: id, receivedAt: Timestamp(receivedAt), type: type, apiVersion: apiVersion,
      createdAt: Timestamp(createdAt), isLive: isLive, subject: subject,
      organizationID: organizationID.map { OrganizationID($0) }, status: status,
      attempts: attempts, reason: reason, retryAt: retryAt.map(Timestamp.init),
      updatedAt: Timestamp(updatedAt))
  }
}
