import Domain
import JSON
import Postgres

/// One replay, page by page, so that its memory does not grow with what it reads. It ends when all records were looked at,
/// when it has had its time or its number of records, or when its task is cancelled, in the middle of a page too.
struct ReplayRun: Sendable {
  /// What ends a replay before its end.
  struct Limits {
    var time: Duration
    var records: Int

    /// As the contract states them.
    static let standard = Limits(time: .seconds(60), records: 1_000_000)
  }

  private static let pageSize: Int64 = 1000

  private static let pageTime: Duration = .seconds(10)
  /// Between two pages, however slow the database is.
  private static let longestRest: Duration = .milliseconds(250)
  /// Records between two looks at the clock and at the caller. Against the dearest rules each takes about a millisecond.
  private static let stride = 16

  private let project: ProjectID
  private let organization: OrganizationID
  private let from: Timestamp
  private let to: Timestamp
  private let reads: Reads
  private let connections: Pool
  private let end: ContinuousClock.Instant
  private let maxRecords: Int
  private var replay: Replay
  private var last: RequestLogID?
  private var isOver = false

  init(
    of project: ProjectID, in organization: OrganizationID, from: Timestamp, to: Timestamp,
    _ reads: Reads, over connections: Pool, _ replay: Replay, limits: Limits = .standard
  ) {
    self.project = project
    self.organization = organization
    self.from = from
    self.to = to
    self.reads = reads
    self.connections = connections
    self.replay = replay
    end = .now + limits.time
    maxRecords = limits.records
  }

  /// What to say after one more page; nil when all is said.
  mutating func next(on threads: BackgroundThreads) async throws -> [UInt8]? {
    guard !isOver else { return nil }
    let run = self
    let (replay, last, isComplete) = try await withTaskExecutorPreference(threads) {
      try await run.page()
    }
    (self.replay, self.last) = (replay, last)
    isOver = isComplete || replay.total >= maxRecords || ContinuousClock.now >= end
    let until = last?.time ?? from
    let line =
      isOver
      ? replay.result(from: from, to: to, until: isComplete ? nil : until)
      : replay.progress(until: until)
    return line.bytes() + [UInt8(ascii: "\n")]
  }

  /// Looks at one more page, or a part of it when the time is over.
  ///
  /// - Throws: `CancellationError` as soon as the caller has left; ``PostgresError``.
  private func page() async throws -> (Replay, RequestLogID?, isComplete: Bool) {
    var (replay, last) = (replay, last)
    let limit = min(Self.pageSize, Int64(maxRecords - replay.total))
    let query = RequestLogTable.history(
      of: project, in: organization, from: from, to: to, after: last, limit: limit)
    let rows: Rows
    let began = ContinuousClock.now
    do {
      rows = try await reads.extended(to: min(end, .now + Self.pageTime))
        .rows(query, over: connections)
    } catch let error as PostgresError where error.isTransient && ContinuousClock.now >= end {
      return (replay, last, isComplete: false)
    }
    // The database cannot give this read a lower priority than others, so it rests for as long as it has worked.
    try await Task.sleep(for: min(.now - began, Self.longestRest))
    for (index, row) in rows.enumerated() {
      if index % Self.stride == 0 {
        try Task.checkCancellation()
        if ContinuousClock.now >= end { return (replay, last, isComplete: false) }
      }
      let log = try RequestLogRow(row).log
      replay.add(log)
      last = log.id
    }
    return (replay, last, isComplete: rows.count < Int(limit))
  }
}
