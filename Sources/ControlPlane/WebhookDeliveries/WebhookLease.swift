import Cryptography
import Domain
import EventStore
import FoundationEssentials
import Postgres

/// The right to send to one endpoint, which nobody else has for as long as it lasts. No transaction is open while something is
/// sent. Times are the database's: replicas' clocks may differ.
struct WebhookLease: Hashable, Sendable {
  /// Longer than an attempt takes, and what it takes to write down how it went.
  static let length: Duration = .seconds(30)
  private static let seconds = length.components.seconds

  let id: UUID
  let organizationID: OrganizationID
  let endpointID: WebhookEndpointID
  /// What the lease before was about to deliver when it ended without being given back.
  let abandoned: UUID?

  /// How many endpoints of one workspace, and of all workspaces of one owner, are sent to at once: no user's endpoints take the
  /// places of all others, however many there are and however long each takes.
  struct Shares: Sendable {
    static let healthy = Shares(workspace: 16, owner: 64)
    /// Of those whose last attempt failed, or that never answered.
    static let failing = Shares(workspace: 8, owner: 32)

    let workspace: Int64
    let owner: Int64
  }

  /// Of how many that are due the next are chosen.
  private static let considered: Int64 = 2000

  /// Rows of endpoints that are due and are leased from now on, for as many as there may be: owners take turns, and so do
  /// the workspaces of an owner.
  ///
  /// A lease that ends much later than one that is made now is one of before a clock was set back. Not one that ends a little
  /// later: it may have been made since this transaction began, whose time `now()` is.
  ///
  /// - Parameter failing: whether of those whose last attempt failed, or of the others.
  static func claim(_ id: UUID, failing: Bool, limit: Int64) -> Query {
    let shares = failing ? Shares.failing : .healthy
    let isFree: Query = """
      (lease_until IS NULL OR lease_until < now() \
      OR lease_until > now() + make_interval(secs => \(2 * seconds)))
      """
    return """
      WITH leased AS (SELECT organization_id, owner_id FROM webhook_cursors \
      WHERE lease_until > now() AND (failures > 0) = \(failing)), \
      of_workspace AS (SELECT organization_id, count(*) AS taken FROM leased GROUP BY organization_id), \
      of_owner AS (SELECT owner_id, count(*) AS taken FROM leased GROUP BY owner_id), \
      waiting AS (SELECT c.organization_id, c.endpoint_id, c.owner_id, c.due_at, \
      coalesce(w.taken, 0) AS of_workspace, coalesce(o.taken, 0) AS of_owner \
      FROM webhook_cursors AS c LEFT JOIN of_workspace AS w USING (organization_id) \
      LEFT JOIN of_owner AS o USING (owner_id) \
      WHERE c.due_at <= now() AND (c.failures > 0) = \(failing) AND \(fragment: isFree) \
      AND coalesce(w.taken, 0) < \(shares.workspace) AND coalesce(o.taken, 0) < \(shares.owner) \
      ORDER BY c.due_at LIMIT \(considered)), \
      workspaces AS (SELECT *, of_workspace \
      + row_number() OVER (PARTITION BY organization_id ORDER BY due_at) AS turn FROM waiting), \
      owners AS (SELECT *, of_owner \
      + row_number() OVER (PARTITION BY owner_id ORDER BY turn, due_at) AS owner_turn \
      FROM workspaces WHERE turn <= \(shares.workspace)), \
      chosen AS (SELECT organization_id, endpoint_id FROM owners \
      WHERE owner_turn <= \(shares.owner) ORDER BY owner_turn, due_at LIMIT \(limit)), \
      due AS (SELECT organization_id, endpoint_id FROM webhook_cursors AS c \
      JOIN chosen USING (organization_id, endpoint_id) WHERE \(fragment: isFree) \
      FOR UPDATE OF c SKIP LOCKED) \
      UPDATE webhook_cursors AS c \
      SET lease_id = \(id), lease_until = now() + make_interval(secs => \(seconds)) FROM due \
      WHERE c.organization_id = due.organization_id AND c.endpoint_id = due.endpoint_id \
      RETURNING c.organization_id, c.endpoint_id, c.in_hand
      """
  }

  init(id: UUID, _ row: Row) throws(PostgresError) {
    let (organizationID, endpointID, abandoned) = try row.decode((UUID, UUID, UUID?).self)
    self.id = id
    self.organizationID = OrganizationID(organizationID)
    self.endpointID = WebhookEndpointID(endpointID)
    self.abandoned = abandoned
  }

  /// What became of an attempt, as it is written down.
  struct Report: Sendable {
    let job: WebhookJob
    let result: WebhookDelivery.Result
    /// When the next attempt is made; nil when it is done, one way or the other.
    let retryIn: Duration?
    /// The event cannot be turned into a body, which is not the receiver's fault.
    var isUnreadable = false

