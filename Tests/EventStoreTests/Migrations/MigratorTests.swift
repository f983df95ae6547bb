import Postgres
import Support
import Testing

@testable import EventStore

@Suite struct MigratorTests {
  static let first = Migration(number: 1, name: "first", sql: "CREATE TABLE first (id integer)")
  static let second = Migration(number: 2, name: "second", sql: "CREATE TABLE second (id integer)")
  static let failing = Migration(
    number: 3, name: "third", sql: "CREATE TABLE third (id integer); SELECT 1 / 0")

  // MARK: Refused

  @Test func `an edited step is refused`() async throws {
    let database = try await TestPostgres.emptyDatabase()
    let edited = Migration(number: 1, name: "first", sql: "CREATE TABLE first (id bigint)")
    try await database.withSession { session throws in
      try Self.migrate([Self.first], session)
      #expect(throws: MigrationError.checksumMismatch(number: 1, name: "first")) {
        try Self.migrate([edited, Self.second], session)
      }
      #expect(try Self.tables(session) == ["first", "schema_migrations"])
    }
  }

  @Test func `a database of a newer program is refused`() async throws {
    let database = try await TestPostgres.emptyDatabase()
    try await database.withSession { session throws in
      try Self.migrate([Self.first, Self.second], session)
      #expect(throws: MigrationError.unknownMigration(number: 2)) {
        try Self.migrate([Self.first], session)
      }
    }
  }

  @Test func `a step that fails leaves nothing behind and is named`() async throws {
    let database = try await TestPostgres.emptyDatabase()
    try await database.withSession { session throws in
      let error = #expect(throws: PostgresError.self) {
        try Self.migrate([Self.first, Self.second, Self.failing], session)
      }
      #expect(error?.message == "division by zero")
      #expect(try Self.tables(session) == ["first", "schema_migrations", "second"])
      let mended = Migration(number: 3, name: "third", sql: "CREATE TABLE third (id integer)")
      #expect(try Self.migrate([Self.first, Self.second, mended], session) == [mended])
    }
  }

  @Test func `after a step that failed others can migrate`() async throws {
    let database = try await TestPostgres.emptyDatabase()
    try await database.withSession { session throws in
      #expect(throws: PostgresError.self) {
        try Self.migrate([Self.first, Self.second, Self.failing], session)
      }
      let locks = try session.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
        deadline: .soon)
      #expect(try locks[0].decode(Int64.self) == 0)
    }
  }

  // MARK: Accepted

  @Test func `only what is missing is applied, in order`() async throws {
    let database = try await TestPostgres.emptyDatabase()
    try await database.withSession { session throws in
      #expect(try Migrator([Self.first]).missing(session, deadline: .soon) == [Self.first])
      #expect(try Self.migrate([Self.first], session) == [Self.first])
      #expect(try Self.migrate([Self.first, Self.second], session) == [Self.second])
      #expect(try Self.migrate([Self.first, Self.second], session) == [])
      #expect(try Self.tables(session) == ["first", "schema_migrations", "second"])
    }
  }

  @Test func `of many who start at once each step is applied by one`() async throws {
    let database = try await TestPostgres.emptyDatabase()
    let applied = try await withThrowingTaskGroup { group in
      for _ in 0..<8 {
        group.addTask {
          try await database.withSession { session throws in
            try Self.migrate([Self.first, Self.second], session).map(\.number)
          }
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(applied.sorted() == [1, 2])
  }

  @discardableResult
  private static func migrate(
    _ migrations: [Migration], _ session: Session
  ) throws -> [Migration] {
    try Migrator(migrations).migrate(session, deadline: .soon)
  }

  private static func tables(_ session: Session) throws -> [String] {
    try session.execute(
      """
      SELECT table_name::text FROM information_schema.tables \
      WHERE table_schema = 'public' ORDER BY table_name
      """, deadline: .soon
    ).map { row throws in try row.decode(String.self) }
  }
}
