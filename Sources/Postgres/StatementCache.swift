/// Which statements a session has prepared, by their text; the least recently used one makes room.
struct StatementCache {
  final class Statement {
    let name: String
    let sql: String
    /// The pipeline in which it is being prepared; `nil` once the server has it.
    var preparedIn: UInt64?
    fileprivate var lastUse: UInt64

    init(name: String, sql: String, lastUse: UInt64 = 0) {
      self.name = name
      self.sql = sql
      self.lastUse = lastUse
    }
  }

  private let limit: Int
  private var statements: [String: Statement] = [:]
  private var uses: UInt64 = 0
  private var names: UInt64 = 0
  /// Forgotten here, still to be deallocated by the server.
  private(set) var retired: [String] = []

  init(limit: Int) { self.limit = limit }

  /// The prepared statement of this text, or a new one that the caller has to prepare now.
  mutating func statement(for sql: String) -> (statement: Statement, isNew: Bool) {
    uses += 1
    if let known = statements[sql] {
      known.lastUse = uses
      return (known, false)
    }
    if statements.count >= limit,
      let oldest = statements.values.min(by: { $0.lastUse < $1.lastUse })
    {
      statements[oldest.sql] = nil
      retired.append(oldest.name)
    }
    names += 1
    let new = Statement(name: "s\(names)", sql: sql, lastUse: uses)
    statements[sql] = new
    return (new, true)
  }

  /// For a statement that the server does not have, or whose plan it no longer accepts.
  mutating func forget(_ statement: Statement) {
    guard statements[statement.sql] === statement else { return }
    statements[statement.sql] = nil
  }

  mutating func retire(_ statement: Statement) {
    forget(statement)
    retired.append(statement.name)
  }

  mutating func takeRetired() -> [String] {
    defer { retired = [] }
    return retired
  }
}