    var isSuccess: Bool { result.failure == nil }
  }

  /// One transaction that writes down what became of an attempt, and says what to send next. The last statement but one gives
  /// that, or nothing; then the lease is over. What is to be sent is noted beforehand, with the process that sends it.
  ///
  /// - Parameter goesOn: false to give the lease back whatever waits.
  func next(after report: Report?, goesOn: Bool, holder: Int64) -> [Query] {
    var statements: [Query] = [
      // What is lost with the database's power is sent twice.
      "BEGIN", "SET LOCAL synchronous_commit = off",
      """
      SELECT 1 FROM webhook_cursors WHERE organization_id = \(organizationID.uuid) \
      AND endpoint_id = \(endpointID.uuid) FOR UPDATE
      """,
    ]
    if let report {
      statements += [
        record(report),
        // An answer says nothing of the URL that the endpoint has been given meanwhile.
        """
        UPDATE webhook_cursors SET failures = CASE WHEN \(report.isUnreadable) THEN failures \
        WHEN NOT \(report.isSuccess) THEN failures + 1 \
        WHEN url = \(report.job.url) THEN 0 ELSE failures END WHERE \(fragment: isOurs)
        """,
      ]
    }
    return statements + [
      """
      UPDATE webhook_cursors \
      SET due_at = (SELECT min(d.next_attempt_at) \(fragment: eligible)) WHERE \(fragment: isOurs)
      """,
      """
      UPDATE webhook_cursors SET \
      lease_id = CASE WHEN due_at <= now() AND \(goesOn) THEN lease_id END, \
      lease_until = CASE WHEN due_at <= now() AND \(goesOn) \
      THEN now() + make_interval(secs => \(Self.seconds)) END, \
      holder = CASE WHEN due_at <= now() AND \(goesOn) THEN \(holder) END, \
      in_hand = CASE WHEN due_at <= now() AND \(goesOn) THEN ( \
      SELECT d.event_id \(fragment: eligible) AND d.next_attempt_at <= now() \
      ORDER BY coalesce(d.event_id = \(abandoned), false) DESC, d.position NULLS FIRST LIMIT 1) END \
      WHERE \(fragment: isOurs)
      """,
      """
      SELECT d.event_id, d.position, d.event_type, d.attempts, d.created_at, e.url, e.secret, \
      e.secret_key_version, e.former_secret, e.former_secret_key_version, e.former_secret_until \
      FROM webhook_cursors JOIN webhook_endpoints AS e USING (organization_id, endpoint_id) \
      JOIN webhook_deliveries AS d ON d.organization_id = e.organization_id \
      AND d.endpoint_id = e.endpoint_id AND d.event_id = webhook_cursors.in_hand \
      WHERE \(fragment: isOurs)
      """,
      "COMMIT",
    ]
  }

  /// One transaction that gives the lease back, as if nothing had been tried.
  var giveBack: [Query] {
    [
      """
      UPDATE webhook_cursors SET lease_id = NULL, lease_until = NULL, in_hand = NULL, holder = NULL \
      WHERE \(fragment: isOurs)
      """
    ]
  }

  /// One transaction that gives the lease back until a suspect may be tried again.
  var postpone: [Query] {
    [
      """
      UPDATE webhook_cursors SET lease_id = NULL, lease_until = NULL, \
      due_at = now() + interval '1 second' WHERE \(fragment: isOurs)
      """
    ]
  }

  /// One transaction that counts a delivery during which the process of the lease before has died, and gives it up after
  /// three times. The third rows say whether a process died during it, the fourth ones that it was counted now.
  func countDeath(during id: UUID, holder: Int64) -> [Query] {
    let item = WebhookLease.item(id, to: endpointID, in: organizationID)
    let inHand: Query = """
      FROM webhook_cursors AS a WHERE a.organization_id = \(organizationID.uuid) \
      AND a.endpoint_id = \(endpointID.uuid) AND a.lease_id = \(self.id) AND a.in_hand = \(id)
      """
    let isDead: Query = "a.holder <> \(holder) AND NOT \(fragment: JobAttemptTable.isAlive)"
    return [
      "BEGIN",
      "SELECT 1 \(fragment: inHand) FOR UPDATE",
      // Once it is counted there is no holder.
      "SELECT a.holder IS NULL OR \(fragment: isDead) \(fragment: inHand)",
      JobAttemptTable.countDeath(of: item, "\(fragment: inHand) AND \(fragment: isDead)"),
      """
      UPDATE webhook_cursors AS a SET holder = NULL WHERE a.organization_id = \(organizationID.uuid) \
      AND a.endpoint_id = \(endpointID.uuid) AND a.lease_id = \(self.id) AND a.in_hand = \(id) \
      AND \(fragment: isDead)
      """,
      """
      UPDATE webhook_deliveries AS d SET status = 'dead', next_attempt_at = NULL, finished_at = now(), \
      failure = 'the server ended during several attempts' \
      WHERE d.organization_id = \(organizationID.uuid) AND d.endpoint_id = \(endpointID.uuid) \
      AND d.event_id = \(id) AND d.status = 'pending' AND EXISTS (SELECT FROM job_attempts \
      WHERE kind = \(item.kind.rawValue) AND item = \(item.key) AND set_aside_at IS NOT NULL)
      """,
      "COMMIT",
    ]
  }

