import Domain
import FoundationEssentials
import Logging
import Postgres
import Synchronization

/// Says which counters of usage have reached the largest number that there is: from then on they count no further, and what
/// is shown of them is too little. Each is logged once by a process, and counted in a metric.
final class SaturatedCounters: Sendable {
  /// One month of a project, or of a whole workspace.
  private struct FullCounter: Hashable {
    let organization: OrganizationID
    /// Nil for the workspace.
    let project: ProjectID?
    let period: BillingPeriod
  }

  private let pool: Pool
  private let saturated: Counter
  private let logger: Logger
  private let told = Mutex<Set<FullCounter>>([])

  init(pool: Pool, metrics: Metrics, logger: Logger) {
    self.pool = pool
    self.logger = logger
    saturated = metrics.counter(
      "signalbox_usage_saturated_total",
      "Counters of usage, by project and workspace and month, that have reached the largest number."
    )
  }

  /// Looks at the counters of workspaces that were just counted.
  func look(at organizations: [OrganizationID], in period: BillingPeriod) async {
    guard !organizations.isEmpty else { return }
    let deadline = ContinuousClock.now + .seconds(5)
    do {
      let rows = try await pool.withConnection(deadline: deadline) { session throws in
        try session.execute(
          UsageCounterTable.saturated(in: organizations.map(\.uuid), period), deadline: deadline)
      }
      for row in rows {
        let (organization, project) = try row.decode((UUID, UUID?).self)
        tell(
          FullCounter(
            organization: OrganizationID(organization), project: project.map { ProjectID($0) },
            period: period))
      }
    } catch {
      // A counter that is full stays so: it is found the next time.
      logger.debug("full counters of usage were not looked for", metadata: ["error": "\(error)"])
    }
  }

  private func tell(_ counter: FullCounter) {
    let isNew = told.withLock { told in
      // Nothing is counted in months that are over.
      if told.contains(where: { $0.period < counter.period }) {
        told = told.filter { $0.period >= counter.period }
      }
      return told.insert(counter).inserted
    }
    guard isNew else { return }
    saturated.add()
    logger.error(
      "a counter of usage has reached the largest number and counts no further",
      metadata: [
        "organization_id": "\(counter.organization)",
        "project_id": "\(counter.project.map { "\($0)" } ?? "all")",
        "period": "\(counter.period)",
      ])
  }
}
