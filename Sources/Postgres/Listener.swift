import CLibPQ
import Glibc
import Synchronization
import Threads

/// LISTEN on a connection of its own, which is opened again whenever it is lost.
package final class Listener: Sendable {
  package enum Element: Sendable, Hashable {
    /// Listening, for the first time or again: whatever was notified before may have been missed.
    case reconnected
    case notification(channel: String, payload: String)
  }

  private struct State {
    var isRunning = true
    var isClosed = false
    var closed: [CheckedContinuation<Void, Never>] = []
  }

  /// What happens on the channels, for one consumer. It ends when the listener is closed.
  ///
  /// A consumer that falls more than a thousand elements behind loses some, and is told so by another
  /// ``Element/reconnected``.
  package let events: AsyncStream<Element>
  private let continuation: AsyncStream<Element>.Continuation
  private let state = Mutex(State())
  private let wakeup = Wakeup()

  /// A silent server is asked for a sign of life this often.
  private static let heartbeat = Duration.seconds(5)
  private static let patience = Duration.seconds(3)

  /// - Parameter channels: names as they stand in NOTIFY, without quotes.
  package init(options: ConnectionOptions, channels: [String]) {
    (events, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1000))
    var options = options
    options.applicationName += " listener"
    options.setup += channels.map {
      "LISTEN \"\($0.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\""))\""
    }
    BlockingThread.startWhenPossible { [self, options] in
      run(options)
      continuation.finish()
      let closed = state.withLock { state in
        state.isRunning = false
        defer { state.closed = [] }
        return state.closed
      }
      for continuation in closed { continuation.resume() }
    }
  }

  package func close() async {
    await withCheckedContinuation { continuation in
      let isRunning = state.withLock { state in
        state.isClosed = true
        if state.isRunning { state.closed.append(continuation) }
        return state.isRunning
      }
      if isRunning { wakeup.signal() } else { continuation.resume() }
    }
  }

  private func run(_ options: ConnectionOptions) {
    let hasMissed = Mutex(false)
    let link = Link(options) { change in
      if case .opened = change { hasMissed.withLock { $0 = true } }
    }
    defer { link.close() }
    var nextHeartbeat = ContinuousClock.now + Self.heartbeat
    while !state.withLock({ $0.isClosed }) {
      link.tend()
      hasMissed.withLock { $0 = forward(from: link, $0) }
      let isBehind = hasMissed.withLock { $0 }
      if nextHeartbeat <= .now {
        nextHeartbeat = .now + Self.heartbeat
        // A failure closes the session, and the link opens another.
        _ = try? link.session?.execute("SELECT 1", deadline: .now + Self.patience)
      }
      let (socket, events, until) = link.interest
      var wake = min(until ?? nextHeartbeat, nextHeartbeat)
      // Only the passing of time tells that a consumer has made room.
      if isBehind, link.session != nil { wake = min(wake, .now + .milliseconds(50)) }
      let woken = awaitReadiness(
        socket: socket, events: events, wakeup: wakeup, until: wake
      ).woken
      if woken { wakeup.reset() }
    }
  }

  /// Hands over what has arrived.
  ///
  /// - Returns: whether the consumer has still to be told that something was missed.
  private func forward(from link: Link, _ hasMissed: Bool) -> Bool {
    var hasMissed = hasMissed
    guard let session = link.session else { return hasMissed }
    if hasMissed { hasMissed = !offer(.reconnected) }
    while let notification = PQnotifies(session.wire.connection) {
      defer { PQfreemem(notification) }
      guard !hasMissed else { continue }
      let element = Element.notification(
        channel: String(cString: notification.pointee.relname),
        payload: String(cString: notification.pointee.extra))
      hasMissed = !offer(element)
    }
    return hasMissed
  }

  private func offer(_ element: Element) -> Bool {
    if case .dropped = continuation.yield(element) { false } else { true }
  }
}
