import CLibPQ
import Glibc

extension Session {
  /// COPY … FROM STDIN, in the format that the statement names.
  ///
  /// - Parameter next: yields chunks, cut anywhere, until `nil`. When it throws, the server is told to
  ///   give up the copy, and the session can be used again.
  /// - Returns: the number of rows.
  @discardableResult
  package func copyIn(
    _ sql: String, deadline: ContinuousClock.Instant, next: () throws -> [UInt8]?
  ) throws -> Int {
    let deadline = try begin(deadline)
    try leavePipelineMode()
    defer { enterPipelineMode() }
    try sendSimple(sql)
    try awaitCopy(PGRES_COPY_IN, deadline, sql)
    do {
      while let chunk = try next() { try put(chunk, deadline) }
    } catch {
      guard !isBroken else { throw error }
      try putEnd("the source failed", deadline)
      // The server's error only repeats ours.
      do { try finishSimple(deadline, sql) } catch  where !isBroken {}
      throw error
    }
    try putEnd(nil, deadline)
    return try finishSimple(deadline, sql)
  }

  /// COPY … TO STDOUT, in the format that the statement names.
  ///
  /// - Parameter receive: is given each row's bytes, valid during the call only. When it throws, the
  ///   session is closed: there is no way to stop a server that sends.
  /// - Returns: the number of rows.
  @discardableResult
  package func copyOut(
    _ sql: String, deadline: ContinuousClock.Instant,
    receive: (UnsafeRawBufferPointer) throws -> Void
  ) throws -> Int {
    let deadline = try begin(deadline)
    try leavePipelineMode()
    defer { enterPipelineMode() }
    try sendSimple(sql)
    try awaitCopy(PGRES_COPY_OUT, deadline, sql)
    do {
      while let row = try nextRow(deadline) {
        defer { PQfreemem(UnsafeMutableRawPointer(mutating: row.baseAddress)) }
        try receive(row)
      }
    } catch {
      abort()
      throw error
    }
    return try finishSimple(deadline, sql)
  }

  private func awaitCopy(
    _ status: ExecStatusType, _ deadline: ContinuousClock.Instant, _ sql: String
  ) throws(PostgresError) {
    guard let result = try simpleResult(deadline) else { throw wire.lost() }
    defer { PQclear(result) }
    if PQresultStatus(result) == status { return }
    if PQresultStatus(result) == PGRES_FATAL_ERROR {
      guard let server = ServerMessage(result), !server.endsSession else {
        throw wire.lost(ServerMessage(result))
      }
      try finishSimple(deadline, sql)
      throw PostgresError(server.kind, server: server, query: sql)
    }
    abort()
    throw PostgresError(.misuse, reason: "not the COPY that was asked for", query: sql)
  }

  private func put(
    _ chunk: [UInt8], _ deadline: ContinuousClock.Instant
  ) throws(PostgresError) {
    let sent = chunk.withUnsafeBytes { bytes in
      PQputCopyData(
        wire.connection, bytes.bindMemory(to: CChar.self).baseAddress, Int32(bytes.count))
    }
    guard sent == 1 else { throw wire.lost() }
    // libpq would buffer without limit: memory stays flat only when each chunk is sent first.
    try drain(deadline)
  }

  private func putEnd(
    _ failure: String?, _ deadline: ContinuousClock.Instant
  ) throws(PostgresError) {
    guard PQputCopyEnd(wire.connection, failure) == 1 else { throw wire.lost() }
    try drain(deadline)
  }

  private func drain(_ deadline: ContinuousClock.Instant) throws(PostgresError) {
    while true {
      switch PQflush(wire.connection) {
      case 0: return
      // Not `wait(until:)`, which sends more first: when that was the rest, nothing comes that it could wait for.
      case 1: try wait(for: POLLIN | POLLOUT, until: deadline)
      default: throw wire.lost()
      }
    }
  }

  private func nextRow(
    _ deadline: ContinuousClock.Instant
  ) throws(PostgresError) -> UnsafeRawBufferPointer? {
    while true {
      var row: UnsafeMutablePointer<CChar>?
      switch PQgetCopyData(wire.connection, &row, 1) {
      case let count where count > 0: return UnsafeRawBufferPointer(start: row, count: Int(count))
      case 0:
        if isBroken { throw wire.lost() }
        try wait(until: deadline)
      // −1 is the end, −2 an error; the result that follows says which.
      default: return nil
      }
    }
  }
}

/// Writes rows for `COPY … FROM STDIN (FORMAT binary)`.
///
/// Source: PostgreSQL 15 documentation, COPY, Binary Format.
package struct BinaryCopy: Sendable {
  private var bytes: [UInt8]

  package init() {
    bytes = Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0x00]
    bytes.append(bigEndian: Int32(0))
    bytes.append(bigEndian: Int32(0))
  }

  /// Appends one row; the columns' types must be exactly the table's.
  package mutating func append<each Column: PostgresEncodable>(row: repeat (each Column)?) {
    var count: Int16 = 0
    for _ in repeat (each Column).self { count += 1 }
    bytes.append(bigEndian: count)
    for value in repeat each row {
      let parameter = Parameter(value)
      bytes.append(bigEndian: Int32(parameter.bytes?.count ?? -1))
      bytes += parameter.bytes ?? []
    }
  }

  package var count: Int { bytes.count }

  /// What was appended since the last call; the next call goes on from there.
  package mutating func take() -> [UInt8] {
    defer { bytes = [] }
    return bytes
  }

  /// What ends the copy.
  package static var trailer: [UInt8] { [0xFF, 0xFF] }
}
