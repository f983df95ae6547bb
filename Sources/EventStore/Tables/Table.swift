package import FoundationEssentials
package import Postgres

/// A table described once: its columns, and how each is filled from a typed row. From it follow the statements that
/// write many rows at a time, one array per column, so that a batch of any size is one prepared statement.
package struct Table<Row>: Sendable {
  /// One column and its value in a row.
  package struct Column: Sendable {
    package let name: String
    package let isKey: Bool
    let sqlType: String?
    let parameter: @Sendable ([Row]) -> Parameter

    /// A column of the primary key.
    package static func key<Value: PostgresEncodable>(
      _ name: String, _ value: @escaping @Sendable (Row) -> Value?
    ) -> Column {
      Column(name: name, isKey: true, sqlType: nil) { array(of: value, in: $0) }
    }

    /// A column outside the primary key. `sqlType` casts what is sent, for types that have no binary form here (`inet`).
    package static func value<Value: PostgresEncodable>(
      _ name: String, as sqlType: String? = nil, _ value: @escaping @Sendable (Row) -> Value?
    ) -> Column {
      Column(name: name, isKey: false, sqlType: sqlType) { array(of: value, in: $0) }
    }

    private static func array<Value: PostgresEncodable>(
      of value: (Row) -> Value?, in rows: [Row]
    ) -> Parameter {
      var builder = ArrayBuilder<Value>()
      builder.reserveCapacity(rows.count)
      for row in rows { builder.append(value(row)) }
      return builder.parameter
    }
  }

  /// The table's name in the database.
  package let name: String
  package let columns: [Column]
  /// The names of the columns, separated by commas, as `SELECT` takes them.
  package let columnList: String
  private let insertSQL: String
  private let upsertSQL: String
  private let deleteSQL: String

  /// Names a table and its columns, the primary key's first.
  package init(_ name: String, _ columns: [Column]) {
    self.name = name
    self.columns = columns
    columnList = columns.map(\.name).joined(separator: ", ")
    let placeholders = columns.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
    let selected = columns.map { $0.name + ($0.sqlType.map { "::" + $0 } ?? "") }
    insertSQL = """
      INSERT INTO \(name) (\(columnList)) SELECT \(selected.joined(separator: ", ")) \
      FROM unnest(\(placeholders)) AS new (\(columnList))
      """
    let keys = columns.filter(\.isKey).map(\.name)
    let updates = columns.filter { !$0.isKey }.map { "\($0.name) = excluded.\($0.name)" }
    upsertSQL = """
      \(insertSQL) ON CONFLICT (\(keys.joined(separator: ", "))) \
      DO UPDATE SET \(updates.joined(separator: ", "))
      """
    let matches = keys.map { "\(name).\($0) = gone.\($0)" }.joined(separator: " AND ")
    deleteSQL = """
      DELETE FROM \(name) USING unnest(\(keys.indices.map { "$\($0 + 1)" }.joined(separator: ", "))) \
      AS gone (\(keys.joined(separator: ", "))) WHERE \(matches)
      """
  }

  /// Inserts the rows; one that exists already is an error.
  package func insert(_ rows: [Row]) -> Query {
    Query(unchecked: insertSQL, parameters: columns.map { $0.parameter(rows) })
  }

  /// Inserts the rows and replaces those that exist already. No key may occur twice in `rows`.
  package func upsert(_ rows: [Row]) -> Query {
    Query(unchecked: upsertSQL, parameters: columns.map { $0.parameter(rows) })
  }

  /// Deletes the rows with these primary keys, each as many ids as the table has key columns.
  package func delete(_ keys: [[UUID]]) -> Query {
    let columns = keys.first?.indices.map { column in keys.map { $0[column] } } ?? []
    return Query(unchecked: deleteSQL, parameters: columns.map { Parameter($0) })
  }
}
