import Domain
import FoundationEssentials
import Postgres
import Synchronization

/// Prepares large changes beside the writer, one at a time: decides and renders them on a thread of its own, and writes their
/// rows in a transaction of its own. The writer then only has to append the events to that transaction, so other commands wait
/// for milliseconds, however large the change is.
///
/// The transaction takes the lock on the log's head last, and never waits for it for long: a command of another replica that
/// has the lock may be waiting for one of the rows.
package struct LargeChanges: Sendable {
  /// For preparing: less than the database lets a transaction be idle.
  private static let timeout: Duration = .seconds(4)

  private let connection: Connection
  let threads: BackgroundThreads

  /// Takes over a connection; nobody else may use it.
  init(connection: Connection, threads: BackgroundThreads) {
    self.connection = connection
    self.threads = threads
  }

  /// Whether nothing but the workspace's state decides about the command.
  static func canPrepare(_ request: CommandRequest) -> Bool {
    request.command.claimedSlug == nil && request.command.usageReports.isEmpty
  }

  /// Prepares a change, and calls back exactly once, on any thread.
  func prepare(
    _ draft: LargeChangeDraft, _ done: @escaping @Sendable (LargeChange.Preparation) -> Void
  ) {
    let deadline = min(draft.request.deadline, .now + Self.timeout)
    Task {
      do {
        let decision = try await withTaskExecutorPreference(threads) { try await decide(draft) }
        switch decision {
        case .answer(let answer): done(.answered(answer))
        case .change(let change): try await write(change, deadline, done)
        }
      } catch {
        done(.failed(error))
      }
    }
  }

  private enum Decision: Sendable {
    case answer(PendingCommand.Answer)
    case change(PreparedChange)
  }

  @concurrent
  private func decide(_ draft: LargeChangeDraft) async throws -> Decision {
    let request = draft.request
    let events: [WorkspaceEvent]
    do throws(Rejection) {
      try request.expected?.check(
        request.command.entity(in: request.organizationID), in: draft.workspace)
      events = try draft.workspace.decide(
        request.command,
        in: CommandContext(
          actor: request.actor, time: request.occurredAt, plans: draft.plans,
          upgrades: draft.upgrades, isByPlatform: request.isByPlatform))
    } catch {
      return .answer(.failure(.rejected(error)))
    }
    if request.isDryRun {
      return .answer(
        .success(
          .unrendered(
            UnrenderedOutcome(
              request: request, workspace: draft.workspace, rehearsed: events, position: nil,
              existed: true))))
    }
    return .change(try PreparedChange(events, of: draft))
  }

  /// Writes the rows, and keeps the transaction open until the writer has finished it.
  private func write(
    _ change: PreparedChange, _ deadline: ContinuousClock.Instant,
    _ done: @escaping @Sendable (LargeChange.Preparation) -> Void
  ) async throws {
    let handoff = SessionHandoff()
    let isHandedOver = Flag()
    do {
      try await connection.run(deadline: deadline) { session in
        _ = try session.pipeline(
          ["BEGIN", "SET LOCAL lock_timeout = '500ms'"] + change.writes, deadline: deadline)
        isHandedOver.raise()
        done(.written(change, handoff))
        // When the offer is withdrawn, the lease rolls the transaction back.
        if !handoff.offer(session, until: deadline) { throw OutdatedDraft() }
      }
    } catch {
      // Once it is handed over, the writer says what became of it.
      if !isHandedOver.isRaised { throw error }
    }
  }

  private final class Flag: Sendable {
    private let value = Atomic(false)

    var isRaised: Bool { value.load(ordering: .acquiring) }

    func raise() { value.store(true, ordering: .releasing) }
  }
}
