import Domain
import EventStore
import FoundationEssentials
import JSON
import Postgres

/// Workspaces as they were: folded from the log, never from the tables.
enum WorkspaceHistory {
  private static let pageSize: Int64 = 1000

  /// The workspace as it was at a version, or at a time.
  ///
  /// - Throws: a ``Problem`` of 422 when the version is yet to come, 404 when the workspace did not exist then.
  static func workspace(
    _ id: OrganizationID, asOf moment: QueryReader.Moment, _ reads: Reads
  ) async throws -> Workspace {
    let version = try await version(of: id, asOf: moment, reads)
    // A long fold on an event loop, or in the shared pool of tasks, would keep others waiting.
    return try await withTaskExecutorPreference(reads.threads) {
      try await fold(id, to: version, reads).workspace
    }
  }

  private static func version(
    of id: OrganizationID, asOf moment: QueryReader.Moment, _ reads: Reads
  ) async throws -> Int64 {
    switch moment {
    case .version(let version):
      let newest = try await maximum(
        "SELECT max(version) FROM events WHERE organization_id = \(id.uuid)", reads)
      guard version <= newest else {
        throw Problem.invalid([
          .init(.parameter("as_of"), "range", "the newest version is \(newest)")
        ])
      }
      return version
    case .time(let time):
      guard time <= .now else {
        throw Problem.invalid([.init(.parameter("as_of"), "range", "the time is yet to come")])
      }
      let version = try await maximum(
        """
        SELECT max(version) FROM events \
        WHERE organization_id = \(id.uuid) AND occurred_at <= \(TimestampTZ(time))
        """, reads)
      guard version > 0 else { throw Problem(.notFound, "the organization did not exist then") }
      return version
    }
  }

  private static func maximum(_ query: Query, _ reads: Reads) async throws -> Int64 {
    let rows = try await reads.rows(query)
    return try rows[0].decode(Int64?.self, column: "max") ?? 0
  }

  @concurrent
  private static func fold(
    _ id: OrganizationID, to version: Int64, _ reads: Reads
  ) async throws -> StoredWorkspace {
    let snapshots = try await reads.rows(
      Snapshot.newest(of: id.uuid, notAfter: version, foldVersion: Int32(Workspace.foldVersion)))
    var state = try snapshots.first.map { try StoredWorkspace(Snapshot($0)) } ?? StoredWorkspace()
    while state.head.version < version {
      let next = state.head.version + 1
      let events = try await reads.rows(
        EventLog.page(of: id.uuid, versions: next...version, limit: Self.pageSize))
      for row in events { try state.fold(RecordedEvent(row)) }
      guard state.head.version >= next else {
        throw FoldError(version: next, reason: "the event is missing")
      }
    }
    return state
  }
}
