/// Reads of many tasks over a few shared connections.
///
/// Whatever waits is sent together, without waiting for the answers to what was sent before. Each
/// request ends with a sync of its own and is therefore an implicit transaction of its own: a failing
/// one fails alone, and nothing it sets locally is seen by its neighbours. The sessions are
/// read-only, so that a read whose connection was lost can be repeated.
package final class Reader: Sendable {
  private let connections: [ReaderConnection]

  /// - Parameter connections: how many to open, now.
  package init(options: ConnectionOptions, connections: Int) {
    precondition(connections > 0, "a reader needs a connection")
    var options = options
    options.setup.append("SET default_transaction_read_only = on")
    self.connections = (1...connections).map { index in
      var own = options
      own.applicationName += " reader \(index)"
      return ReaderConnection(options: own)
    }
    for connection in self.connections {
      connection.start { [self] attempt in
        let other = best
        guard other !== connection, other.isUp else { return false }
        other.enqueue(attempt)
        return true
      }
    }
  }

  /// Runs one statement.
  ///
  /// - Throws: the server's error; ``PostgresError/Kind/deadlineExceeded(outcome:)``;
  ///   ``PostgresError/Kind/cancelled`` at once when the caller's task is cancelled;
  ///   ``PostgresError/Kind/connectionLost(outcome:)`` when that happened twice.
  package func query(
    _ query: Query, deadline: ContinuousClock.Instant
  ) async throws(PostgresError) -> Rows {
    try await pipeline([query], deadline: deadline)[0]
  }

  /// Runs several statements as one implicit transaction, in which `set_config(…, true)` of the first
  /// holds for the next. Throws like ``query(_:deadline:)``.
  package func pipeline(
    _ queries: [Query], deadline: ContinuousClock.Instant
  ) async throws(PostgresError) -> [Rows] {
    for query in queries where query.parameters.count > Int(UInt16.max) {
      throw PostgresError(.misuse, reason: "more than 65535 parameters", query: query.sql)
    }
    let request = ReadRequest(queries, deadline: deadline)
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        if request.wait(continuation) { best.enqueue(ReadRequest.Attempt(request)) }
      }
    } onCancel: {
      request.finish(.failure(PostgresError(.cancelled)))
    }
    return try result.get()
  }

  /// Answers what was asked already, then closes all connections.
  package func close() async {
    for connection in connections { await connection.close() }
  }

  /// The least busy connection, and one that is up before any that is not.
  private var best: ReaderConnection { connections.min { $0.reluctance < $1.reluctance }! }
}
