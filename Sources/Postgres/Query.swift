/// One bound value, always in PostgreSQL's binary format.
package struct Parameter: Sendable, Hashable {
  /// The type's object identifier, so that the server never has to guess.
  package let oid: UInt32
  /// The value's bytes; `nil` is NULL.
  package let bytes: [UInt8]?

  package init(oid: UInt32, bytes: [UInt8]?) {
    self.oid = oid
    self.bytes = bytes
  }

  package init<Value: PostgresEncodable>(_ value: Value?) {
    oid = Value.oid
    if let value {
      var encoded: [UInt8] = []
      value.encode(into: &encoded)
      bytes = encoded
    } else {
      bytes = nil
    }
  }
}

/// SQL by interpolation that can only bind.
///
/// `"SELECT name FROM projects WHERE id = \(id)"` becomes `… WHERE id = $1` and one parameter. A
/// runtime `String` is bound like every other value, so it can never become SQL; another query is
/// spliced with `\(fragment:)`, whose placeholders are renumbered.
package struct Query: Sendable, Hashable, ExpressibleByStringInterpolation {
  /// The text, with `$1`, `$2`, … in order of ``parameters``.
  package private(set) var sql: String
  package private(set) var parameters: [Parameter]
  /// Where in `sql`'s UTF-8 each placeholder starts; `nil` when only the author knows.
  private var placeholders: [Int]?

  package init(stringLiteral value: String) {
    sql = value
    parameters = []
    placeholders = []
  }

  package init(stringInterpolation: StringInterpolation) {
    self = stringInterpolation.query
  }

  /// For SQL that a program generates from its own constants.
  ///
  /// Nothing in `sql` is checked or escaped: never build it from input. Such a query can be spliced
  /// into another only in front of every parameter of that one, because its placeholders cannot be
  /// renumbered.
  package init(unchecked sql: String, parameters: [Parameter] = []) {
    self.sql = sql
    self.parameters = parameters
    placeholders = parameters.isEmpty ? [] : nil
  }

  package static func + (left: Query, right: Query) -> Query {
    var sum = left
    sum.append(right)
    return sum
  }

  package static func += (left: inout Query, right: Query) { left.append(right) }

  private mutating func append(_ other: Query) {
    if parameters.isEmpty {
      let shift = sql.utf8.count
      sql += other.sql
      parameters = other.parameters
      placeholders = other.placeholders?.map { $0 + shift }
      return
    }
    guard let offsets = other.placeholders else {
      preconditionFailure("a query made by init(unchecked:) cannot be renumbered")
    }
    let utf8 = other.sql.utf8
    var copied = utf8.startIndex
    for (index, offset) in offsets.enumerated() {
      let placeholder = utf8.index(utf8.startIndex, offsetBy: offset)
      sql += other.sql[copied..<placeholder]
      append(other.parameters[index])
      copied = utf8.index(placeholder, offsetBy: 1 + "\(index + 1)".utf8.count)
    }
    sql += other.sql[copied...]
  }

  private mutating func append(_ parameter: Parameter) {
    placeholders?.append(sql.utf8.count)
    parameters.append(parameter)
    sql += "$\(parameters.count)"
  }

  package struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var query: Query = ""

    package init(literalCapacity: Int, interpolationCount: Int) {
      query.sql.reserveCapacity(literalCapacity + 3 * interpolationCount)
      query.parameters.reserveCapacity(interpolationCount)
    }

    package mutating func appendLiteral(_ literal: String) { query.sql += literal }

    package mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value) {
      query.append(Parameter(value))
    }

    /// Binds NULL, still with its type, when the value is `nil`.
    package mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value?) {
      query.append(Parameter(value))
    }

    package mutating func appendInterpolation(_ parameter: Parameter) { query.append(parameter) }

    package mutating func appendInterpolation<Element>(_ array: ArrayBuilder<Element>) {
      query.append(array.parameter)
    }

    package mutating func appendInterpolation(fragment: Query) { query.append(fragment) }
  }
}
