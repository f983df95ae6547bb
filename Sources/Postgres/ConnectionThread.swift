import Glibc
import Synchronization
import Threads

/// A thread that owns one session, and is a serial executor at the same time.
///
/// An actor that returns it as its `unownedExecutor` runs on the very thread that talks to the
/// server, so that it uses the session without any hop.
package final class ConnectionThread: SerialExecutor {
  private enum Work: Sendable {
    case job(UnownedJob)
    case block(@Sendable () -> Void)
  }

  private struct Inbox {
    var work: [Work] = []
    /// A thread was asked for, and has not ended.
    var isRunning = false
    /// It has come. The system may let it wait.
    var hasBegun = false
    var isSleeping = false
    var isBusy = false
    var isClosed = false
    var closed: [CheckedContinuation<Void, Never>] = []
  }

  private let inbox = Mutex(Inbox())
  private let wakeup = Wakeup()
  private let thread = Atomic<UInt>(0)
  // Only the thread touches it, which `link` checks.
  private nonisolated(unsafe) let confined: Link

  init(options: ConnectionOptions, onChange: @escaping @Sendable (Link.Change) -> Void) {
    confined = Link(options, onChange: onChange)
  }

  /// Whether the caller is on this thread.
  var isCurrent: Bool { thread.load(ordering: .acquiring) == UInt(pthread_self()) }

  var link: Link {
    precondition(isCurrent, "a session was used outside its connection's thread")
    return confined
  }

  package func enqueue(_ job: consuming ExecutorJob) { submit(.job(UnownedJob(job))) }

  package func checkIsolated() {
    precondition(isCurrent, "not on the connection's thread")
  }

  /// - Returns: whether the thread has other work to do first.
  @discardableResult
  func perform(_ block: @escaping @Sendable () -> Void) -> Bool { submit(.block(block)) }

  func start() {
    let mustStart = inbox.withLock { inbox in
      guard !inbox.isRunning, !inbox.isClosed else { return false }
      inbox.isRunning = true
      return true
    }
    if mustStart { BlockingThread.startWhenPossible { self.run() } }
  }

  /// Finishes what was submitted, then closes the session and ends the thread.
  func close() async {
    await withCheckedContinuation { continuation in
      let alreadyOver = inbox.withLock { inbox in
        inbox.isClosed = true
        guard inbox.isRunning else { return true }
        inbox.closed.append(continuation)
        return false
      }
      if alreadyOver { continuation.resume() } else { wakeup.signal() }
    }
  }

  @discardableResult
  private func submit(_ work: Work) -> Bool {
    let (mustStart, mustWake, isBusy) = inbox.withLock { inbox in
      let isBusy = inbox.isBusy || !inbox.work.isEmpty || !inbox.hasBegun
      inbox.work.append(work)
      // An executor must run every job, even one that comes after its close.
      let mustStart = !inbox.isRunning
      inbox.isRunning = true
      defer { inbox.isSleeping = false }
      return (mustStart, inbox.isSleeping, isBusy)
    }
    if mustStart { BlockingThread.startWhenPossible { self.run() } }
    if mustWake { wakeup.signal() }
    return isBusy
  }

  private func run() {
    thread.store(UInt(pthread_self()), ordering: .releasing)
    inbox.withLock { $0.hasBegun = true }
    while let work = take() {
      for item in work {
        switch item {
        case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
        case .block(let block): block()
        }
      }
      if work.isEmpty { rest() }
    }
  }

  /// - Returns: `nil` when the thread is to end; otherwise what there is to do.
  private func take() -> [Work]? {
    let (work, closed) = inbox.withLock { inbox -> ([Work]?, [CheckedContinuation<Void, Never>]) in
      if inbox.isClosed, inbox.work.isEmpty {
        confined.close()
        thread.store(0, ordering: .releasing)
        inbox.isRunning = false
        inbox.hasBegun = false
        inbox.isBusy = false
        defer { inbox.closed = [] }
        return (nil, inbox.closed)
      }
      inbox.isBusy = !inbox.work.isEmpty
      defer { inbox.work = [] }
      return (inbox.work, [])
    }
    for continuation in closed { continuation.resume() }
    return work
  }

  private func rest() {
    link.tend()
    let maySleep = inbox.withLock { inbox in
      inbox.isSleeping = inbox.work.isEmpty && !inbox.isClosed
      return inbox.isSleeping
    }
    guard maySleep else { return }
    let (socket, events, until) = link.interest
    let woken = awaitReadiness(
      socket: socket, events: events, wakeup: wakeup, until: until
    ).woken
    inbox.withLock { $0.isSleeping = false }
    if woken { wakeup.reset() }
  }
}
