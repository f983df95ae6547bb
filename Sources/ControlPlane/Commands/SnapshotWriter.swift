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

  private let pool: Pool
  private let logger: Logger

  package init(pool: Pool, logger: Logger) {
    self.pool = pool
    self.logger = logger
  }

  func isDue(_ entry: WorkspaceCache.Entry) -> Bool {
    let entities = Int64(entry.workspace.projects.count + entry.workspace.members.count)
    return entry.head.version - entry.snapshotVersion >= max(Self.interval, entities)
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
