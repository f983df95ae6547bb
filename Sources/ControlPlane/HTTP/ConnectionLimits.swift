/// How long and how much a client may take.
package struct ConnectionLimits: Sendable {
  /// From the first byte of a header (on a new connection: from its opening) to its end.
  package var header: Duration = .seconds(10)
  /// From the end of the header to the end of the body, in total: sending drop by drop does not
  /// extend it.
  package var body: Duration = .seconds(20)
  /// Between a reply and the next request.
  package var idle: Duration = .seconds(30)
  /// From so many connections of the process on, those that do nothing make room for those that wait in the backlog: `header`
  /// and `idle` are as short as this.
  package var crowdedFrom = Int.max
  package var crowdedHeader: Duration = .seconds(2)
  package var crowdedIdle: Duration = .seconds(1)
  /// Without the client taking any byte of a reply that waits for it.
  package var stalledReader: Duration = .seconds(30)
  /// From the complete request to the first byte of the reply; what obeys `Exchange.deadline` is
  /// earlier. Sweeps come up to half a second late, so that the answer is there within five seconds.
  package var handler: Duration = .milliseconds(4500)
  /// What is still read of a request that is already answered, before the connection is closed.
  package var drainedBytes = 64 << 10
  package var drainTime: Duration = .seconds(1)
  /// Bytes of all header fields together with the request line.
  package var headerBytes = 32 << 10
  package var headerFields = 100

  package init() {}
}

/// Why we, and not the client, ended a connection.
enum ConnectionCut: String, CaseIterable, Sendable {
  case slowHeader = "slow_header"
  case slowBody = "slow_body"
  case idle
  case stalledReader = "stalled_reader"
  case handler = "handler_deadline"
  case drain
  case malformed
  /// It would have had more time, were there not so many.
  case crowded
  case tooManyFromAddress = "too_many_from_address"
}
