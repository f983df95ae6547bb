import Domain
import FoundationEssentials
import Logging
import Postgres
import ServiceLifecycle

/// Ends panic modes whose time is over, by an event like any other. Data planes know the end beforehand and need not wait
/// for it; every replica does this, and whoever comes second changes nothing. A project whose panic mode cannot be ended is set
/// aside (``JobAttempts``), and holds no other one back.
struct PanicModeEnds: Service {
  private static let interval: Duration = .seconds(1)
  private static let batchLimit: Int64 = 100

  let pool: Pool
  let commands: CommandHandler
  let attempts: JobAttempts
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

  /// - Throws: ``PostgresError``; what is due is found again.
  func endThoseDue(at time: Timestamp) async throws {
    let due = try await due(at: time)
    try await attempts.work(on: Array(due.keys)) { items in
      await withTaskGroup { group in
        for item in items {
          guard let command = due[item] else { continue }
          group.addTask { (item, await self.outcome(of: command, of: item)) }
        }
        return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
      }
    }
  }

  /// Ends a panic mode that is set aside, if it is still due.
  func replay(_ item: JobItem) async -> AttemptOutcome {
    do {
      guard let command = try await due(at: .now, only: ProjectID(item.key))[item] else {
        return .done
      }
      return await outcome(of: command, of: item)
    } catch {
      return AttemptOutcome(error)
    }
  }

  /// The panic modes that are due, and the command that ends each.
  ///
  /// - Parameter only: of one project, although it is set aside.
  private func due(
    at time: Timestamp, only project: ProjectID? = nil
  ) async throws -> [JobItem: CommandRequest] {
    let deadline = ContinuousClock.now + .seconds(5)
    let query = ProjectTable.duePanicModes(at: time, only: project, limit: Self.batchLimit)
    let rows = try await pool.withConnection(deadline: deadline) { session throws in
      try session.execute(query, deadline: deadline)
        .map { row throws(PostgresError) in try row.decode((UUID, UUID, TimestampTZ).self) }
    }
    let pairs = rows.map { row in
      let (organization, project, end) = (OrganizationID(row.0), ProjectID(row.1), row.2)
      return (
        JobItem(.panicMode, "\(project)", id: project.uuid, of: organization),
        CommandRequest(
          commandID: Identifiers.next(at: time), organizationID: organization,
          command: .project(.endPanicMode(project, dueAt: Timestamp(end))), actor: .system,
          occurredAt: time)
      )
    }
    return Dictionary(pairs) { first, _ in first }
  }

  private func outcome(of command: CommandRequest, of item: JobItem) async -> AttemptOutcome {
    do throws(CommandError) {
      _ = try await commands.handle(command)
      return .done
    } catch {
      let outcome = AttemptOutcome(error)
      if outcome != .passing {
        logger.warning(
          "a panic mode cannot be ended", metadata: ["project": "\(item.key)", "error": "\(error)"])
      }
      return outcome
    }
  }
}