  /// A delivery as an item of a background job.
  static func item(
    _ id: UUID, to endpoint: WebhookEndpointID, in organization: OrganizationID
  ) -> JobItem {
    JobItem(.webhookDelivery, "\(endpoint)/\(EventID(id))", of: organization)
  }

  private var isOurs: Query {
    """
    webhook_cursors.organization_id = \(organizationID.uuid) \
    AND webhook_cursors.endpoint_id = \(endpointID.uuid) AND webhook_cursors.lease_id = \(id)
    """
  }

  /// Deliveries that may be sent once they are due. What is behind one that has failed once waits for its second attempt; when
  /// that fails, too, the endpoint is ill or the event is, and those behind it go on without it. To one that is disabled only
  /// pings are sent.
  private var eligible: Query {
    """
    FROM webhook_deliveries AS d JOIN webhook_endpoints AS e USING (organization_id, endpoint_id) \
    WHERE d.organization_id = \(organizationID.uuid) AND d.endpoint_id = \(endpointID.uuid) \
    AND d.status = 'pending' AND (d.position IS NULL OR e.disabled_at IS NULL \
    AND d.position <= coalesce((SELECT min(b.position) FROM webhook_deliveries AS b \
    WHERE b.organization_id = \(organizationID.uuid) AND b.endpoint_id = \(endpointID.uuid) \
    AND b.status = 'pending' AND b.attempts = 1), d.position))
    """
  }

  /// A success counts whoever has the lease by now: it need not be sent again.
  private func record(_ report: Report) -> Query {
    let result = report.result
    let status: WebhookDelivery.Status =
      report.isSuccess ? .delivered : report.retryIn == nil ? .dead : .pending
    let retryIn = report.retryIn.map { Int64($0 / .milliseconds(1)) }
    return """
      UPDATE webhook_deliveries AS d SET status = \(status.rawValue), attempts = attempts + 1, \
      next_attempt_at = now() + \(retryIn)::bigint * interval '1 millisecond', \
      last_attempt_at = \(TimestampTZ(result.at)), \
      response_status = \(result.responseStatus.map { Int32($0) }), \
      response_excerpt = \(result.responseExcerpt), failure = \(result.failure), \
      duration_ms = \(result.duration), \
      finished_at = CASE WHEN \(status == .pending) THEN NULL ELSE now() END \
      WHERE d.organization_id = \(organizationID.uuid) AND d.endpoint_id = \(endpointID.uuid) \
      AND d.event_id = \(report.job.id.uuid) AND d.status = 'pending' \
      AND (\(report.isSuccess) OR d.attempts = \(Int32(report.job.attempts)) AND EXISTS ( \
      SELECT FROM webhook_cursors WHERE \(fragment: isOurs)))
      """
  }
}

/// What is to be sent next.
struct WebhookJob: Sendable {
  let id: EventID
  /// Nil for a ping.
  let position: Int64?
  let eventType: String
  /// How many there have been before.
  let attempts: Int
  let createdAt: Timestamp
  let url: String
  /// What it is signed with, sealed.
  let secrets: [SealedKey]

  var isPing: Bool { position == nil }

  init(_ row: Row, now: Timestamp) throws(PostgresError) {
    let (
      id, position, eventType, attempts, createdAt, url, secret, keyVersion, formerSecret,
      formerKeyVersion, formerUntil
    ) = try row.decode(
      (
        UUID, Int64?, String, Int32, TimestampTZ, String, [UInt8], Int64, [UInt8]?, Int64?,
        TimestampTZ?
      ).self)
    self.id = EventID(id)
    self.position = position
    self.eventType = eventType
    self.attempts = Int(attempts)
    self.createdAt = Timestamp(createdAt)
    self.url = url
    var secrets = [SealedKey(bytes: secret, keyVersion: keyVersion)]
    if let formerSecret, let formerKeyVersion, let formerUntil, now < Timestamp(formerUntil) {
      secrets.append(SealedKey(bytes: formerSecret, keyVersion: formerKeyVersion))
    }
    self.secrets = secrets
  }
}
