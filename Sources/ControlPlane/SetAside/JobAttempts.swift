import Domain
import FoundationEssentials
package import Logging
package import Postgres

/// Notes every attempt of a background job before the work, so that an item that fails again and again, or takes the process
/// down with it, is set aside after three attempts and never stands in the way of others.
///
/// 1. Items → one statement that notes them as in hand, and says how each stands.
/// 2. Items that never failed are worked on together. After a failure they are tried one by one.
/// 3. Suspects, which failed or were in hand when a process died, take turns: one at a time of all kinds, so that only the
///    guilty one is in hand when the process dies again. A job whose suspect has to wait goes on without it.
/// 4. What became of each is written down in one statement; an item that was carried out leaves no row.
///
/// A process that dies cannot say so. Each holds an advisory lock of its number, and a row whose holder has no lock any more
/// counts as an attempt that failed.
package final class JobAttempts: Sendable {
  /// How items stand, once an attempt is noted.
  struct Admission {
    /// They never failed, and may be worked on together.
    var ready: [JobItem] = []
    /// Each of them has to be tried alone.
    var suspects: [JobItem] = []
    /// Suspects that another process is trying, and items of one that may be dead: for a moment nobody knows.
    var elsewhere: [JobItem] = []
    /// They wait for a person.
    var setAside: [JobItem] = []
  }

  /// What is left of some items after work on them.
  struct Rest: Sendable {
    /// They were not carried out, and have to be tried again.
    var again: [JobItem] = []
    var setAside: [JobItem] = []

    static func += (rest: inout Rest, other: Rest) {
      rest.again += other.again
      rest.setAside += other.setAside
    }
  }

  /// Carries out some items, and says what became of each. Items that it does not mention were carried out.
  typealias Work = @Sendable ([JobItem]) async throws -> [JobItem: AttemptOutcome]

  private static let patience: Duration = .seconds(5)
  /// So many items of one batch may find the database too slow before the others have to wait, too.
  private static let mostPassing = 3

  private let pool: Pool
  let holder: Int64
  let lane = SuspectLane()
  private let now: [JobKind: Gauge]
  private let total: [JobKind: Counter]
  private let logger: Logger

  /// - Parameter holder: the number of this process, whose advisory lock a session of it holds.
  package init(pool: Pool, holder: Int64, metrics: Metrics, logger: Logger) {
    self.pool = pool
    self.holder = holder
    self.logger = logger
    now = Dictionary(
      uniqueKeysWithValues: JobKind.allCases.map { kind in
        (
          kind,
          metrics.gauge(
            "signalbox_set_aside_items", "Items of background jobs that wait for a person.",
            ["kind": kind.rawValue])
        )
      })
    total = Dictionary(
      uniqueKeysWithValues: JobKind.allCases.map { kind in
        (
          kind,
          metrics.counter(
            "signalbox_set_aside_total", "Items of background jobs that this process set aside.",
            ["kind": kind.rawValue])
        )
      })
  }

  // MARK: Work

  /// Works on items of one kind.
  ///
  /// - Throws: ``PostgresError`` when no attempt could be noted, or the database is away; then all of them have to be tried
  ///   again.
  @discardableResult
  func work(on items: [JobItem], _ body: @escaping Work) async throws -> Rest {
    guard let kind = items.first?.kind else { return Rest() }
    let admitted = try await begin(kind, items)
    var rest = Rest(again: admitted.elsewhere, setAside: admitted.setAside)
    var single: [JobItem] = []
    if !admitted.ready.isEmpty {
      do {
        rest += try await carryOut(admitted.ready, body)
      } catch  where admitted.ready.count > 1 && Self.isAboutItems(error) {
        // One of them spoils it for all.
        single = admitted.ready
      }
    }
    var passing = 0
    for (item, isSuspect) in single.map({ ($0, false) }) + admitted.suspects.map({ ($0, true) }) {
      try Task.checkCancellation()
      do {
        rest += try await alone(item, isSuspect: isSuspect, body)
      } catch  where Self.isAboutItems(error) && passing < Self.mostPassing {
        passing += 1
        rest.again.append(item)
      }
    }
    return rest
  }

  private func alone(
    _ item: JobItem, isSuspect: Bool, _ body: @escaping Work
  ) async throws -> Rest {
    guard isSuspect else { return try await attempt(item, isSuspect: false, body) }
    // A suspect of another kind may take long, and nothing else is to wait for that.
    guard await lane.tryToEnter() else { return Rest(again: [item]) }
    do {
      let rest = try await attempt(item, isSuspect: true, body)
      await lane.leave()
      return rest
    } catch {
      await lane.leave()
      throw error
    }
  }

  private func attempt(
    _ item: JobItem, isSuspect: Bool, _ body: @escaping Work
  ) async throws -> Rest {
    let admitted = try await begin(item.kind, [item], isAlone: isSuspect)
    let rest = Rest(again: admitted.elsewhere + admitted.suspects, setAside: admitted.setAside)
    return admitted.ready.isEmpty ? rest : try await carryOut(admitted.ready, body)
  }

  /// Works on items that are noted.
  private func carryOut(_ items: [JobItem], _ body: @escaping Work) async throws -> Rest {
    var outcomes: [JobItem: AttemptOutcome]
    do {
      outcomes = try await body(items)
    } catch {
      let outcome = AttemptOutcome(error)
      guard items.count == 1, let item = items.first, outcome != .passing else {
        await end(items, Dictionary(uniqueKeysWithValues: items.map { ($0, .passing) }))
        throw error
      }
      logger.warning(
        "an item of a background job failed", metadata: metadata(of: item, "\(error)"))
      outcomes = [item: outcome]
    }
    let aside = await end(items, outcomes)
    let again = items.filter { item in
      !aside.contains(item) && outcomes[item].map { $0 != .done } ?? false
    }
    return Rest(again: again, setAside: aside)
  }

  /// Whether an error may be one item's doing: the database answers, or would if it had more time.
  private static func isAboutItems(_ error: any Error) -> Bool {
    guard AttemptOutcome(error) == .passing else { return true }
    return switch (error as? PostgresError)?.kind {
    case .statementCanceled, .deadlineExceeded(outcome: .unknown), .lockNotAvailable,
      .deadlockDetected, .serializationFailure:
      true
    default: false
    }
  }

  // MARK: Steps

  /// Notes an attempt at each of the items, before the work.
  ///
  /// - Parameter isAlone: whether items may be tried that have failed before.
  /// - Throws: ``PostgresError``; then nothing may be tried.
  func begin(_ kind: JobKind, _ items: [JobItem], isAlone: Bool = false) async throws -> Admission {
    let statements = JobAttemptTable.begin(kind, items, isAlone: isAlone, by: holder)
    let rows = try await run(statements) { try $0[$0.count - 2].map(JobAttemptRow.init) }
    return admission(of: items, rows)
  }

  /// How items stand by the rows that noting them gave.
  func admission(of items: [JobItem], _ rows: [JobAttemptRow]) -> Admission {
    noteSetAside(rows)
    let rows = Dictionary(rows.map { ($0.item.key, $0) }) { first, _ in first }
    var admission = Admission()
    for item in items {
      let row = rows[item.key]
      if row?.setAsideAt != nil {
        admission.setAside.append(item)
      } else if row?.holder == holder || row?.isHeldElsewhere == true && row?.attempts == 0 {
        // Another process may be at it, too: jobs put up with that.
        admission.ready.append(item)
      } else if let row, row.holder == nil {
        admission.suspects.append(item)
      } else {
        admission.elsewhere.append(item)
      }
    }
    return admission
  }

  /// Writes down what became of items, also when this process is about to end.
  ///
  /// - Returns: those that are set aside from now on.
  @discardableResult
  func end(_ items: [JobItem], _ outcomes: [JobItem: AttemptOutcome]) async -> [JobItem] {
    guard let kind = items.first?.kind else { return [] }
    var (done, passing): ([String], [String]) = ([], [])
    var failures: [(key: String, error: String)] = []
    for item in items {
      switch outcomes[item] ?? .done {
      case .done: done.append(item.key)
      case .passing: passing.append(item.key)
      case .failed(let error): failures.append((item.key, String(error.prefix(500))))
      }
    }
    var statements: [Query] = []
    if !done.isEmpty { statements.append(JobAttemptTable.done(kind, done, by: holder)) }
    if !passing.isEmpty { statements += JobAttemptTable.letGo(kind, passing, by: holder) }
    if !failures.isEmpty { statements.append(JobAttemptTable.failed(kind, failures, by: holder)) }
    let hasFailures = !failures.isEmpty
    let all = JobAttemptTable.asynchronously(statements)
    do {
      // A task of its own: what was done is written down although the job is cancelled.
      let rows = try await Task {
        try await run(all) { results in
          try hasFailures ? results[results.count - 2].map(JobAttemptRow.init) : []
        }
      }.value
      noteSetAside(rows)
      return rows.filter { $0.setAsideAt != nil }.map(\.item)
    } catch {
      // The rows stay this process's own, and count for nothing while it lives.
      logger.debug("attempts were not written down", metadata: ["error": "\(error)"])
      return []
    }
  }

  /// Tells of rows that a statement has set aside.
  func noteSetAside(_ rows: [JobAttemptRow]) {
    for row in rows where row.isNew {
      now[row.item.kind]?.add(1)
      total[row.item.kind]?.add()
      logger.error(
        "an item of a background job is set aside",
        metadata: metadata(of: row.item, row.error ?? "").merging(["id": "\(row.id)"]) { $1 })
    }
  }

  private func metadata(of item: JobItem, _ error: String) -> Logger.Metadata {
    ["kind": "\(item.kind.rawValue)", "item": "\(item.key)", "error": "\(error)"]
  }

  /// Sets an item aside whose attempts the job counts by itself.
  ///
  /// - Throws: ``PostgresError``.
  func setAside(_ item: JobItem, _ error: String) async throws {
    noteSetAside(
      try await run([JobAttemptTable.setAside(item, error)]) {
        try $0[0].map(JobAttemptRow.init)
      })
  }

  /// Forgets that an item failed before: it succeeded.
  ///
  /// - Throws: ``PostgresError``.
  func forget(_ item: JobItem) async throws {
    try await run([JobAttemptTable.forget(item)]) { _ in }
  }

  // MARK: For people

  /// Tries an item again that is set aside.
  ///
  /// - Returns: what became of it; nil when it is not set aside any more.
  /// - Throws: ``PostgresError`` and whatever the work throws, when it could not be tried now.
  func replay(
    _ name: JobAttemptTable.Name, _ body: (JobItem) async throws -> AttemptOutcome
  ) async throws -> AttemptOutcome? {
    try await lane.turn {
      let take = [JobAttemptTable.take(name, by: holder)]
      guard let row = try await run(take, { try $0[0].first.map(JobAttemptRow.init) }) else {
        return nil
      }
      let outcome: AttemptOutcome
      do {
        outcome = try await body(row.item)
      } catch {
        outcome = AttemptOutcome(error)
        if outcome == .passing {
          await end([row.item], [row.item: outcome])
          throw error
        }
        logger.warning(
          "an item that is set aside failed again", metadata: metadata(of: row.item, "\(error)"))
      }
      await end([row.item], [row.item: outcome])
      if outcome == .done { now[row.item.kind]?.add(-1) }
      return outcome
    }
  }

  // MARK: Looking after it

  /// Learns how many are set aside, by whatever replica, and forgets what nobody asks for any more.
  func tend() async throws {
    let counts = try await run([JobAttemptTable.deleteForgotten, JobAttemptTable.counts]) {
      try $0[1].map { row throws(PostgresError) in try row.decode((JobKind, Int64).self) }
    }
    for kind in JobKind.allCases {
      now[kind]?.set(Int(clamping: counts.first { $0.0 == kind }?.1 ?? 0))
    }
  }

  private func run<Value: Sendable>(
    _ statements: [Query], _ read: @escaping @Sendable ([Rows]) throws -> Value
  ) async throws -> Value {
    let deadline = ContinuousClock.now + Self.patience
    return try await pool.withConnection(deadline: deadline) { session in
      try read(try session.pipeline(statements, deadline: deadline))
    }
  }
}

/// Lets suspects of all kinds take turns: only one of them is in hand at a time.
actor SuspectLane {
  private var isTaken = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  nonisolated func turn<Value: Sendable>(
    _ body: () async throws -> Value
  ) async throws -> Value {
    await enter()
    do {
      let value = try await body()
      await leave()
      return value
    } catch {
      await leave()
      throw error
    }
  }

  /// - Returns: false when somebody has it.
  func tryToEnter() -> Bool {
    guard !isTaken else { return false }
    isTaken = true
    return true
  }

  func leave() {
    if waiting.isEmpty { isTaken = false } else { waiting.removeFirst().resume() }
  }

  private func enter() async {
    if tryToEnter() { return }
    await withCheckedContinuation { waiting.append($0) }
  }
}
