import Domain
import EventStore
import FoundationEssentials
import JSON
package import Logging
package import Postgres

/// Keeps snapshots of long streams, off the writer's thread. A snapshot that cannot be kept is missed by nobody: the
/// next load folds more events. A workspace whose snapshot fails three times is set aside (``JobAttempts``) and has none.
package struct SnapshotWriter: Sendable {
  /// So that a state is not written for every few events, and a large one less often than a small one.
  private static let interval: Int64 = 500
  /// The same for events that are large: whoever loads the state reads about so much besides it.
  private static let byteInterval = 4 << 20
  /// About what an entity takes in a snapshot.
  private static let bytesPerEntity = 300

  private let pool: Pool
  private let attempts: JobAttempts
  private let logger: Logger

  package init(pool: Pool, attempts: JobAttempts, logger: Logger) {
    self.pool = pool
    self.attempts = attempts
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
        try await attempts.work(on: [JobItem(.snapshot, id)]) { _ in
          try await keep(workspace, of: id, at: head)
          return [:]
        }
      } catch {
        logger.warning(
          "a snapshot was not kept",
          metadata: ["organization_id": "\(id)", "error": "\(error)"])
      }
    }
  }

  /// Keeps a snapshot of a workspace that is set aside.
  ///
  /// - Throws: when that still fails.
  func replay(_ item: JobItem) async throws {
    guard let id = item.organizationID else { return }
    let stored = try await WorkspaceLoader(pool: pool).load(id).get()
    try await keep(stored.workspace, of: id, at: stored.head)
  }

  private func keep(
    _ workspace: Workspace, of id: OrganizationID, at head: StreamHead
  ) async throws {
    let snapshot = Snapshot(
      organizationID: id.uuid, head: head, foldVersion: Int32(Workspace.foldVersion),
      state: try CanonicalJSONEncoder().encode(workspace))
    let deadline = ContinuousClock.now + .seconds(10)
    _ = try await pool.withConnection(deadline: deadline) { session in
      try session.execute(snapshot.insert, deadline: deadline)
    }
  }
}
