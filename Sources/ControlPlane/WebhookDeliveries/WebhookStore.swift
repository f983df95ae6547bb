import Domain
import EventStore
import FoundationEssentials
import Postgres

/// What deliveries are kept in, by connections of their own: nothing else waits for webhooks.
struct WebhookStore: Sendable {
  /// What a step of making deliveries found.
  struct Step: Sendable {
    /// Workspaces that have more events to look at.
    var unfinished: Set<UUID> = []
    var isNews = false
  }

  private static let patience: Duration = .seconds(3)

  private let pool: Pool
  /// The number of this process: see ``JobAttempts``.
  private let holder: Int64

  /// - Parameter pool: closed by whoever runs the deliveries.
  init(pool: Pool, holder: Int64) {
    self.pool = pool
    self.holder = holder
  }

  func close() async { await pool.close() }

  // MARK: The log → deliveries

  /// The log's end, and the workspaces with endpoints to which something happened behind a position.
  func workspacesWithNews(after position: Int64) async throws -> (end: Int64, [UUID]) {
    try await run { session, deadline throws in
      let rows = try session.execute(
        WebhookCursorTable.workspacesWithNews(after: position), deadline: deadline
      ).map { row throws(PostgresError) in try row.decode((Int64, UUID?).self) }
      return (rows.first?.0 ?? position, rows.compactMap(\.1))
    }
  }

  /// The log's end.
  func head() async throws -> Int64 {
    try await run { session, deadline throws in
      try session.execute(EventLog.head, deadline: deadline)[0].decode(Int64.self)
    }
  }

  /// Workspaces with endpoints, behind one in the order of ids.
  func workspaces(after id: UUID?, limit: Int64) async throws -> [UUID] {
    try await run { session, deadline throws in
      try session.execute(
        WebhookCursorTable.workspaces(after: id, limit: limit), deadline: deadline
      ).map { row throws(PostgresError) in try row.decode(UUID.self) }
    }
  }

  /// Makes deliveries of what happened to some workspaces, exactly once, however many replicas do so.
  func dispatch(_ organizations: [UUID]) async throws -> Step {
    try await run { session, deadline throws in
      let results = try session.pipeline(
        WebhookCursorTable.dispatch(organizations), deadline: deadline)
      var step = Step()
      for row in results[results.count - 2] {
        let (organization, hasMore, isNews) = try row.decode((UUID, Bool, Bool).self)
        if hasMore { step.unfinished.insert(organization) }
        step.isNews = step.isNews || isNews
      }
      return step
    }
  }

  // MARK: Deliveries → endpoints

  /// Takes the right to send to endpoints that are due: to so many whose last attempt failed, and to so many others.
  func claim(healthy: Int, failing: Int) async throws -> [(lease: WebhookLease, isFailing: Bool)] {
    let id = Identifiers.next()
    return try await run { session, deadline throws in
      let results = try session.pipeline(
        [
          WebhookLease.claim(id, failing: false, limit: Int64(healthy)),
          WebhookLease.claim(id, failing: true, limit: Int64(failing)),
        ], deadline: deadline)
      return try zip(results, [false, true]).flatMap { rows, isFailing in
        try rows.map { (try WebhookLease(id: id, $0), isFailing) }
      }
    }
  }

  /// Writes down what became of an attempt, and gives what is to be sent next with the event that it is about; nil when there
  /// is nothing, and then the lease is over. An event that cannot be read is a failure of its delivery alone.
  func next(
    _ lease: WebhookLease, after report: WebhookLease.Report?, goesOn: Bool
  ) async throws -> (WebhookJob, Result<RecordedEvent?, any Error>)? {
    let now = Timestamp.now
    let holder = holder
    return try await run { session, deadline throws in
      let results = try session.pipeline(
        lease.next(after: report, goesOn: goesOn, holder: holder), deadline: deadline)
      guard let row = results[results.count - 2].first else { return nil }
      let job = try WebhookJob(row, now: now)
      guard let position = job.position else { return (job, .success(nil)) }
      let events = try session.execute(
        EventLog.events(of: lease.organizationID.uuid, after: position - 1, limit: 1),
        deadline: deadline)
      return (job, Result { try events.first.map { row in try RecordedEvent(row) } })
    }
  }

  /// Finds out whether a process died during the delivery that a lease found in hand, and counts that, once. After three
  /// times the delivery is given up.
  ///
  /// - Returns: whether it did, and the delivery's row in `job_attempts` if it was counted now.
  func suspect(
    _ id: UUID, _ lease: WebhookLease
  ) async throws -> (isSuspect: Bool, counted: [JobAttemptRow]) {
    let statements = lease.countDeath(during: id, holder: holder)
    return try await run { session, deadline throws in
      let results = try session.pipeline(statements, deadline: deadline)
      let isSuspect = try results[2].first.map { row throws(PostgresError) in
        try row.decode(Bool.self)
      }
      return (isSuspect ?? false, try results[3].map(JobAttemptRow.init))
    }
  }

  /// Gives a lease back for a moment. What was in hand before it stays so.
  func postpone(_ lease: WebhookLease) async throws {
    try await run { session, deadline throws in
      _ = try session.pipeline(lease.postpone, deadline: deadline)
    }
  }

  /// Gives a lease back, as if nothing had been tried.
  func giveBack(_ lease: WebhookLease) async throws {
    try await run { session, deadline throws in
      _ = try session.pipeline(lease.giveBack, deadline: deadline)
    }
  }

  // MARK: For people

  func ping(
    _ id: EventID, to endpoint: WebhookEndpointID, in organization: OrganizationID
  ) async throws {
    try await run { session, deadline throws in
      _ = try session.pipeline(
        WebhookCursorTable.ping(id, to: endpoint, in: organization), deadline: deadline)
    }
  }

  func retry(
    _ id: EventID, to endpoint: WebhookEndpointID, in organization: OrganizationID
  ) async throws {
    try await run { session, deadline throws in
      _ = try session.pipeline(
        WebhookCursorTable.retry(id, to: endpoint, in: organization), deadline: deadline)
    }
  }

  // MARK: Looking after it

  /// For how many seconds the oldest delivery waits; 0 when none does.
  func oldestPending() async throws -> Int64 {
    try await run { session, deadline throws in
      let rows = try session.execute(WebhookCursorTable.oldestPending, deadline: deadline)
      let age: Int64? = try rows[0].decode(Int64?.self, column: "age")
      return age ?? 0
    }
  }

  /// Deletes what was finished before a time, and what belongs to no endpoint any more, a bit at a time.
  ///
  /// - Returns: how many deliveries were deleted.
  @discardableResult
  func sweep(finishedBefore time: Timestamp, step: Int64 = 1000) async throws -> Int {
    var deleted = 0
    while true {
      let count = try await run { session, deadline throws in
        let old = try session.execute(
          WebhookCursorTable.deleteFinished(before: time, limit: step), deadline: deadline)
        let orphans = try session.pipeline(
          WebhookCursorTable.deleteOrphans(limit: step), deadline: deadline)
        return (old.affected, orphans[0].affected)
      }
      deleted += count.0 + count.1
      if count.0 < step, count.1 < step { return deleted }
    }
  }

  private func run<Value: Sendable>(
    _ body: @escaping @Sendable (Session, ContinuousClock.Instant) throws -> Value
  ) async throws -> Value {
    let deadline = ContinuousClock.now + Self.patience
    return try await pool.withConnection(deadline: deadline) { try body($0, deadline) }
  }
}
