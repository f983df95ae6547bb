import Domain
import EventStore
import FoundationEssentials
import JSON
package import Postgres

/// Proves that the tables say what the log says: every workspace is folded anew, rendered into empty staging tables, and
/// these are compared with the live ones, row by row, all as of one moment. Writers need not stop.
package enum Rebuild {
  private static let pageSize: Int64 = 1000

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
    let staging: [Staging] = entityTables.map { $0.staging } + [AuditEventTable.staging]
    _ = try session.pipeline(
      ["BEGIN ISOLATION LEVEL REPEATABLE READ"] + staging.map(\.create), deadline: deadline)
    do {
      var last: UUID?
      while let id = try next(after: last, session, deadline) {
        try stage(OrganizationID(id), session, deadline)
        last = id
      }
      let found = try session.pipeline(staging.map(\.compare), deadline: deadline)
      _ = try session.execute("ROLLBACK", deadline: deadline)
      return try zip(staging, found).flatMap { staging, rows in
        try rows.map { row throws in
          let (isLive, text) = try row.decode((Bool, String).self)
          return Difference(table: staging.name, side: isLive ? .live : .rebuilt, row: text)
        }
      }
    } catch {
      if !session.isBroken { _ = try session.execute("ROLLBACK", deadline: deadline) }
      throw error
    }
  }

  /// The next workspace that has events, in the order of ids.
  private static func next(
    after id: UUID?, _ session: Session, _ deadline: ContinuousClock.Instant
  ) throws(PostgresError) -> UUID? {
    try session.execute(EventLog.nextStream(after: id), deadline: deadline).first?
      .decode(UUID.self)
  }

  private static func stage(
    _ id: OrganizationID, _ session: Session, _ deadline: ContinuousClock.Instant
  ) throws {
    var state = StoredWorkspace()
    var entities: Set<Entity> = []
    var position: Int64 = 0
    while true {
      let events = try session.execute(
        EventLog.events(of: id.uuid, after: position, limit: pageSize), deadline: deadline
      ).map { row throws in try RecordedEvent(row) }
      guard let newest = events.last else { break }
      position = newest.position
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
            before: before, after: after))
      }
      _ = try session.execute(AuditEventTable.staged.insert(auditRows), deadline: deadline)
    }
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

  var create: Query {
    Query(
      unchecked: """
        CREATE TEMPORARY TABLE \(Self.name(name)) (LIKE \(name) INCLUDING DEFAULTS) ON COMMIT DROP
        """)
  }

  /// The rows of either side that the other one lacks, each as often as it does.
  var compare: Query {
    let (live, rebuilt) = (select(from: name), select(from: Self.name(name)))
    return Query(
      unchecked: """
        SELECT true, to_jsonb(d)::text FROM (\(live) EXCEPT ALL \(rebuilt)) d \
        UNION ALL SELECT false, to_jsonb(d)::text FROM (\(rebuilt) EXCEPT ALL \(live)) d
        """)
  }

  static func name(_ table: String) -> String { "rebuilt_\(table)" }

  private func select(from table: String) -> String {
    "SELECT \(columns.joined(separator: ", ")) FROM \(table)"
  }
}

extension EntityTable {
  fileprivate static var staging: Staging {
    Staging(name: table.name, columns: table.columns.map(\.name))
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
    columns: table.columns.map(\.name).filter { $0 != "ip" && $0 != "user_agent" })

  fileprivate static let staged = Table<AuditEventRow>(Staging.name(table.name), table.columns)
}
