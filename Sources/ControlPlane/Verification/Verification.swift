package import Domain
import EventStore
package import FoundationEssentials
import JSON
package import Postgres

/// Proves that a database says what its log says, and that its log is what was appended: chains, gapless versions and
/// positions, tables and audit equal to the fold, ledgers equal to balances. All of it as of one moment, while servers
/// go on writing.
///
/// Memory holds one workspace's state and a thousand events at a time; the tables' twins are on the database's disk.
package struct Verification: Sendable {
  /// How far it is.
  package struct Progress: Sendable {
    package let streams: Int64
    package let events: Int64
    package let total: Int64
    /// Whether all events are read, and tables are compared.
    package let isComparing: Bool
  }

  package struct Report: Sendable {
    package let position: Int64
    package let streams: Int64
    package let events: Int64
    package let findings: [Finding]
    /// Whether there are more than ``findings``.
    package let isCut: Bool

    package var holds: Bool { findings.isEmpty }
  }

  /// Enough to see what happened. A table that is gone as a whole needs no million lines.
  static let mostFindings = 1000

  /// Nil for all of them.
  package let organization: OrganizationID?
  package let known: [KnownHead]

  package init(organization: OrganizationID? = nil, known: [KnownHead] = []) {
    self.organization = organization
    self.known = known
  }

  /// Runs it on a session of the owner of the schema. Nothing is changed.
  ///
  /// - Parameters:
  ///   - deadline: for all of it.
  ///   - heads: called with the end of each stream.
  ///   - progress: called now and then.
  /// - Throws: ``PostgresError`` when it could not be carried out.
  package func run(
    _ session: Session, deadline: ContinuousClock.Instant,
    heads: (KnownHead) throws -> Void = { _ in }, progress: (Progress) -> Void = { _ in }
  ) throws -> Report {
    try Rebuild.withSnapshot(session, deadline: deadline) {
      // Row security is for tenants.
      _ = try session.execute(
        "SELECT set_config('signalbox.principal', 'system', true)", deadline: deadline)
      let position = try session.execute(EventLog.head, deadline: deadline)[0].decode(Int64.self)
      var run = Run(position: position)
      try run.checkPositions(session, deadline)
      for stream in try streams(session, deadline) {
        try run.check(
          stream, known.filter { $0.stream == stream }, session, deadline, heads, progress)
      }
      checkMissingStreams(&run)
      progress(run.progress(isComparing: true))
      try run.compareTables(of: organization, session, deadline)
      return run.report
    }
  }

  /// The streams in the order of ids, found by jumping from one to the next in the index.
  private func streams(
    _ session: Session, _ deadline: ContinuousClock.Instant
  ) throws -> [UUID] {
    if let organization { return [organization.uuid] }
    return try session.execute(
      """
      WITH RECURSIVE ids AS ( \
      (SELECT organization_id FROM events ORDER BY organization_id LIMIT 1) UNION ALL \
      SELECT (SELECT organization_id FROM events WHERE organization_id > ids.organization_id \
      ORDER BY organization_id LIMIT 1) FROM ids WHERE ids.organization_id IS NOT NULL) \
      SELECT organization_id FROM ids WHERE organization_id IS NOT NULL
      """, deadline: deadline
    ).map { row throws in try row.decode(UUID.self) }
  }

  /// Streams that were known, and of which no event is left.
  private func checkMissingStreams(_ run: inout Run) {
    for head in Set(known) where !run.seen.contains(head.stream) {
      guard organization.map({ $0.uuid == head.stream }) ?? true else { continue }
      run.add(
        Finding(
          .heads, stream: head.stream, version: head.version, "missing: the stream has no events"))
    }
  }
}

/// What was found so far.
private struct Run {
  let position: Int64
  private(set) var seen: Set<UUID> = []
  private var events: Int64 = 0
  private var findings: [Finding] = []
  private var isCut = false
  /// Streams whose rows cannot be compared.
  private var unfolded: Set<UUID> = []

  init(position: Int64) { self.position = position }

  var report: Verification.Report {
    .init(
      position: position, streams: Int64(seen.count), events: events, findings: findings,
      isCut: isCut)
  }

  func progress(isComparing: Bool) -> Verification.Progress {
    .init(streams: Int64(seen.count), events: events, total: position, isComparing: isComparing)
  }

