import FoundationEssentials
import Testing

@testable import Postgres

struct ValueTests {
  private func roundTrip<Value: PostgresEncodable & PostgresDecodable & Equatable>(
    _ values: [Value], sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    try await TestServer.withConnection { connection, _ in
      for value in values {
        let row = try await connection.execute("SELECT \(value), \(nil as Value?)")[0]
        let (same, null) = try row.decode((Value, Value?).self)
        #expect(same == value, sourceLocation: sourceLocation)
        #expect(null == nil, sourceLocation: sourceLocation)
      }
    }
  }

  @Test func `numbers come back as they went`() async throws {
    try await roundTrip([true, false])
    try await roundTrip([Int16.min, -1, 0, .max])
    try await roundTrip([Int32.min, -1, 0, .max])
    try await roundTrip([Int64.min, -1, 0, .max])
    try await roundTrip([Int.min, -1, 0, .max])
  }

  @Test func `texts and bytes come back as they went`() async throws {
    try await roundTrip(["", "a", "é漢🚂", "'; --", String(repeating: "x", count: 1_000_000)])
    try await roundTrip([[], [0, 1, 0, 255], [UInt8](repeating: 7, count: 100_000)])
    try await roundTrip([JSONB(utf8: Array(#"{"a": [1, null, "é"]}"#.utf8))])
    try await roundTrip([UUID(), UUID(uuidString: "00000000-0000-0000-0000-000000000000")!])
  }

  @Test func `instants come back to the microsecond, and mean the same to the server`() async throws
  {
    try await roundTrip(
      [0, 1, -1, 946_684_800_000_000, 1_764_000_000_123_456, .min, .max].map {
        TimestampTZ(clamping: $0)
      })
    try await TestServer.withConnection { connection, _ in
      let instant = TimestampTZ(clamping: 1_764_000_000_123_456)
      let text = try await connection.execute(
        "SELECT to_char(\(instant) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')")
      #expect(try text[0].decode(String.self) == "2025-11-24 16:00:00.123456")
      for outside in [
        "infinity", "-infinity", "10000-01-01 00:00:00Z", "0001-12-31 23:59:59.999999Z BC",
        "4713-01-01 00:00:00Z BC", "294276-12-31 23:59:59.999999Z",
      ] {
        let row = try await connection.execute("SELECT \(outside)::timestamptz")
        #expect(throws: PostgresError.self, "\(outside)") { try row[0].decode(TimestampTZ.self) }
      }
      for (text, end) in [
        ("0001-01-01 00:00:00Z", Int64.min), ("9999-12-31 23:59:59.999999Z", .max),
      ] {
        let row = try await connection.execute("SELECT \(text)::timestamptz")
        #expect(try row[0].decode(TimestampTZ.self) == TimestampTZ(clamping: end))
      }
    }
  }

  @Test func `arrays come back as they went, with and without NULL`() async throws {
    try await roundTrip([[Int64](), [1, -2, .max]])
    try await roundTrip([[UUID(), UUID()]])
    try await roundTrip([["", "a,b", "\"{}\""]])
    try await roundTrip([[[UInt8]](), [[], [1, 2], [0]]])
    try await TestServer.withConnection { connection, _ in
      var builder = ArrayBuilder<String>()
      builder.reserveCapacity(3)
      for element in ["a", nil, ""] { builder.append(element) }
      let rows = try await connection.execute(
        "SELECT \(builder), x FROM unnest(\(builder)) WITH ORDINALITY AS t(x, n) ORDER BY n")
      #expect(try rows.map { try $0.decode(([String?], String?).self).1 } == ["a", nil, ""])
      #expect(try rows[0].decode([String?].self) == ["a", nil, ""])
    }
  }

  @Test func `a narrower integer can be read as a wider one, never the other way`() async throws {
    try await TestServer.withConnection { connection, _ in
      let row = try await connection.execute("SELECT 1::int2, 2::int4, 3::int8")[0]
      let (a, b, c) = try row.decode((Int64, Int32, Int64).self)
      #expect(a == 1 && b == 2 && c == 3)
      let failure = try await kind { try row.decode((Int16, Int16).self) }
      #expect(failure == .decoding(column: "int4", expected: "int2", found: "int4", row: 0))
    }
  }

  @Test func `what cannot be decoded is named with its column and row`() async throws {
    try await TestServer.withConnection { connection, _ in
      let rows = try await connection.execute(
        "SELECT * FROM (VALUES ('a'::text, 1), (NULL, 2)) AS t(name, n)")
      #expect(try rows[0].decode(String.self, column: "name") == "a")
      #expect(
        try await kind { try rows[1].decode(String.self) }
          == .decoding(column: "name", expected: "text", found: "NULL", row: 1))
      #expect(
        try await kind { try rows[0].decode(UUID.self, column: "name") }
          == .decoding(column: "name", expected: "uuid", found: "text", row: 0))
      #expect(
        try await kind { try rows[0].decode(Int.self, column: "nope") }
          == .decoding(column: "nope", expected: "Int", found: "no such column", row: 0))
      #expect(
        try await kind { try rows[0].decode((String, Int32, Bool).self) }
          == .decoding(column: "2", expected: "Bool", found: "no such column", row: 0))
    }
  }

  @Test(
    arguments: [
      [], [0, 0, 0, 1], [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 1],
      [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 127, 255, 255, 255, 0, 0, 0, 1],
      [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9, 1],
      [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1],
    ] as [[UInt8]])
  func `malformed arrays are refused`(bytes: [UInt8]) {
    bytes.withUnsafeBytes { raw in
      _ = #expect(throws: CellMismatch.self) {
        try [Int64].decode(Cell(oid: OID.int8Array, bytes: raw))
      }
    }
  }
}
