import CLibPQ
import Glibc

/// libpq's pipeline mode without any waiting: what is sent, and what has arrived.
///
/// Not thread-safe: it belongs to one thread. Source: PostgreSQL 15 documentation, 34.5 Pipeline Mode.
final class Wire {
  enum Arrival {
    case rows(Rows)
    case failed(PostgresError)
    /// Not executed, because a statement before it failed.
    case skipped
    case sync
  }

  private enum Expected {
    case prepared(StatementCache.Statement)
    case executed(StatementCache.Statement)
    case deallocated
    /// `visible` is false for a sync of our own, which no caller waits for.
    case sync(visible: Bool)
  }

  let connection: OpaquePointer
  let cancelHandle: CancelHandle?
  private var statements = StatementCache(limit: 256)
  /// Counts the syncs that were sent: what stands between two of them fails or succeeds together.
  private var segment: UInt64 = 0
  private var expected: [Expected] = []
  private var head = 0
  /// Each statement's results end with a null, a sync's do not.
  private var awaitsNull = false
  private(set) var isLost = false
  private var arguments = ArgumentBuffer()

  /// Takes ownership of an open connection.
  init(_ connection: OpaquePointer) {
    self.connection = connection
    cancelHandle = CancelHandle(connection)
    PQsetnonblocking(connection, 1)
    PQenterPipelineMode(connection)
  }

  deinit { PQfinish(connection) }

  var socket: Int32 { PQsocket(connection) }
  var isIdle: Bool { head == expected.count }

  /// Ends the session at once, even when the server does not answer.
  func abort() {
    isLost = true
    // Otherwise closing politely could wait for a server that is stopped.
    if socket >= 0 { shutdown(socket, Int32(SHUT_RDWR)) }
  }

  // MARK: Sending

  func send(_ query: Query) throws(PostgresError) {
    var (statement, mustPrepare) = statements.statement(for: query.sql)
    if mustPrepare {
      statement.preparedIn = segment
    } else if let preparedIn = statement.preparedIn, preparedIn != segment {
      // Whether that succeeds is not known yet, and must not decide about this one: the unnamed
      // statement can be prepared any number of times.
      statement = StatementCache.Statement(name: "", sql: query.sql)
      mustPrepare = true
    }
    if mustPrepare {
      let oids = query.parameters.map(\.oid)
      guard PQsendPrepare(connection, statement.name, query.sql, Int32(oids.count), oids) == 1
      else { throw sendFailed() }
      expected.append(.prepared(statement))
    }
    arguments.load(query.parameters)
    let sent = arguments.withPointers { values, lengths, formats in
      PQsendQueryPrepared(
        connection, statement.name, Int32(query.parameters.count), values, lengths, formats, 1)
    }
    guard sent == 1 else { throw sendFailed() }
    expected.append(.executed(statement))
  }

  func sendSync(visible: Bool = true) throws(PostgresError) {
    guard PQpipelineSync(connection) == 1 else { throw sendFailed() }
    segment += 1
    expected.append(.sync(visible: visible))
  }

  /// Only outside a transaction: in a failed one it would fail too.
  func deallocateRetired() throws(PostgresError) {
    guard !statements.retired.isEmpty else { return }
    for name in statements.takeRetired() {
      guard PQsendQueryParams(connection, "DEALLOCATE \(name)", 0, nil, nil, nil, nil, 1) == 1
      else { throw sendFailed() }
      expected.append(.deallocated)
    }
    try sendSync(visible: false)
  }

  private func sendFailed() -> PostgresError {
    if PQstatus(connection) == CONNECTION_BAD { return lost() }
    // Half a pipeline was queued, so the session cannot go on.
    defer { abort() }
    return PostgresError(.misuse, reason: reason)
  }

  /// - Returns: whether some is left to be sent once the socket is writable.
  func flush() -> Bool { PQflush(connection) == 1 }

  // MARK: Receiving

  /// Reads what the socket has. A loss shows once everything that did arrive was taken.
  func receive() {
    if PQconsumeInput(connection) == 0 { isLost = true }
  }

  /// - Returns: `nil` when the answer that is due has not arrived yet, or none is due.
  /// - Throws: ``PostgresError/Kind/connectionLost(outcome:)`` at the end of a session.
  func next() throws(PostgresError) -> Arrival? {
    while head < expected.count {
      guard PQisBusy(connection) == 0 else {
        if isLost { throw lost() }
        return nil
      }
      guard let result = PQgetResult(connection) else {
        guard awaitsNull else { throw lost() }
        awaitsNull = false
        pop()
        continue
      }
      if let arrival = try take(result, for: expected[head]) { return arrival }
    }
    return nil
  }

