import Domain
import FoundationEssentials
import Logging
import Postgres
import ServiceLifecycle

/// Ends panic modes whose time is over, by an event like any other. Data planes know the end beforehand and need not wait
/// for it; every replica does this, and whoever comes second changes nothing.
struct PanicModeEnds: Service {
  private static let interval: Duration = .seconds(1)
  private static let batchLimit: Int64 = 100

  let pool: Pool
  let commands: CommandHandler
  let logger: Logger

  func run() async throws {
    try? await cancelWhenGracefulShutdown {
      while true {
        try await Task.sleep(for: Self.interval)
        do {
          try await endThoseDue(at: .now)
        } catch {
          // A database that is away is told of by readiness; what is due stays due.
          logger.debug("panic modes that are due wait", metadata: ["error": "\(error)"])
        }
      }
    }
  }

  /// - Throws: ``PostgresError`` or ``CommandError``; what is due is found again.
  func endThoseDue(at time: Timestamp) async throws {
    let deadline = ContinuousClock.now + .seconds(5)
    let due = try await pool.withConnection(deadline: deadline) { session throws in
      try session.execute(
        ProjectTable.duePanicModes(at: time, limit: Self.batchLimit), deadline: deadline
      ).map { row throws(PostgresError) in try row.decode((UUID, UUID, TimestampTZ).self) }
    }
    for (organization, project, end) in due {
      _ = try await commands.handle(
        CommandRequest(
          commandID: Identifiers.next(at: time), organizationID: OrganizationID(organization),
          command: .project(.endPanicMode(ProjectID(project), dueAt: Timestamp(end))),
          actor: .system, occurredAt: time))
    }
  }
}
