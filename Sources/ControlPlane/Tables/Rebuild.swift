import Domain
import EventStore
import FoundationEssentials
import JSON
package import Postgres

/// Proves that the tables say what the log says: every workspace is folded anew, rendered into empty staging tables, and
/// these are compared with the live ones, row by row, all as of one moment. Writers need not stop.
package enum Rebuild {
  static let pageSize: Int64 = 1000

  /// A row that stands only on one side: one that differs stands on both, once as it is and once as it should be.
  package struct Difference: Hashable, Sendable {
    package enum Side: String, Sendable {
      /// In the live table, and the log knows nothing of it.
      case live
      /// The log says so, and it is not in the live table.
      case rebuilt
    }

    package let table: String
    package let side: Side
    /// The row as JSON.
    package let row: String
  }

  /// Folds the whole log, one workspace at a time, and compares.
  ///
  /// - Parameter deadline: for all of it.
  /// - Throws: ``FoldError``, ``UnknownEventType`` or `DecodingError` when a workspace cannot be folded; ``PostgresError``.
  package static func differences(
    _ session: Session, deadline: ContinuousClock.Instant
  ) throws -> [Difference] {
    try withSnapshot(session, deadline: deadline) {
      var last: UUID?
      while let id = try next(after: last, session, deadline) {
        var stream = StagedStream(OrganizationID(id))
        while let events = try page(of: id, after: stream.position, session, deadline) {
          try stream.add(events, session, deadline)
        }
        try stream.finish(session, deadline)
        last = id
      }
      return try differences(limit: nil, session, deadline)
    }
  }

  /// Runs a body in a transaction that sees one moment of the database, and empty twins of its tables. Both are gone
  /// afterwards: nothing is changed.
  static func withSnapshot<Result>(
    _ session: Session, deadline: ContinuousClock.Instant, _ body: () throws -> Result
  ) throws -> Result {
    _ = try session.pipeline(
      ["BEGIN ISOLATION LEVEL REPEATABLE READ"] + Staging.all.map(\.create), deadline: deadline)
    do {
      let result = try body()
      _ = try session.execute("ROLLBACK", deadline: deadline)
      return result
    } catch {
      if !session.isBroken { _ = try session.execute("ROLLBACK", deadline: deadline) }
      throw error
    }
  }

  /// Compares the twins with the live tables.
  ///
  /// - Parameters:
  ///   - limit: how many differences of each table there may be at most; nil for all of them.
  ///   - only: the stream whose rows are compared; nil for all of them.
  ///   - unknown: streams whose rows are not compared.
  static func differences(
    limit: Int64?, only: UUID? = nil, except unknown: Set<UUID> = [], _ session: Session,
    _ deadline: ContinuousClock.Instant
  ) throws -> [Difference] {
    let found = try session.pipeline(
      Staging.all.map { $0.compare(limit: limit, only: only, except: unknown) },
      deadline: deadline)
    return try zip(Staging.all, found).flatMap { staging, rows in
      try rows.map { row throws in
        let (isLive, text) = try row.decode((Bool, String).self)
        return Difference(table: staging.name, side: isLive ? .live : .rebuilt, row: text)
      }
    }
  }

  /// The names of a table's key columns.
  static func keys(of table: String) -> [String] {
    Staging.all.first { $0.name == table }?.keys ?? []
  }

  /// The next workspace that has events, in the order of ids.
  static func next(
    after id: UUID?, _ session: Session, _ deadline: ContinuousClock.Instant
  ) throws(PostgresError) -> UUID? {
    try session.execute(EventLog.nextStream(after: id), deadline: deadline).first?
      .decode(UUID.self)
  }

  /// The next events of a stream; nil behind the last one.
  static func page(
    of id: UUID, after position: Int64, _ session: Session, _ deadline: ContinuousClock.Instant
  ) throws -> [RecordedEvent]? {
    let events = try session.execute(
      EventLog.events(of: id, after: position, limit: pageSize), deadline: deadline
    ).map { row throws in try RecordedEvent(row) }
    return events.isEmpty ? nil : events
  }
}

/// One workspace on its way into the twins: its audit page by page, its entities when all is folded.
struct StagedStream {
  let id: OrganizationID
  private(set) var state = StoredWorkspace()
  /// Of the newest event that was folded.
  private(set) var position: Int64 = 0
  private var entities: Set<Entity> = []

  init(_ id: OrganizationID) { self.id = id }