  private func take(
    _ result: OpaquePointer, for expectation: Expected
  ) throws(PostgresError) -> Arrival? {
    let status = PQresultStatus(result)
    if case .sync(let visible) = expectation, status == PGRES_PIPELINE_SYNC {
      PQclear(result)
      pop()
      return visible ? .sync : nil
    }
    awaitsNull = true
    switch status {
    case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
      if case .executed(let statement) = expectation {
        return .rows(Rows(result, sql: statement.sql))
      }
      if case .prepared(let statement) = expectation { statement.preparedIn = nil }
      PQclear(result)
      return nil
    case PGRES_PIPELINE_ABORTED:
      PQclear(result)
      switch expectation {
      case .prepared(let statement): statements.forget(statement)
      case .executed: return .skipped
      case .deallocated, .sync: break
      }
      return nil
    case PGRES_FATAL_ERROR:
      defer { PQclear(result) }
      let server = ServerMessage(result)
      guard let server, !server.endsSession else { throw lost(server) }
      return failed(server, expectation)
    default:
      // Such as COPY, which pipeline mode does not have.
      PQclear(result)
      abort()
      throw PostgresError(.misuse, reason: "a statement that cannot run in a pipeline")
    }
  }

  private func failed(_ server: ServerMessage, _ expectation: Expected) -> Arrival? {
    switch expectation {
    case .prepared(let statement):
      statements.forget(statement)
      return .failed(PostgresError(server.kind, server: server, query: statement.sql))
    case .executed(let statement):
      // The table changed under the plan, or somebody else deallocated it: prepare it anew.
      if server.sqlState == .featureNotSupported, !statement.name.isEmpty {
        statements.retire(statement)
      } else if server.sqlState == .invalidStatementName {
        statements.forget(statement)
      }
      return .failed(PostgresError(server.kind, server: server, query: statement.sql))
    case .deallocated, .sync:
      return nil
    }
  }

  private func pop() {
    head += 1
    if head == expected.count {
      expected.removeAll(keepingCapacity: true)
      head = 0
    } else if head >= 1024 {
      expected.removeFirst(head)
      head = 0
    }
  }

  /// The error of a session that is over.
  func lost(_ server: ServerMessage? = nil) -> PostgresError {
    defer { abort() }
    return PostgresError(.connectionLost(outcome: .unknown), server: server, reason: reason)
  }

  var reason: String {
    let text = String(cString: PQerrorMessage(connection))
    return text.last == "\n" ? String(text.dropLast()) : text
  }
}

/// Parameters in the three parallel arrays that libpq wants, reused from call to call.
private struct ArgumentBuffer {
  private var bytes: [UInt8] = [0]
  private var offsets: [Int?] = []
  private var values: [UnsafePointer<CChar>?] = []
  private var lengths: [Int32] = []
  private var formats: [Int32] = []

  mutating func load(_ parameters: [Parameter]) {
    // A first byte is always there, because an empty value still needs an address.
    bytes.removeLast(bytes.count - 1)
    offsets.removeAll(keepingCapacity: true)
    lengths.removeAll(keepingCapacity: true)
    for parameter in parameters {
      offsets.append(parameter.bytes == nil ? nil : bytes.count)
      lengths.append(Int32(parameter.bytes?.count ?? 0))
      if let value = parameter.bytes { bytes += value }
    }
    while formats.count < parameters.count { formats.append(1) }
  }

  mutating func withPointers<Result>(
    _ body: (
      UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<Int32>, UnsafePointer<Int32>
    ) -> Result
  ) -> Result {
    bytes.withUnsafeBytes { buffer in
      let base = buffer.bindMemory(to: CChar.self).baseAddress!
      values.removeAll(keepingCapacity: true)
      for offset in offsets { values.append(offset.map { base + $0 }) }
      return body(values, lengths, formats)
    }
  }
}

extension ServerMessage {
  /// `nil` when it was libpq, not the server, that made this result.
  convenience init?(_ result: OpaquePointer) {
    // The fields' codes are characters in postgres_ext.h.
    func field(_ code: Character) -> String? {
      PQresultErrorField(result, Int32(code.asciiValue!)).map { String(cString: $0) }
    }
    guard let state = field("C") else { return nil }
    self.init(
      severity: field("V") ?? field("S") ?? "ERROR", sqlState: SQLState(rawValue: state),
      message: field("M") ?? "", detail: field("D"), hint: field("H"), table: field("t"),
      column: field("c"), constraint: field("n"))
  }
}
