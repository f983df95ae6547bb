package import FoundationEssentials
package import Postgres

/// The queries of the log. Appending goes: lock the head, read what is needed, decide, insert behind the head, move it.
/// The row lock on the head is the queue of all writers: it makes positions gapless and ordered by commit.
package enum EventLog {
  /// The channel on which every append tells its last position.
  package static let channel = "signalbox_events"

  /// One row: the position of the newest event, 0 in an empty log, and what ``Revocation`` looks at. Locked until the
  /// transaction ends.
  package static let lockHead: Query =
    "SELECT position, sole_reader, revocation FROM event_log_head WHERE singleton FOR UPDATE"

  /// One row: the position of the newest committed event.
  package static let head: Query = "SELECT position FROM event_log_head WHERE singleton"

  /// One row when a replica holds the right that ``ReadLease`` is about, else none.
  static func head(ifReadOnlyBy replica: UUID) -> Query {
    """
    SELECT position FROM event_log_head \
    WHERE singleton AND sole_reader = \(replica) AND revocation IS NULL
    """
  }

  /// One row when the replica has the right from now on; none when another one holds it, or somebody is appending: reads
  /// wait for no writer.
  static func claimHead(for replica: UUID) -> Query {
    """
    WITH free AS ( \
    SELECT singleton FROM event_log_head WHERE singleton AND sole_reader IS NULL \
    FOR UPDATE SKIP LOCKED) \
    UPDATE event_log_head AS head SET sole_reader = \(replica) FROM free \
    WHERE head.singleton = free.singleton RETURNING position
    """
  }

  /// The events of all streams behind `position`, in the order of positions.
  package static func events(after position: Int64, limit: Int64) -> Query {
    """
    SELECT \(fragment: columns) FROM events WHERE position > \(position) ORDER BY position LIMIT \(limit)
    """
  }

  /// Events behind a page's first ones are left out when those take more than this, as they are stored: one event may be a
  /// megabyte, and a page is held in memory.
  private static let pageBytes: Int64 = 2 << 20

  /// A page of the events of all streams behind `position`, in the order of positions: at least one when there are any, and
  /// fewer than `limit` when they are large.
  package static func page(after position: Int64, limit: Int64) -> Query {
    bounded(
      """
      SELECT \(fragment: columns) FROM events WHERE position > \(position) \
      ORDER BY position LIMIT \(limit)
      """)
  }

  /// A page of the events of one stream behind `position`, in the order of positions: at least one when there are any, and
  /// fewer than `limit` when they are large.
  ///
  /// - Parameter types: the types of events that are wanted; nil for all.
  package static func events(
    of organizationID: UUID, after position: Int64, limit: Int64, types: [String]? = nil
  ) -> Query {
    var query: Query = """
      SELECT \(fragment: columns) FROM events WHERE organization_id = \(organizationID) \
      AND position > \(position)
      """
    if let types { query += " AND type = ANY(\(types))" }
    return bounded(query + " ORDER BY position LIMIT \(limit)")
  }

  /// One row: the position of the last event of one stream in `(position, end]`, or `position` when there is none.
  package static func last(
    of organizationID: UUID, after position: Int64, upTo end: Int64
  ) -> Query {
    """
    SELECT coalesce(max(position), \(position)) FROM events \
    WHERE organization_id = \(organizationID) AND position > \(position) AND position <= \(end)
    """
  }

  /// A page of the events of one stream with versions in the range, in order: at least one when there are any, and fewer than
  /// the range and `limit` allow when they are large.
  package static func page(
    of organizationID: UUID, versions: ClosedRange<Int64>, limit: Int64 = Snapshot.pageSize
  ) -> Query {
    bounded(
      """
      SELECT \(fragment: columns) FROM events WHERE organization_id = \(organizationID) \
      AND version BETWEEN \(versions.lowerBound) AND \(versions.upperBound) \
      ORDER BY version LIMIT \(limit)
      """)
  }

  private static func bounded(_ events: Query) -> Query {
    """
    SELECT \(fragment: columns) FROM (SELECT *, sum(pg_column_size(payload)) OVER \
    (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before \
    FROM (\(fragment: events)) AS page) AS page \
    WHERE coalesce(bytes_before, 0) < \(pageBytes) ORDER BY position
    """
  }

  /// The events of one stream with versions in the range, in order.
  package static func events(of organizationID: UUID, versions: ClosedRange<Int64>) -> Query {
    """
    SELECT \(fragment: columns) FROM events WHERE organization_id = \(organizationID) \
    AND version BETWEEN \(versions.lowerBound) AND \(versions.upperBound) ORDER BY version
    """
  }

  /// One row: the first stream behind `stream` in the order of ids; none when there is none.
  package static func nextStream(after stream: UUID?) -> Query {
    """
    SELECT organization_id FROM events \
    WHERE \(stream)::uuid IS NULL OR organization_id > \(stream) ORDER BY organization_id LIMIT 1
    """
  }

  /// The ids of the events at one position: none when the log is shorter.
  package static func eventID(at position: Int64) -> Query {
    "SELECT event_id FROM events WHERE position = \(position)"
  }

  /// Inserts the events, moves the head to the last of them and wakes those who listen, all when the transaction commits.
  package static func append(_ events: [RecordedEvent]) -> [Query] {
    guard let last = events.last else { return [] }
    return [
      table.insert(events),
      "UPDATE event_log_head SET position = \(last.position) WHERE singleton",
      "SELECT pg_notify(\(channel), \(String(last.position)))",
    ]
  }

  static let columns = Query(unchecked: table.columnList)

  static let table = Table<RecordedEvent>(
    "events",
    [
      .key("organization_id") { $0.organizationID },
      .key("version") { $0.version },
      .value("position") { $0.position },
      .value("event_id") { $0.eventID },
      .value("type") { $0.type },
      .value("schema_version") { $0.schemaVersion },
      .value("payload") { JSONB(utf8: $0.payload) },
      .value("actor_kind") { $0.actorKind },
      .value("actor_id") { $0.actorID },
      .value("request_id") { $0.requestID },
      .value("causation_id") { $0.causationID },
      .value("occurred_at") { $0.occurredAt },
      .value("previous_hash") { $0.previousHash },
      .value("hash") { $0.hash },
    ])
}

extension RecordedEvent {
  /// Reads a row of the log's own queries.
  ///
  /// - Throws: ``PostgresError`` when a column is not what the schema says.
  package init(_ row: Row) throws(PostgresError) {
    let (
      organizationID, version, position, eventID, type, schemaVersion, payload, actorKind, actorID,
      requestID, causationID, occurredAt, previousHash, hash
    ) = try row.decode(
      (
        UUID, Int64, Int64, UUID, String, Int32, JSONB,
        String, UUID?, String?, UUID, TimestampTZ, [UInt8],
        [UInt8]
      ).self)
    self.init(
      organizationID: organizationID, version: version, position: position, eventID: eventID,
      type: type, schemaVersion: schemaVersion, payload: payload.utf8, actorKind: actorKind,
      actorID: actorID, requestID: requestID, causationID: causationID, occurredAt: occurredAt,
      previousHash: previousHash, hash: hash)
  }
}
