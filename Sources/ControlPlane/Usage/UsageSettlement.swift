package import Domain
package import FoundationEssentials
package import Logging
package import Postgres
package import ServiceLifecycle
import Synchronization

/// Counts what gateways reported: turns the reports of a workspace into events, many at a time.
///
/// A workspace's first report is counted at once, those that follow within ``rest`` together; but the nearer the end of
/// its capacity, the sooner. What a process that ended left behind, any other one counts. A report is counted once,
/// however many processes try: it is taken away in the transaction of the events that count it. A workspace that cannot be
/// counted is set aside (``JobAttempts``), and holds no other one back.
package final class UsageSettlement: Service {
  /// How often it is looked whether anything is due.
  private static let interval: Duration = .milliseconds(50)
  /// How long a workspace that was counted rests.
  private static let rest: Duration = .seconds(5)
  /// How long a workspace that could not be counted waits for the next attempt.
  private static let pause: Duration = .seconds(2)
  /// Reports that nobody has counted after this time were left behind.
  private static let patience: Int64 = 15_000_000
  private static let sweepInterval: Duration = .seconds(5)
  private static let mostOrganizations = 64
  private static let mostReports: Int64 = 5000
  /// Of one workspace at a time: no one's reports wait behind those of another.
  private static let mostReportsOfOne: Int64 = 1000

  private struct State {
    /// When each workspace that has reports is to be counted.
    var due: [OrganizationID: ContinuousClock.Instant] = [:]
    var counted: [OrganizationID: ContinuousClock.Instant] = [:]
  }

  private let state = Mutex(State())
  private let pool: Pool
  private let commands: CommandHandler
  private let attempts: JobAttempts
  private let saturated: SaturatedCounters
  private let logger: Logger

  package init(
    pool: Pool, commands: CommandHandler, attempts: JobAttempts, metrics: Metrics, logger: Logger
  ) {
    self.pool = pool
    saturated = SaturatedCounters(pool: pool, metrics: metrics, logger: logger)
    self.commands = commands
    self.attempts = attempts
    self.logger = logger
  }

  /// There are reports of these workspaces.
  func reported(_ capacities: [OrganizationID: ReportedCapacity]) {
    let now = ContinuousClock.now
    state.withLock { state in
      for (organization, capacity) in capacities where capacity.pending > 0 {
        let isNearTheEnd = capacity.pending >= capacity.remaining / 64
        let rested = state.counted[organization].map { $0 + Self.rest } ?? now
        let due = isNearTheEnd ? now : rested
        state.due[organization] = min(due, state.due[organization] ?? due)
      }
    }
  }

  package func run() async throws {
    try? await cancelWhenGracefulShutdown {
      var nextSweep = ContinuousClock.now
      while true {
        try await Task.sleep(for: Self.interval)
        do {
          if ContinuousClock.now >= nextSweep {
            nextSweep = .now + Self.sweepInterval
            try await self.sweep()
          }
          try await self.settleThoseDue()
        } catch {
          self.logger.debug("usage waits to be counted", metadata: ["error": "\(error)"])
        }
      }
    }
  }

  /// Finds what was left behind, and forgets who rested long enough.
  private func sweep() async throws {
    let deadline = ContinuousClock.now + .seconds(5)
    let left = try await pool.withConnection(deadline: deadline) { session throws in
      try session.execute(
        UsageReportTable.organizations(
          before: Timestamp.now.advanced(by: -Self.patience), limit: Self.mostReports),
        deadline: deadline
      ).map { row throws(PostgresError) in OrganizationID(try row.decode(UUID.self)) }
    }
    let now = ContinuousClock.now
    state.withLock { state in
      for organization in left { state.due[organization] = now }
      state.counted = state.counted.filter { now < $0.value + Self.rest }
    }
  }

  private func settleThoseDue() async throws {
    let now = ContinuousClock.now
    let due = state.withLock { state in
      let due = state.due.filter { $0.value <= now }.prefix(Self.mostOrganizations).map(\.key)
      for organization in due { state.due[organization] = nil }
      return due
    }
    guard !due.isEmpty else { return }
    do {
      try await settle(due)
    } catch {
      state.withLock { state in
        for organization in due { state.due[organization] = .now + .seconds(1) }
      }
      throw error
    }
  }

  /// Counts all that was reported of some workspaces.
  ///
  /// - Throws: ``PostgresError``; what was not counted is still there.
  package func settle(_ organizations: [OrganizationID]) async throws {
    let rest = try await attempts.work(on: organizations.map { JobItem(.usage, $0) }) { items in
      try await self.count(items)
    }
    state.withLock { state in
      for item in rest.again {
        guard let organization = item.organizationID else { continue }
        state.due[organization] = state.due[organization] ?? .now + .seconds(1)
      }
    }
  }

  /// Counts what was reported of the workspaces, and says what became of each.
  ///
  /// - Throws: ``PostgresError``; what was not counted is still there.
  func count(_ items: [JobItem]) async throws -> [JobItem: AttemptOutcome] {
    let deadline = ContinuousClock.now + .seconds(5)
    let organizations = items.compactMap(\.organizationID?.uuid)
    let rows = try await pool.withConnection(deadline: deadline) { session throws in
      try session.execute(
        UsageReportTable.list(of: organizations, limit: Self.mostReportsOfOne), deadline: deadline)
    }
    var reports: [OrganizationID: [UsageReport]] = [:]
    for row in rows {
      let (organization, id, project, requests, cost) = try row.decode(
        (UUID, UUID, UUID, Int64, Int64).self)
      reports[OrganizationID(organization), default: []].append(
        UsageReport(
          id: id, projectID: ProjectID(project), requests: requests, costMicroUSD: cost))
    }
    let outcomes: [JobItem: AttemptOutcome] = await withTaskGroup { [reports] group in
      for item in items {
        guard let organization = item.organizationID, let reports = reports[organization] else {
          continue
        }
        group.addTask { (item, await self.count(reports, of: organization)) }
      }
      var outcomes: [JobItem: AttemptOutcome] = [:]
      for await (item, outcome) in group { outcomes[item] = outcome }
      return outcomes
    }
    await saturated.look(at: Array(reports.keys), in: BillingPeriod(containing: .now))
    return outcomes
  }

  private func count(
    _ reports: [UsageReport], of organization: OrganizationID
  ) async -> AttemptOutcome {
    let time = Timestamp.now
    if reports.isTooLarge {
      logger.error(
        "a sum of usage is too large and is counted as the largest number",
        metadata: ["organization_id": "\(organization)"])
    }
    do throws(CommandError) {
      _ = try await commands.handle(
        CommandRequest(
          commandID: Identifiers.next(at: time), organizationID: organization,
          command: .usage(.record(reports)), actor: .system, occurredAt: time))
      let isWhole = reports.count < Self.mostReportsOfOne
      state.withLock { state in
        state.counted[organization] = .now
        if !isWhole { state.due[organization] = .now }
      }
      return .done
    } catch {
      let outcome = AttemptOutcome(error)
      if outcome != .passing {
        logger.warning(
          "usage cannot be counted",
          metadata: ["organization_id": "\(organization)", "error": "\(error)"])
        state.withLock { $0.due[organization] = .now + Self.pause }
      }
      return outcome
    }
  }
}