  mutating func add(_ finding: Finding) {
    guard findings.count < Verification.mostFindings else {
      isCut = true
      return
    }
    findings.append(finding)
  }

  // MARK: The log

  mutating func checkPositions(
    _ session: Session, _ deadline: ContinuousClock.Instant
  ) throws {
    let gaps = try session.execute(
      """
      SELECT position, former FROM ( \
      SELECT position, lag(position, 1, 0::bigint) OVER (ORDER BY position) AS former FROM events) e \
      WHERE position <> former + 1 ORDER BY position LIMIT 100
      """, deadline: deadline)
    for row in gaps {
      let (position, former) = try row.decode((Int64, Int64).self)
      add(
        Finding(
          .positions, position: former +| 1,
          position > former +| 2
            ? "the events up to position \(position - 1) are missing" : "the event is missing"))
    }
    let last = try session.execute(
      "SELECT coalesce(max(position), 0) FROM events", deadline: deadline)[0].decode(Int64.self)
    if last != position {
      add(
        Finding(
          .positions, position: last,
          "the log ends here, and its head says that it ends at position \(position)"))
    }
  }

  // MARK: One stream

  mutating func check(
    _ id: UUID, _ known: [KnownHead], _ session: Session, _ deadline: ContinuousClock.Instant,
    _ heads: (KnownHead) throws -> Void, _ progress: (Verification.Progress) -> Void
  ) throws {
    seen.insert(id)
    var check = StreamCheck(id, known: known)
    var stream = StagedStream(OrganizationID(id))
    var position: Int64 = 0
    while let page = try Rebuild.page(of: id, after: position, session, deadline) {
      for event in page { check.take(event) }
      position = page.last?.position ?? position
      events += Int64(page.count)
      if !unfolded.contains(id) { try fold(page, into: &stream, session, deadline) }
      progress(self.progress(isComparing: false))
    }
    let isFolded = !unfolded.contains(id)
    if isFolded { try stream.finish(session, deadline) }
    check.finish(balance: isFolded ? stream.state.workspace.credits.balance : nil)
    for finding in check.findings { add(finding) }
    if check.head.version > 0 {
      try heads(KnownHead(stream: id, version: check.head.version, hash: check.head.hash))
    }
  }

  private mutating func fold(
    _ page: [RecordedEvent], into stream: inout StagedStream, _ session: Session,
    _ deadline: ContinuousClock.Instant
  ) throws {
    do {
      try stream.add(page, session, deadline)
    } catch let error as PostgresError {
      throw error
    } catch {
      unfolded.insert(stream.id.uuid)
      let version = stream.state.head.version + 1
      // The error's own text may quote the payload.
      let reason = (error as? FoldError)?.reason ?? "\(type(of: error))"
      add(
        Finding(
          .fold, stream: stream.id.uuid, version: version,
          "cannot be folded (\(reason)): the stream's rows are not compared"))
    }
  }

  // MARK: Tables

  mutating func compareTables(
    of organization: OrganizationID?, _ session: Session, _ deadline: ContinuousClock.Instant
  ) throws {
    let differences = try Rebuild.differences(
      limit: Int64(Verification.mostFindings), only: organization?.uuid, except: unfolded, session,
      deadline)
    for difference in TableDifference.list(differences) {
      if let stream = difference.stream, unfolded.contains(stream) { continue }
      add(difference.finding)
    }
    let balances = try session.execute(
      """
      SELECT organization_id FROM organizations AS o \
      WHERE (\(organization?.uuid)::uuid IS NULL OR organization_id = \(organization?.uuid)) \
      AND credit_logs_balance <> ( \
      SELECT coalesce(sum(CASE WHEN jsonb_typeof(payload->'units') = 'number' \
      THEN (payload->>'units')::numeric END), 0) FROM events AS e \
      WHERE e.organization_id = o.organization_id AND type LIKE 'credits.%' AND payload ? 'balance') \
      LIMIT 1000
      """, deadline: deadline)
    for row in balances {
      let id = try row.decode(UUID.self)
      add(
        Finding(
          .ledger, stream: id, table: "organizations",
          "credit_logs_balance is not the sum of the ledger"))
    }
  }
}
