/// A five-character SQLSTATE; its first two characters are its class.
///
/// Source: PostgreSQL 15 documentation, appendix A.
package struct SQLState: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  package let rawValue: String

  package init(rawValue: String) { self.rawValue = rawValue }

  /// The class: two characters, such as `23` for every violated constraint.
  package var category: String { String(rawValue.prefix(2)) }
  package var description: String { rawValue }

  package static let notNullViolation = SQLState(rawValue: "23502")
  package static let foreignKeyViolation = SQLState(rawValue: "23503")
  package static let uniqueViolation = SQLState(rawValue: "23505")
  package static let checkViolation = SQLState(rawValue: "23514")
  package static let exclusionViolation = SQLState(rawValue: "23P01")
  package static let characterNotInRepertoire = SQLState(rawValue: "22021")
  package static let readOnlyTransaction = SQLState(rawValue: "25006")
  package static let idleInTransactionTimeout = SQLState(rawValue: "25P03")
  package static let invalidStatementName = SQLState(rawValue: "26000")
  package static let serializationFailure = SQLState(rawValue: "40001")
  package static let deadlockDetected = SQLState(rawValue: "40P01")
  package static let insufficientPrivilege = SQLState(rawValue: "42501")
  package static let undefinedTable = SQLState(rawValue: "42P01")
  package static let undefinedObject = SQLState(rawValue: "42704")
  package static let diskFull = SQLState(rawValue: "53100")
  package static let tooManyConnections = SQLState(rawValue: "53300")
  package static let lockNotAvailable = SQLState(rawValue: "55P03")
  package static let queryCanceled = SQLState(rawValue: "57014")
  package static let adminShutdown = SQLState(rawValue: "57P01")
  package static let crashShutdown = SQLState(rawValue: "57P02")
  package static let cannotConnectNow = SQLState(rawValue: "57P03")
  package static let featureNotSupported = SQLState(rawValue: "0A000")
}
