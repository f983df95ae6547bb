import FoundationEssentials
import Postgres
import Support
import Testing

@testable import EventStore

@Suite struct AppendOnlyTests {
  static let changes = [
    "UPDATE events SET type = 'forged'", "DELETE FROM events", "TRUNCATE events",
    "UPDATE events SET type = 'forged' WHERE false",
  ]

  @Test(arguments: changes)
  func `the application has no privilege to change the log`(sql: String) async throws {
    let database = try await TestPostgres.database()
    try await database.withApplicationSession { session throws in
      try TestLog.append(3, to: UUID(), session)
      let error = #expect(throws: PostgresError.self) {
        try session.executeScript(sql, deadline: .soon)
      }
      #expect(error?.sqlState == .insufficientPrivilege)
      #expect(error?.message.contains("permission denied") == true, "\(error?.message ?? "")")
      #expect(try TestLog.defect(session) == nil)
    }
  }

  @Test(arguments: changes)
  func `a trigger refuses even the owner`(sql: String) async throws {
    let database = try await TestPostgres.database()
    try await database.withSession { session throws in
      try TestLog.append(3, to: UUID(), session)
      let error = #expect(throws: PostgresError.self) {
        try session.executeScript(sql, deadline: .soon)
      }
      #expect(error?.message == "events is append-only")
      #expect(try TestLog.all(session).count == 3)
    }
  }

  @Test func `the application may not turn the trigger off`() async throws {
    let database = try await TestPostgres.database()
    try await database.withApplicationSession { session throws in
      let error = #expect(throws: PostgresError.self) {
        try session.executeScript("ALTER TABLE events DISABLE TRIGGER ALL", deadline: .soon)
      }
      #expect(error?.sqlState == .insufficientPrivilege)
    }
  }

  @Test func `no two events share a position or a version`() async throws {
    let database = try await TestPostgres.database()
    try await database.withApplicationSession { session throws in
      try TestLog.append(1, to: UUID(), session)
      let event = try #require(try TestLog.all(session).first)
      let error = #expect(throws: PostgresError.self) {
        _ = try session.execute(EventLog.table.insert([event]), deadline: .soon)
      }
      #expect(error?.sqlState == .uniqueViolation)
    }
  }
}