  /// Folds the events that follow.
  ///
  /// - Throws: ``FoldError``, ``UnknownEventType`` or `DecodingError` when they cannot be folded; ``PostgresError``.
  mutating func add(
    _ events: [RecordedEvent], _ session: Session, _ deadline: ContinuousClock.Instant
  ) throws {
    var auditRows: [AuditEventRow] = []
    for event in events {
      let happened = try WorkspaceEvent(event)
      let entity = happened.entity(in: id)
      entities.formUnion(happened.changedEntities(in: id))
      let before = state.workspace.audited(happened, in: id)
      try state.fold(event)
      let after = state.workspace.audited(happened, in: id)
      auditRows.append(
        AuditEventRow(
          event: event, target: entity, origin: CommandOrigin(requestID: event.requestID),
          difference: AuditedDifference(from: before, to: after)))
      position = event.position
    }
    _ = try session.execute(AuditEventTable.staged.insert(auditRows), deadline: deadline)
  }

  /// Renders every entity that was ever touched.
  func finish(_ session: Session, _ deadline: ContinuousClock.Instant) throws {
    let touched = entities.map {
      TouchedEntity(organizationID: id, entity: $0, workspace: state.workspace)
    }
    let inserts = entityTables.compactMap { $0.stage(touched) }
    if !inserts.isEmpty { _ = try session.pipeline(inserts, deadline: deadline) }
  }
}

/// A table's empty twin, which is gone when the transaction ends.
private struct Staging {
  let name: String
  /// Those that can be rebuilt.
  let columns: [String]
  /// Those of the primary key.
  let keys: [String]

  static let all: [Staging] = entityTables.map { $0.staging } + [AuditEventTable.staging]

  var create: Query {
    Query(
      unchecked: """
        CREATE TEMPORARY TABLE \(Self.name(name)) (LIKE \(name) INCLUDING DEFAULTS) ON COMMIT DROP
        """)
  }

  /// The rows of either side that the other one lacks, each as often as it does.
  func compare(limit: Int64?, only: UUID?, except unknown: Set<UUID>) -> Query {
    let filter = filter(only: only, except: unknown)
    let (live, rebuilt) = (
      select(from: name) + filter, select(from: Self.name(name)) + (hasStream ? filter : "")
    )
    return Query(
      unchecked: """
        SELECT true, to_jsonb(d)::text FROM (\(live) EXCEPT ALL \(rebuilt)) d \
        UNION ALL SELECT false, to_jsonb(d)::text FROM (\(rebuilt) EXCEPT ALL \(live)) d \
        LIMIT \(limit.map(String.init) ?? "ALL")
        """)
  }

  private var hasStream: Bool { columns.contains("organization_id") }

  /// Of tables that do not say whose their rows are, one stream's are found by the keys that its events tell.
  private func filter(only: UUID?, except unknown: Set<UUID>) -> String {
    guard let only else {
      guard hasStream, !unknown.isEmpty else { return "" }
      let list = unknown.map { "'\($0.lowercased)'" }.joined(separator: ", ")
      return " WHERE organization_id NOT IN (\(list))"
    }
    if hasStream { return " WHERE organization_id = '\(only.lowercased)'" }
    let key = keys.joined(separator: ", ")
    return " WHERE (\(key)) IN (SELECT \(key) FROM \(Self.name(name)))"
  }

  static func name(_ table: String) -> String { "rebuilt_\(table)" }

  private func select(from table: String) -> String {
    "SELECT \(columns.joined(separator: ", ")) FROM \(table)"
  }
}

extension EntityTable {
  fileprivate static var staging: Staging {
    Staging(
      name: table.name, columns: table.columns.map(\.name),
      keys: table.columns.filter(\.isKey).map(\.name))
  }

  fileprivate static func stage(_ touched: [TouchedEntity]) -> Query? {
    let rows = touched.compactMap { row(for: $0.entity, of: $0.organizationID, in: $0.workspace) }
    let staged = Table(Staging.name(table.name), table.columns)
    return rows.isEmpty ? nil : staged.insert(rows)
  }
}

extension AuditEventTable {
  /// Address and user agent are evidence, which only the audit has: they are not compared.
  fileprivate static let staging = Staging(
    name: table.name,
    columns: table.columns.map(\.name).filter { $0 != "ip" && $0 != "user_agent" },
    keys: table.columns.filter(\.isKey).map(\.name))

  fileprivate static let staged = Table<AuditEventRow>(Staging.name(table.name), table.columns)
}
