package import Domain
import FoundationEssentials
package import Logging
package import Postgres
package import ServiceLifecycle
import Synchronization

/// Where evidence is written, and what sees to its partitions.
package final class RequestLogStore: Service {
  /// How far a gateway's clock may be ahead of ours, in microseconds.
  static let tolerance: Int64 = 3_600_000_000
  private static let secondsPerDay: Int64 = 86_400
  /// Made ahead, so that no record ever has to wait for a partition.
  private static let daysAhead: Int64 = 2
  private static let mostOwners = 200_000
  private static let stage = "request_log_batch"

  private let pool: Pool
  private let plans: PlanCatalog
  private let settlement: UsageSettlement
  private let logger: Logger
  /// The organizations of projects, which never move.
  private let owners = Mutex<[UUID: UUID]>([:])
  /// The days, since the Unix epoch, whose partitions are known to be there.
  private let days = Mutex<Set<Int64>>([])

  /// - Parameters:
  ///   - pool: of connections of its own: evidence comes in masses, and nothing else waits for it.
  ///   - settlement: is told what there is to count.
  package init(
    pool: Pool, plans: PlanCatalog, settlement: UsageSettlement, logger: Logger
  ) {
    self.pool = pool
    self.plans = plans
    self.settlement = settlement
    self.logger = logger
  }

  var knownOwners: [UUID: UUID] { owners.withLock { $0 } }

  /// The times of which records are taken.
  func times(now: Timestamp) -> ClosedRange<Timestamp> {
    let longest = plans.plans.map(\.entitlements.retentionDays).max() ?? 0
    return now.advanced(
      bySeconds: -longest *| Self.secondsPerDay)...now.advanced(by: Self.tolerance)
  }

  // MARK: Writing

  /// Writes a batch in one transaction. Those that are there already are left as they are.
  ///
  /// - Throws: ``PostgresError``; then nothing was written, or all of it, and it can be sent again.
  func write(
    _ batch: RequestLogBatch, deadline: ContinuousClock.Instant
  ) async throws -> IngestOutcome {
    var batch = batch
    let unknown = batch.unknownProjects
    if !unknown.isEmpty {
      let owners = try await find(unknown, deadline)
      batch.complete(owners)
    }
    let (count, refused) = (batch.count, batch.refused)
    guard count > 0 else { return IngestOutcome(accepted: 0, duplicates: 0, refused: refused) }
    try await addPartitions(for: batch.days, deadline)
    let (accepted, capacities) = try await insert(batch, deadline)
    settlement.reported(capacities)
    return IngestOutcome(
      accepted: accepted, duplicates: count - accepted, refused: refused,
      remaining: capacities.mapValues { max(0, $0.remaining -| $0.pending) })
  }

  private func insert(
    _ batch: RequestLogBatch, _ deadline: ContinuousClock.Instant
  ) async throws -> (accepted: Int, [OrganizationID: ReportedCapacity]) {
    let (stage, columns) = (Self.stage, RequestLogTable.columnList)
    let organizations = owners.withLock { owners in
      Set(batch.projects.compactMap { owners[$0] })
    }
    let capacities = ReportedCapacity.query(of: Array(organizations))
    let (accepted, rows) = try await pool.withConnection(deadline: deadline) { session in
      // COPY passes no row security, so the rows go by a table of this session's.
      try session.executeScript(
        """
        SET client_min_messages = warning; BEGIN; CREATE TEMPORARY TABLE IF NOT EXISTS \(stage) \
        (LIKE request_logs) ON COMMIT DELETE ROWS
        """, deadline: deadline)
      try session.copyIn(
        "COPY \(stage) (\(columns)) FROM STDIN (FORMAT binary)", deadline: deadline,
        next: batch.chunks())
      // In the order of the key: two batches with the same records wait for each other one way only.
      let insert = """
        INSERT INTO request_logs (\(columns)) SELECT \(columns) FROM \(stage) \
        ORDER BY organization_id, occurred_at, log_id
        """
      do throws(PostgresError) {
        // Nearly every batch is new, and then this is twice as fast.
        let results = try session.pipeline(
          [
            "SAVEPOINT new", Query(unchecked: insert),
            Query(unchecked: UsageDayTable.add(from: stage)),
            Query(unchecked: UsageReportTable.add(from: stage)), capacities, "COMMIT",
          ], deadline: deadline)
        return (results[1].affected, results[4])
      } catch {
        guard case .uniqueViolation = error.kind else { throw error }
        // Only those that were not there count.
        let results = try session.pipeline(
          [
            "ROLLBACK TO SAVEPOINT new",
            Query(
              unchecked: """
                WITH added AS (\(insert) ON CONFLICT DO NOTHING RETURNING *), \
                days AS (\(UsageDayTable.add(from: "added"))), \
                reports AS (\(UsageReportTable.add(from: "added"))) \
                SELECT count(*) FROM added
                """), capacities, "COMMIT",
          ], deadline: deadline)
        let count: Int64 = try results[1][0].decode(Int64.self)
        return (Int(count), results[2])
      }
    }
    return (accepted, try ReportedCapacity.read(rows, plans))
  }

  /// Learns whose projects are.
  private func find(
    _ projects: Set<UUID>, _ deadline: ContinuousClock.Instant
  ) async throws -> [UUID: UUID] {
    let query = RequestLogTable.owners(of: Array(projects))
    let found = try await pool.withConnection(deadline: deadline) { session in
      try session.execute(query, deadline: deadline).map { row throws(PostgresError) in
        try row.decode((UUID, UUID).self)
      }
    }
    return owners.withLock { owners in
      if owners.count > Self.mostOwners { owners = [:] }
      for (project, organization) in found { owners[project] = organization }
      return Dictionary(found) { $1 }
    }
  }

  // MARK: Partitions

  private func addPartitions(
    for days: Set<Int64>, _ deadline: ContinuousClock.Instant
  ) async throws {
    let missing = days.subtracting(self.days.withLock { $0 }).sorted()
    guard !missing.isEmpty else { return }
    try await pool.withConnection(deadline: deadline) { session in
      for day in missing {
        _ = try session.execute(RequestLogTable.addPartition(day: day), deadline: deadline)
      }
    }
    self.days.withLock { $0.formUnion(missing) }
  }

  /// Makes the partitions of today and the next days, and drops those that every plan's retention has left behind.
  ///
  /// - Returns: how many were dropped.
  /// - Throws: ``PostgresError``.
  @discardableResult
  package func sweep(now: Timestamp = .now) async throws -> Int {
    let deadline = ContinuousClock.now + .seconds(30)
    let today = now.days
    try await addPartitions(for: Set(today - 1...today + Self.daysAhead), deadline)
    let catalog = plans.plans.map(\.entitlements.retentionDays).max() ?? 0
    let dropped = try await pool.withConnection(deadline: deadline) { session in
      let found = try session.execute(RequestLogTable.longestRetention, deadline: deadline)
      // Of what plans allowed when they were given, and of what they allow now, the longer.
      let given: Int64? = try found[0].decode(Int64?.self, column: "max")
      let longest = max(catalog, given ?? 0)
      // Whole days: a partition goes when its last moment is too old.
      let oldest = today - longest
      let rows = try session.execute(
        RequestLogTable.dropPartitions(before: oldest), deadline: deadline)
      let count: Int32 = try rows[0].decode(Int32.self)
      return (oldest, Int(count))
    }
    days.withLock { $0 = $0.filter { $0 >= dropped.0 } }
    return dropped.1
  }

  package func run() async throws {
    try? await cancelWhenGracefulShutdown {
      while true {
        do {
          try await self.sweep()
        } catch {
          self.logger.warning(
            "partitions were not looked after", metadata: ["error": "\(error)"])
        }
        try await Task.sleep(for: .seconds(3600))
      }
    }
    await pool.close()
  }
}
