package import FoundationEssentials
package import Postgres

/// A stream's folded state at one version, so that a long stream need not be read from its beginning.
/// It can always be thrown away; one made by another fold (`foldVersion`) is not used.
package struct Snapshot: Sendable {
  package let organizationID: UUID
  /// The version of the last event that is folded in, and its hash.
  package let head: StreamHead
  package let foldVersion: Int32
  package let state: [UInt8]

  package init(organizationID: UUID, head: StreamHead, foldVersion: Int32, state: [UInt8]) {
    self.organizationID = organizationID
    self.head = head
    self.foldVersion = foldVersion
    self.state = state
  }

  /// Reads a row of the snapshot queries.
  ///
  /// - Throws: ``PostgresError`` when a column is not what the schema says.
  package init(_ row: Row) throws(PostgresError) {
    let (organizationID, version, foldVersion, hash, state) = try row.decode(
      (UUID, Int64, Int32, [UInt8], [UInt8]).self)
    self.init(
      organizationID: organizationID, head: StreamHead(version: version, hash: hash),
      foldVersion: foldVersion, state: state)
  }

  /// Keeps it, unless the version has one already.
  package var insert: Query {
    """
    INSERT INTO snapshots (organization_id, version, fold_version, hash, state) VALUES \
    (\(organizationID), \(head.version), \(foldVersion), \(head.hash), \(state)) \
    ON CONFLICT (organization_id, version, fold_version) DO NOTHING
    """
  }

  /// What is loaded while everybody waits: a snapshot of so many bytes, and as many bytes of events as they are stored.
  package static let lightBytes: Int64 = 1 << 20

  /// The newest usable snapshot of each of the streams, whose state is null when it is larger than ``lightBytes``.
  package static func newestLight(of streams: [UUID], foldVersion: Int32) -> Query {
    """
    SELECT s.organization_id, s.version, s.fold_version, s.hash, \
    CASE WHEN octet_length(s.state) <= \(lightBytes) THEN s.state END AS state \
    FROM unnest(\(streams)) AS stream (id) CROSS JOIN LATERAL \
    (SELECT * FROM snapshots WHERE organization_id = stream.id AND fold_version = \(foldVersion) \
    ORDER BY version DESC LIMIT 1) AS s
    """
  }

  /// The stream whose snapshot a row of ``newestLight(of:foldVersion:)`` leaves out; nil when it holds one.
  ///
  /// - Throws: ``PostgresError`` when a column is not what the schema says.
  package static func heavyStream(_ row: Row) throws(PostgresError) -> UUID? {
    let (organizationID, _, _, _, state) = try row.decode(
      (UUID, Int64, Int32, [UInt8], [UInt8]?).self)
    return state == nil ? organizationID : nil
  }

  /// The newest usable snapshot of each of the streams.
  package static func newest(of streams: [UUID], foldVersion: Int32) -> Query {
    """
    SELECT s.organization_id, s.version, s.fold_version, s.hash, s.state \
    FROM unnest(\(streams)) AS stream (id) CROSS JOIN LATERAL \
    (SELECT * FROM snapshots WHERE organization_id = stream.id AND fold_version = \(foldVersion) \
    ORDER BY version DESC LIMIT 1) AS s
    """
  }

  /// The newest usable snapshot of one stream at or before a version.
  package static func newest(
    of stream: UUID, notAfter version: Int64, foldVersion: Int32
  ) -> Query {
    """
    SELECT organization_id, version, fold_version, hash, state FROM snapshots \
    WHERE organization_id = \(stream) AND fold_version = \(foldVersion) AND version <= \(version) \
    ORDER BY version DESC LIMIT 1
    """
  }

  /// How many events are read at a time: memory stays bounded however long a stream is.
  package static let pageSize: Int64 = 2000

  /// The first page of the events of each of the streams behind its newest usable snapshot, in order: no more than
  /// ``pageSize``, and none behind those that take ``lightBytes``.
  package static func eventsBehindNewest(of streams: [UUID], foldVersion: Int32) -> Query {
    """
    SELECT \(fragment: EventLog.columns) FROM \
    (SELECT e.*, sum(pg_column_size(e.payload)) OVER (PARTITION BY e.organization_id \
    ORDER BY e.version ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before \
    FROM unnest(\(streams)) AS stream (id) CROSS JOIN LATERAL \
    (SELECT \(fragment: EventLog.columns) FROM events WHERE organization_id = stream.id AND version > \
    COALESCE((SELECT max(version) FROM snapshots WHERE organization_id = stream.id \
    AND fold_version = \(foldVersion)), 0) ORDER BY version LIMIT \(pageSize)) AS e) AS page \
    WHERE coalesce(bytes_before, 0) < \(lightBytes) ORDER BY organization_id, version
    """
  }
}
