import CLibPQ

/// The rows that one statement returned, all in binary format.
///
/// It owns libpq's result, which is immutable once it has arrived; hence the unchecked conformance.
package final class Rows: RandomAccessCollection, @unchecked Sendable {
  private let result: OpaquePointer
  private let sql: String
  package let count: Int

  /// Takes ownership of `result`.
  init(_ result: OpaquePointer, sql: String) {
    self.result = result
    self.sql = sql
    count = Int(PQntuples(result))
  }

  deinit { PQclear(result) }

  package var startIndex: Int { 0 }
  package var endIndex: Int { count }

  /// How many rows the statement returned or changed; 0 for statements that count none.
  package var affected: Int { Int(String(cString: PQcmdTuples(result))) ?? 0 }

  package subscript(index: Int) -> Row {
    precondition(index >= 0 && index < count, "row \(index) of \(count)")
    return Row(rows: self, index: index)
  }

  var columnCount: Int { Int(PQnfields(result)) }

  func column(named name: String) -> Int? {
    (0..<columnCount).first { String(cString: PQfname(result, Int32($0))) == name }
  }

  func decode<Value: PostgresDecodable>(
    _: Value.Type, row: Int, column: Int
  ) throws(PostgresError) -> Value {
    guard column < columnCount else {
      throw mismatch(
        CellMismatch(expected: "\(Value.self)", found: "no such column"), row, "\(column)")
    }
    let (row32, column32) = (Int32(row), Int32(column))
    let isNull = PQgetisnull(result, row32, column32) == 1
    let bytes = UnsafeRawBufferPointer(
      start: PQgetvalue(result, row32, column32), count: Int(PQgetlength(result, row32, column32)))
    do throws(CellMismatch) {
      return try Value.decode(Cell(oid: PQftype(result, column32), bytes: isNull ? nil : bytes))
    } catch {
      throw mismatch(error, row, String(cString: PQfname(result, column32)))
    }
  }

  func mismatch(_ mismatch: CellMismatch, _ row: Int, _ column: String) -> PostgresError {
    PostgresError(
      .decoding(column: column, expected: mismatch.expected, found: mismatch.found, row: row),
      query: sql)
  }
}

/// One row; it keeps its result alive.
package struct Row: Sendable {
  let rows: Rows
  let index: Int

  /// Reads the leading columns, in order: `let (id, name) = try row.decode((UUID, String?).self)`.
  ///
  /// Throws ``PostgresError/Kind/decoding(column:expected:found:row:)`` for an unexpected NULL, a
  /// column of another type, a missing column, or malformed bytes.
  package func decode<each Column: PostgresDecodable>(
    _: (repeat each Column).Type
  ) throws(PostgresError) -> (repeat each Column) {
    var column = 0
    return (repeat try next((each Column).self, &column))
  }

  /// Reads the column of this name.
  package func decode<Column: PostgresDecodable>(
    _: Column.Type, column name: String
  ) throws(PostgresError) -> Column {
    guard let column = rows.column(named: name) else {
      throw rows.mismatch(
        CellMismatch(expected: "\(Column.self)", found: "no such column"), index, name)
    }
    return try rows.decode(Column.self, row: index, column: column)
  }

  private func next<Column: PostgresDecodable>(
    _: Column.Type, _ column: inout Int
  ) throws(PostgresError) -> Column {
    defer { column += 1 }
    return try rows.decode(Column.self, row: index, column: column)
  }
}
