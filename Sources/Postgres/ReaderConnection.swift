import Synchronization
import Threads

/// One of a reader's connections: the inbox that any thread fills.
final class ReaderConnection: Sendable {
  private struct Inbox {
    var attempts: [ReadRequest.Attempt] = []
    var isSleeping = false
    var isClosed = false
    var isOver = false
    var closed: [CheckedContinuation<Void, Never>] = []
  }

  private let options: ConnectionOptions
  private let inbox = Mutex(Inbox())
  private let wakeup = Wakeup()
  private let load = Atomic<Int>(0)
  private let hasSession = Atomic<Bool>(false)

  init(options: ConnectionOptions) { self.options = options }

  /// The lower, the better a choice for the next request.
  var reluctance: Int {
    load.load(ordering: .relaxed) + (isUp ? 0 : 1_000_000)
  }

  var isUp: Bool { hasSession.load(ordering: .relaxed) }

  /// - Parameter passOn: gives a request to a connection that is up; false when there is none.
  func start(passOn: @escaping @Sendable (ReadRequest.Attempt) -> Bool) {
    BlockingThread.startWhenPossible { [self] in
      let link = Link(options) { [self] change in
        let isUp = if case .opened = change { true } else { false }
        hasSession.store(isUp, ordering: .relaxed)
      }
      let loop = ReadLoop(link: link, owner: self, passOn: passOn)
      while let arrived = take(canEnd: loop.isIdle) { loop.turn(arrived, wakeup) }
      link.close()
      let closed = inbox.withLock { inbox in
        inbox.isOver = true
        defer { inbox.closed = [] }
        return inbox.closed
      }
      for continuation in closed { continuation.resume() }
    }
  }

  func enqueue(_ attempt: ReadRequest.Attempt) {
    let (refused, mustWake) = inbox.withLock { inbox in
      if inbox.isClosed { return (true, false) }
      inbox.attempts.append(attempt)
      defer { inbox.isSleeping = false }
      return (false, inbox.isSleeping)
    }
    if refused { return attempt.request.finish(.failure(PostgresError(.closed))) }
    load.add(1, ordering: .relaxed)
    if mustWake { wakeup.signal() }
  }

  func settled() { load.subtract(1, ordering: .relaxed) }

  /// - Returns: false when there is more to do before sleeping.
  func prepareToSleep(canEnd: Bool) -> Bool {
    inbox.withLock { inbox in
      inbox.isSleeping = inbox.attempts.isEmpty && !(inbox.isClosed && canEnd)
      return inbox.isSleeping
    }
  }

  func wokeUp() { inbox.withLock { $0.isSleeping = false } }

  var isClosing: Bool { inbox.withLock { $0.isClosed } }

  func close() async {
    await withCheckedContinuation { continuation in
      let isOver = inbox.withLock { inbox in
        inbox.isClosed = true
        if !inbox.isOver { inbox.closed.append(continuation) }
        return inbox.isOver
      }
      if isOver { continuation.resume() } else { wakeup.signal() }
    }
  }

  /// - Returns: `nil` when the thread is to end.
  private func take(canEnd: Bool) -> [ReadRequest.Attempt]? {
    inbox.withLock { inbox in
      if canEnd, inbox.isClosed, inbox.attempts.isEmpty { return nil }
      defer { inbox.attempts.removeAll() }
      return inbox.attempts
    }
  }
}
