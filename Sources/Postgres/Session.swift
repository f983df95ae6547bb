import CLibPQ
import Glibc

/// One session with a server, blocking, and confined to its connection's thread.
///
/// Nothing else can come between two calls, so a transaction needs no lock. Every call ends by its
/// deadline, or by the lease's when that is earlier: then the socket is closed, and the error tells
/// whether anything can have been executed.
package final class Session {
  package enum TransactionStatus: Sendable {
    case idle
    case inTransaction
    /// A statement failed: only ROLLBACK is accepted.
    case failed
    case unknown
  }

  let wire: Wire
  /// The lease that is using this session, if any.
  var lease: (deadline: ContinuousClock.Instant, cancellation: Cancellation?)?

  init(_ wire: Wire) { self.wire = wire }

  /// A broken session is replaced by its connection; it answers nothing any more.
  package var isBroken: Bool { wire.isLost }

  package var transactionStatus: TransactionStatus {
    switch PQtransactionStatus(wire.connection) {
    case PQTRANS_IDLE: .idle
    case PQTRANS_INTRANS, PQTRANS_ACTIVE: .inTransaction
    case PQTRANS_INERROR: .failed
    default: .unknown
    }
  }

  /// Runs all of them in one round trip: one flush, one sync, then all results are read.
  ///
  /// Without a BEGIN they are one implicit transaction. Statements are prepared on first use.
  ///
  /// - Returns: one `Rows` per query.
  /// - Throws: the first error that the server reported; it skipped whatever came after, and the
  ///   session can be used again.
  package func pipeline(
    _ queries: [Query], deadline: ContinuousClock.Instant
  ) throws(PostgresError) -> [Rows] {
    let deadline = try begin(deadline)
    for query in queries where query.parameters.count > Int(UInt16.max) {
      throw PostgresError(.misuse, reason: "more than 65535 parameters", query: query.sql)
    }
    return try exchange(queries, deadline)
  }

  /// Runs one statement in one round trip.
  @discardableResult
  package func execute(
    _ query: Query, deadline: ContinuousClock.Instant
  ) throws(PostgresError) -> Rows {
    try pipeline([query], deadline: deadline)[0]
  }

  /// Runs several statements, separated by semicolons, by the simple protocol: for migrations.
  ///
  /// They are one transaction unless the script itself says otherwise.
  package func executeScript(
    _ sql: String, deadline: ContinuousClock.Instant
  ) throws(PostgresError) {
    let deadline = try begin(deadline)
    try leavePipelineMode()
    defer { enterPipelineMode() }
    try sendSimple(sql)
    try finishSimple(deadline, sql)
  }

  /// Answers without a server: closes the socket, so that whatever runs is given up.
  func abort() {
    if !wire.isIdle || transactionStatus != .idle { wire.cancelHandle?.fire {} }
    wire.abort()
  }

  /// Reads what came unasked: notifications, or the end of the session.
  func receiveWhileIdle() {
    guard !isBroken else { return }
    let events = awaitReadiness(
      socket: wire.socket, events: Int16(POLLIN), until: ContinuousClock.now
    ).socket
    if events != 0 { wire.receive() }
    if PQstatus(wire.connection) == CONNECTION_BAD { wire.abort() }
  }

  /// Ends a transaction that its lease left behind.
  func rollback(deadline: ContinuousClock.Instant) {
    guard !isBroken else { return }
    do {
      _ = try exchange(["ROLLBACK"], deadline)
    } catch {
      // Closing the session rolls back as surely.
      abort()
    }
  }

  // MARK: Steps

  /// The deadline that counts, once it is sure that something may be sent.
  func begin(
    _ deadline: ContinuousClock.Instant
  ) throws(PostgresError) -> ContinuousClock.Instant {
    if isBroken { throw PostgresError(.connectionLost(outcome: .notSent), reason: wire.reason) }
    if lease?.cancellation?.isRequested == true { throw PostgresError(.cancelled) }
    let earliest = lease.map { min($0.deadline, deadline) } ?? deadline
    if earliest <= .now { throw PostgresError(.deadlineExceeded(outcome: .notSent)) }
    return earliest
  }

  private func exchange(
    _ queries: [Query], _ deadline: ContinuousClock.Instant
  ) throws(PostgresError) -> [Rows] {
    if transactionStatus == .idle { try wire.deallocateRetired() }
    for query in queries { try wire.send(query) }
    try wire.sendSync()
    var results: [Rows] = []
    results.reserveCapacity(queries.count)
    var failure: PostgresError?
    while true {
      while let arrival = try wire.next() {
        switch arrival {
        case .rows(let rows): results.append(rows)
        case .failed(let error): failure = failure ?? error
        case .skipped: break
        case .sync:
          if let failure { throw failure }
          return results
        }
      }
      try wait(until: deadline)
    }
  }

  /// Sends what is left and waits for something to read.
  func wait(until deadline: ContinuousClock.Instant) throws(PostgresError) {
    try wait(for: wire.flush() ? POLLIN | POLLOUT : POLLIN, until: deadline)
  }

  /// Waits for one of these events, and reads what there is.
  func wait(for events: Int32, until deadline: ContinuousClock.Instant) throws(PostgresError) {
    let ready = awaitReadiness(socket: wire.socket, events: Int16(events), until: deadline).socket
    guard ready != 0 else {
      abort()
      throw PostgresError(.deadlineExceeded(outcome: .unknown))
    }
    if ready & Int16(POLLOUT) == 0 || ready & Int16(POLLIN) != 0 { wire.receive() }
  }

  /// COPY and the simple protocol do not exist in pipeline mode; ``enterPipelineMode()`` has to follow.
  ///
  /// - Throws: `connectionLost` when libpq cannot leave it: something is outstanding, or cannot be sent on a dead socket.
  func leavePipelineMode() throws(PostgresError) {
    guard PQexitPipelineMode(wire.connection) == 1 else { throw wire.lost() }
  }

  func enterPipelineMode() { PQenterPipelineMode(wire.connection) }

  func sendSimple(_ sql: String) throws(PostgresError) {
    guard PQsendQuery(wire.connection, sql) == 1 else { throw wire.lost() }
  }

  /// The next result of the simple protocol; `nil` at its end.
  func simpleResult(_ deadline: ContinuousClock.Instant) throws(PostgresError) -> OpaquePointer? {
    while PQisBusy(wire.connection) == 1 {
      if isBroken { throw wire.lost() }
      try wait(until: deadline)
    }
    return PQgetResult(wire.connection)
  }

  /// Reads to the end.
  ///
  /// - Returns: how many rows the last statement counted.
  /// - Throws: the first error.
  @discardableResult
  func finishSimple(
    _ deadline: ContinuousClock.Instant, _ sql: String
  ) throws(PostgresError) -> Int {
    var failure: PostgresError?
    var affected = 0
    while let result = try simpleResult(deadline) {
      defer { PQclear(result) }
      switch PQresultStatus(result) {
      case PGRES_FATAL_ERROR:
        guard let server = ServerMessage(result), !server.endsSession else {
          throw wire.lost(ServerMessage(result))
        }
        failure = failure ?? PostgresError(server.kind, server: server, query: sql)
      case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
        abort()
        throw PostgresError(.misuse, reason: "COPY has calls of its own", query: sql)
      default:
        affected = Int(String(cString: PQcmdTuples(result))) ?? 0
      }
    }
    if let failure { throw failure }
    return affected
  }
}
