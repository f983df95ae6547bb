import Domain
import EventStore
import FoundationEssentials
package import Postgres

/// Loads workspaces that are too large to be loaded behind the lock on the log's head, where everybody would wait: on a
/// connection, and a thread, of their own.
package struct WorkspaceLoader: Sendable {
  private static let patience: Duration = .seconds(30)

  private let pool: Pool

  package init(pool: Pool) {
    self.pool = pool
  }

  /// The workspace as of some version. What is appended meanwhile is behind it.
  func load(_ id: OrganizationID) async -> Result<StoredWorkspace, any Error> {
    let deadline = ContinuousClock.now + Self.patience
    do {
      return .success(
        try await pool.withConnection(deadline: deadline) { session in
          let snapshots = try session.execute(
            Snapshot.newest(of: [id.uuid], foldVersion: Int32(Workspace.foldVersion)),
            deadline: deadline)
          var stored =
            try snapshots.first.map { try StoredWorkspace(Snapshot($0)) } ?? StoredWorkspace()
          try stored.foldRest(of: id, session, deadline: deadline)
          return stored
        })
    } catch {
      return .failure(error)
    }
  }
}
