import Domain
import EventStore
import FoundationEssentials
import JSON
package import Logging
package import Postgres

/// Keeps snapshots of long streams, off the writer's thread. A snapshot that cannot be kept is missed by nobody: the
/// next load folds more events.
package struct SnapshotWriter: Sendable {
  /// So that a state is not written for every few events, and a large one less often than a small one.
  private static let interval: Int64 = 500
  /// The same for events that are large: whoever loads the state reads about so much besides it.
  private static let byteInterval = 4 << 20
  /// About what an entity takes in a snapshot.
  private static let bytesPerEntity = 300

  private let pool: Pool
  private let logger: Logger

  package init(pool: Pool, logger: Logger) {
    self.pool = pool
    self.logger = logger
  }

  func isDue(_ entry: WorkspaceCache.Entry) -> Bool {
    let entities = entry.workspace.entityCount
    return entry.head.version - entry.snapshotVersion >= max(Self.interval, Int64(entities))
      || entry.unsavedBytes >= max(Self.byteInterval, entities * Self.bytesPerEntity)
  }

  func save(_ workspace: Workspace, of id: OrganizationID, at head: StreamHead) {
    Task.detached(priority: .utility) {
      do {
        let snapshot = Snapshot(
          organizationID: id.uuid, head: head, foldVersion: Int32(Workspace.foldVersion),
          state: try CanonicalJSONEncoder().encode(workspace))
        _ = try await pool.withConnection(deadline: .now + .seconds(10)) { session in
          try session.execute(snapshot.insert, deadline: .now + .seconds(10))
        }
      } catch {
        logger.warning(
          "a snapshot was not kept",
          metadata: ["organization_id": "\(id)", "error": "\(error)"])
      }
    }
  }
}
