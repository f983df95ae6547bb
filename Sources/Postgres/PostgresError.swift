/// What became of work whose answer never came.
package enum Outcome: Sendable, Hashable {
  /// Nothing of it was handed to the socket: it did not happen.
  case notSent
  /// Some of it was: it may have happened, and only the database can tell.
  case unknown
}

/// Why a statement, a transaction or a connection failed.
///
/// The texts are for logs: a server's message can quote stored data, so nothing here belongs into a
/// reply. The query is kept without its parameters.
package struct PostgresError: Error, Sendable, CustomStringConvertible {
  package enum Kind: Sendable, Hashable {
    case uniqueViolation(constraint: String)
    case foreignKeyViolation(constraint: String)
    case checkViolation(constraint: String)
    case notNullViolation(column: String)
    case exclusionViolation(constraint: String)
    case serializationFailure
    case deadlockDetected
    case lockNotAvailable
    case idleInTransactionTimeout
    case statementCanceled
    case insufficientPrivilege
    case tooManyConnections
    case diskFull
    case adminShutdown
    case crashShutdown
    case cannotConnectNow
    /// Any other error that the server reported: see ``PostgresError/sqlState``.
    case server(SQLState)

    case connectionLost(outcome: Outcome)
    case deadlineExceeded(outcome: Outcome)
    /// The caller's task was cancelled.
    case cancelled
    /// No session could be opened; `sqlState` is set when a server said why.
    case connectFailed
    /// The connection, pool or reader was closed by its owner.
    case closed
    /// A column did not hold what the caller asked for.
    case decoding(column: String, expected: String, found: String, row: Int)
    /// The caller broke a rule of this library, such as leaving a transaction open.
    case misuse
  }

  package let kind: Kind
  /// What the server said, when it was the server who refused.
  package let server: ServerMessage?
  /// A text of this library's or of libpq's, when the server said nothing.
  package let reason: String?
  /// The statement's text; its parameters are never kept.
  package let query: String?

  package init(
    _ kind: Kind, server: ServerMessage? = nil, reason: String? = nil, query: String? = nil
  ) {
    self.kind = kind
    self.server = server
    self.reason = reason
    self.query = query
  }

  package var sqlState: SQLState? { server?.sqlState }
  /// The server's primary message, or else the reason.
  package var message: String { server?.message ?? reason ?? "" }
  package var detail: String? { server?.detail }
  package var constraint: String? { server?.constraint }
  package var table: String? { server?.table }
  package var column: String? { server?.column }

  /// Whether the same work may succeed later without anybody changing it.
  ///
  /// An outcome of ``Outcome/unknown`` must be resolved before the work is repeated.
  package var isTransient: Bool {
    switch kind {
    case .serializationFailure, .deadlockDetected, .lockNotAvailable, .idleInTransactionTimeout,
      .statementCanceled, .tooManyConnections, .diskFull, .adminShutdown, .crashShutdown,
      .cannotConnectNow, .connectionLost, .deadlineExceeded:
      true
    case .connectFailed:
      // A refused password, role, database or setup stays refused; without a server's word it is an
      // outage.
      sqlState.map { ["08", "40", "53", "55", "57", "58", "XX"].contains($0.category) } ?? true
    case .server(let state):
      ["08", "53", "58"].contains(state.category)
    case .uniqueViolation, .foreignKeyViolation, .checkViolation, .notNullViolation,
      .exclusionViolation, .insufficientPrivilege, .cancelled, .closed, .decoding, .misuse:
      false
    }
  }

  package var description: String {
    var text = "\(kind)"
    if let state = sqlState { text += " [\(state)]" }
    if !message.isEmpty { text += ": \(message)" }
    if let detail { text += " (\(detail))" }
    if let query { text += " in: \(query)" }
    return text
  }
}

/// The fields of a server's ErrorResponse.
///
/// Source: PostgreSQL 15 documentation, 55.8 Error and Notice Message Fields.
package final class ServerMessage: Sendable {
  package let severity: String
  package let sqlState: SQLState
  package let message: String
  package let detail: String?
  package let hint: String?
  package let table: String?
  package let column: String?
  package let constraint: String?

  package init(
    severity: String, sqlState: SQLState, message: String, detail: String? = nil,
    hint: String? = nil, table: String? = nil, column: String? = nil, constraint: String? = nil
  ) {
    self.severity = severity
    self.sqlState = sqlState
    self.message = message
    self.detail = detail
    self.hint = hint
    self.table = table
    self.column = column
    self.constraint = constraint
  }

  /// FATAL and PANIC end the session.
  var endsSession: Bool { severity == "FATAL" || severity == "PANIC" }

  var kind: PostgresError.Kind {
    switch sqlState {
    case .uniqueViolation: .uniqueViolation(constraint: constraint ?? "")
    case .foreignKeyViolation: .foreignKeyViolation(constraint: constraint ?? "")
    case .checkViolation: .checkViolation(constraint: constraint ?? "")
    case .notNullViolation: .notNullViolation(column: column ?? "")
    case .exclusionViolation: .exclusionViolation(constraint: constraint ?? "")
    case .serializationFailure: .serializationFailure
    case .deadlockDetected: .deadlockDetected
    case .lockNotAvailable: .lockNotAvailable
    case .idleInTransactionTimeout: .idleInTransactionTimeout
    case .queryCanceled: .statementCanceled
    case .insufficientPrivilege: .insufficientPrivilege
    case .tooManyConnections: .tooManyConnections
    case .diskFull: .diskFull
    case .adminShutdown: .adminShutdown
    case .crashShutdown: .crashShutdown
    case .cannotConnectNow: .cannotConnectNow
    default: .server(sqlState)
    }
  }
}
