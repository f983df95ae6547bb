import CLibPQ
import Glibc

/// A session that is being opened, step by step, without blocking.
///
/// Source: PostgreSQL 15 documentation, 34.1.1, PQconnectStartParams and PQconnectPoll.
final class Handshake {
  let deadline: ContinuousClock.Instant
  private let options: ConnectionOptions
  /// `nil` once a session owns it.
  private var connection: OpaquePointer?
  private var wants = Int16(POLLOUT)

  init(_ options: ConnectionOptions) throws(PostgresError) {
    self.options = options
    deadline = .now + options.connectTimeout
    connection = options.withKeywordsAndValues { PQconnectStartParams($0, $1, 0) }
    guard let connection else { throw PostgresError(.connectFailed, reason: "out of memory") }
    // The only way to learn the SQLSTATE of a refused connection is to read it in the message.
    PQsetErrorVerbosity(connection, PQERRORS_VERBOSE)
    // libpq would print notices to standard error.
    PQsetNoticeReceiver(connection, { _, _ in }, nil)
    if PQstatus(connection) == CONNECTION_BAD { throw failure() }
  }

  deinit {
    guard let connection else { return }
    if socket >= 0 { shutdown(socket, Int32(SHUT_RDWR)) }
    PQfinish(connection)
  }

  var socket: Int32 { PQsocket(connection) }
  /// What poll(2) should wait for before the next step.
  var events: Int16 { wants }

  /// Goes as far as the socket allows.
  ///
  /// - Returns: the session once it is open and set up, for which it does block.
  func advance() throws(PostgresError) -> Session? {
    guard ContinuousClock.now < deadline else { throw failure("no answer in time") }
    let ready = awaitReadiness(socket: socket, events: wants, until: ContinuousClock.now)
    guard ready.socket != 0 else { return nil }
    switch PQconnectPoll(connection) {
    case PGRES_POLLING_READING:
      wants = Int16(POLLIN)
      return nil
    case PGRES_POLLING_WRITING:
      wants = Int16(POLLOUT)
      return nil
    case PGRES_POLLING_OK:
      guard let open = connection else { return nil }
      connection = nil
      return try setUp(Session(Wire(open)))
    default:
      throw failure()
    }
  }

  private func setUp(_ session: Session) throws(PostgresError) -> Session {
    guard !options.setup.isEmpty else { return session }
    do throws(PostgresError) {
      try session.executeScript(options.setup.joined(separator: ";\n"), deadline: deadline)
    } catch {
      throw PostgresError(
        .connectFailed, server: error.server, reason: error.message, query: error.query)
    }
    return session
  }

  private func failure(_ reason: String? = nil) -> PostgresError {
    let text = reason ?? String(cString: PQerrorMessage(connection))
    guard let state = SQLState(verboseMessage: text) else {
      return PostgresError(.connectFailed, reason: text)
    }
    return PostgresError(
      .connectFailed, server: ServerMessage(severity: "FATAL", sqlState: state, message: text))
  }
}

extension SQLState {
  /// Finds the state in `FATAL:  28P01: password authentication failed …`.
  fileprivate init?(verboseMessage text: String) {
    for part in text.split(separator: ":") {
      let word = part.drop { $0 == " " }
      let isState = word.utf8.allSatisfy { byte in
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
          || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
      }
      // A severity such as FATAL or ERROR has five letters too, but no digit.
      if word.utf8.count == 5, isState, word.contains(where: \.isNumber) {
        self.init(rawValue: String(word))
        return
      }
    }
    return nil
  }
}
