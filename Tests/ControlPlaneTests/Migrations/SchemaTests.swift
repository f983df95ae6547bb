import ControlPlane
import EventStore
import Postgres
import Support
import Testing

@Suite struct SchemaTests {
  /// `ops/schema.sql` is what reviewers and operators read; it is what the migrations make, and nothing else.
  @Test func `ops/schema.sql is what a fresh database has`() async throws {
    let database = try await TestPostgres.database()
    let dump = try Program.run(
      "\(Repository.root)/ops/schema.sh",
      ["host=\(database.owner["host"] ?? "") dbname=\(database.name) user=postgres"])
    let file = String(decoding: try Repository.read("ops/schema.sql"), as: UTF8.self)
    #expect(
      dump == file,
      """
      The schema has changed. If that was meant, write it down again: migrate an empty database and run \
      ops/schema.sh 'postgres://…' > ops/schema.sql
      """)
  }

  @Test func `migrations are numbered from 1 without gaps`() {
    let numbers = Migrator.signalbox.migrations.map(\.number)
    #expect(numbers == numbers.indices.map { Int32($0) + 1 })
  }

  @Test func `a second migration of the same database does nothing`() async throws {
    let database = try await TestPostgres.database()
    let applied = try await database.withSession { session in
      try Migrator.signalbox.migrate(session, deadline: .soon)
    }
    #expect(applied == [])
  }

  @Test func `8 replicas that start at once migrate once`() async throws {
    let database = try await TestPostgres.emptyDatabase()
    let applied = try await withThrowingTaskGroup { group in
      for _ in 0..<8 {
        group.addTask {
          try await database.withSession { session throws in
            try Migrator.signalbox.migrate(session, deadline: .soon).map(\.number)
          }
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(applied.sorted() == Migrator.signalbox.migrations.map(\.number))
  }

  /// The application can do what it must, and nothing that would let it rewrite history.
  @Test(arguments: [
    ("events", ["INSERT", "SELECT"]), ("workspace_audit_events", ["INSERT", "SELECT"]),
    ("event_log_head", ["SELECT", "UPDATE"]), ("schema_migrations", ["SELECT"]),
  ])
  func `the application's privileges are as narrow as can be`(
    table: String, privileges: [String]
  ) async throws {
    let database = try await TestPostgres.database()
    let found = try await database.withSession { session throws in
      try session.execute(
        """
        SELECT privilege_type::text FROM information_schema.role_table_grants \
        WHERE grantee = 'signalbox_app' AND table_name = \(table) ORDER BY 1
        """, deadline: .soon
      ).map { row throws in try row.decode(String.self) }
    }
    #expect(found == privileges)
  }
}
