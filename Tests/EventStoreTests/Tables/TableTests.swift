import Postgres
import Support
import Testing

@testable import EventStore

@Suite struct TableTests {
  private struct Thing {
    var id: Int64
    var name: String?
    var address: String?
  }

  private static let table = Table<Thing>(
    "things",
    [
      .key("id") { $0.id },
      .value("name") { $0.name },
      .value("address", as: "inet") { $0.address },
    ])

  @Test func `many rows are one statement of one parameter per column`() {
    let one = Self.table.insert([Thing(id: 1)])
    let many = Self.table.insert((0..<1000).map { Thing(id: $0) })
    #expect(one.sql == many.sql)
    #expect(many.parameters.count == 3)
  }

  @Test func `rows are inserted once, and replaced by an upsert`() async throws {
    let database = try await TestPostgres.emptyDatabase()
    try await database.withSession { session throws in
      try session.executeScript(
        "CREATE TABLE things (id bigint PRIMARY KEY, name text, address inet)", deadline: .soon)
      let first = [
        Thing(id: 1, name: "one", address: "192.0.2.1"),
        Thing(id: 2, name: nil, address: "2001:db8::1"),
      ]
      _ = try session.execute(Self.table.insert(first), deadline: .soon)
      let error = #expect(throws: PostgresError.self) {
        try session.execute(Self.table.insert([Thing(id: 2)]), deadline: .soon)
      }
      #expect(error?.sqlState == .uniqueViolation)
      _ = try session.execute(
        Self.table.upsert([Thing(id: 2, name: "two"), Thing(id: 3, name: "\"quoted\", {}")]),
        deadline: .soon)
      let rows = try session.execute(
        "SELECT id, name, host(address) FROM things ORDER BY id", deadline: .soon
      ).map { row throws in try row.decode((Int64, String?, String?).self) }
      #expect(rows.map(\.0) == [1, 2, 3])
      #expect(rows.map(\.1) == ["one", "two", "\"quoted\", {}"])
      #expect(rows.map(\.2) == ["192.0.2.1", nil, nil])
    }
  }
}
