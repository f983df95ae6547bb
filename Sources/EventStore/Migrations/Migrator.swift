package import Postgres

/// Brings a database's schema to what this program expects, each step in a transaction of its own. Replicas may start
/// together: an advisory lock lets one migrate while the others wait.
package struct Migrator: Sendable {
  /// What the advisory lock is named by: any number that nothing else in the database uses.
  private static let lockKey: Int64 = 0x7369_676E_616C_626F

  package let migrations: [Migration]

  package init(_ migrations: [Migration]) {
    self.migrations = migrations
  }

  /// Applies the steps that are missing, in order.
  ///
  /// - Parameters:
  ///   - deadline: by when each statement, the wait for another replica included, has to be done.
  ///   - report: called before each step that is applied.
  /// - Returns: the steps that were applied now.
  /// - Throws: ``MigrationError`` or ``PostgresError``; the steps before the failing one stay applied.
  package func migrate(
    _ session: Session, deadline: ContinuousClock.Instant,
    report: (Migration) -> Void = { _ in }
  ) throws -> [Migration] {
    _ = try session.execute("SELECT pg_advisory_lock(\(Self.lockKey))", deadline: deadline)
    let applied = Result { try applyMissing(session, deadline: deadline, report: report) }
    // A step that failed has left its transaction open; the lock is the session's, and the error must not be hidden.
    if session.isBroken { return try applied.get() }
    if session.transactionStatus != .idle {
      _ = try session.execute("ROLLBACK", deadline: deadline)
    }
    _ = try session.execute("SELECT pg_advisory_unlock(\(Self.lockKey))", deadline: deadline)
    return try applied.get()
  }

  /// The steps that a database lacks.
  ///
  /// - Throws: ``MigrationError`` when what was applied is not what this program knows.
  package func missing(
    _ session: Session, deadline: ContinuousClock.Instant
  ) throws -> [Migration] {
    let exists = try session.execute(
      "SELECT to_regclass('schema_migrations') IS NOT NULL", deadline: deadline)
    guard try exists[0].decode(Bool.self) else { return migrations }
    let rows = try session.execute(
      "SELECT number, checksum FROM schema_migrations ORDER BY number", deadline: deadline)
    var applied: Set<Int32> = []
    for row in rows {
      let (number, checksum) = try row.decode((Int32, String).self)
      guard let migration = migrations.first(where: { $0.number == number }) else {
        throw MigrationError.unknownMigration(number: number)
      }
      guard migration.checksum == checksum else {
        throw MigrationError.checksumMismatch(number: number, name: migration.name)
      }
      applied.insert(number)
    }
    return migrations.filter { !applied.contains($0.number) }
  }

  private func applyMissing(
    _ session: Session, deadline: ContinuousClock.Instant, report: (Migration) -> Void
  ) throws -> [Migration] {
    try session.executeScript(
      """
      CREATE TABLE IF NOT EXISTS schema_migrations (
        number integer PRIMARY KEY,
        name text NOT NULL,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
      )
      """, deadline: deadline)
    let missing = try missing(session, deadline: deadline)
    for migration in missing {
      report(migration)
      try session.executeScript("BEGIN; \(migration.sql)", deadline: deadline)
      _ = try session.pipeline(
        [
          """
          INSERT INTO schema_migrations (number, name, checksum) \
          VALUES (\(migration.number), \(migration.name), \(migration.checksum))
          """,
          "COMMIT",
        ], deadline: deadline)
    }
    return missing
  }
}
