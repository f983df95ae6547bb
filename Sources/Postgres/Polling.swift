import Dispatch
import Glibc
import Synchronization
import Threads

extension ContinuousClock.Instant {
  /// For poll(2): 0 when passed, rounded up so that a wait never ends just before its deadline.
  fileprivate var pollTimeout: Int32 {
    let (seconds, attoseconds) = (self - .now).components
    if seconds < 0 || attoseconds < 0 { return 0 }
    if seconds > 1_000_000 { return 1_000_000_000 }
    return Int32(seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}

/// Blocks until the socket has one of `events` (or is broken), `wakeup` is signalled, or the deadline.
///
/// - Parameters:
///   - socket: −1 for none.
///   - deadline: `nil` waits forever.
/// - Returns: what happened on the socket, 0 for nothing; and whether the caller should look whether it was woken, which it
///   also should after a short while when the system has no descriptor for the wakeup.
func awaitReadiness(
  socket: Int32, events: Int16, wakeup: Wakeup? = nil, until deadline: ContinuousClock.Instant?
) -> (socket: Int16, woken: Bool) {
  let source = wakeup?.prepare()
  var deadline = deadline
  if source == .unavailable {
    let soon = ContinuousClock.now + Wakeup.interval
    deadline = deadline.map { min($0, soon) } ?? soon
  }
  var descriptors = (
    pollfd(fd: socket, events: events, revents: 0),
    pollfd(fd: source?.descriptor ?? -1, events: Int16(POLLIN), revents: 0)
  )
  return withUnsafeMutableBytes(of: &descriptors) { bytes in
    let pointer = bytes.bindMemory(to: pollfd.self)
    while true {
      let timeout = source == .missed ? 0 : deadline?.pollTimeout ?? -1
      if poll(pointer.baseAddress, 2, timeout) >= 0 { break }
      guard errno != EINTR else { continue }
      // The kernel has no memory for it now. What it would have said is not known: the caller looks again.
      usleep(1000)
      if timeout == 0 { return (0, source == .missed) }
    }
    let woken = pointer[1].revents != 0 || source == .missed || source == .unavailable
    return (pointer[0].revents, woken)
  }
}

/// A pipe to itself: wakes a thread that sleeps in poll(2) from any other thread.
///
/// When the process has no descriptors left there is no pipe: the sleeper then looks every few milliseconds whether it was
/// woken, and asks for a pipe again each time.
final class Wakeup: Sendable {
  /// What a thread that is about to sleep can wait for.
  enum Source: Equatable {
    /// Readable when signalled.
    case pipe(Int32)
    /// There was a signal while there was no pipe.
    case missed
    case unavailable

    var descriptor: Int32 { if case .pipe(let descriptor) = self { descriptor } else { -1 } }
  }

  private struct State {
    var ends: (reader: Int32, writer: Int32)?
    var isMissed = false
  }

  /// How long a thread sleeps at most when nothing can wake it.
  static let interval: Duration = .milliseconds(10)

  private let state: Mutex<State>

  init() {
    state = Mutex(State(ends: Self.pipe()))
  }

  deinit {
    guard let ends = state.withLock({ $0.ends }) else { return }
    close(ends.reader)
    close(ends.writer)
  }

  func signal() {
    let writer = state.withLock { state in
      if state.ends == nil { state.isMissed = true }
      return state.ends?.writer
    }
    guard let writer else { return }
    // The only possible failure, a full pipe, means that the sleeper is woken already.
    _ = withUnsafeBytes(of: UInt8(1)) { write(writer, $0.baseAddress, 1) }
  }

  /// For the thread that sleeps.
  fileprivate func prepare() -> Source {
    state.withLock { state in
      state.ends = state.ends ?? Self.pipe()
      if state.isMissed { return .missed }
      return state.ends.map { .pipe($0.reader) } ?? .unavailable
    }
  }

  func reset() {
    let reader = state.withLock { state in
      state.isMissed = false
      return state.ends?.reader
    }
    guard let reader else { return }
    withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { bytes in
      while read(reader, bytes.baseAddress, bytes.count) == bytes.count {}
    }
  }

  private static func pipe() -> (reader: Int32, writer: Int32)? {
    var ends: (Int32, Int32) = (-1, -1)
    let code = withUnsafeMutableBytes(of: &ends) { bytes in
      bytes.bindMemory(to: Int32.self).baseAddress.map { Glibc.pipe($0) } ?? -1
    }
    guard code == 0 else { return nil }
    for end in [ends.0, ends.1] {
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
    }
    return (ends.0, ends.1)
  }
}

extension Duration {
  /// For waiting on a semaphore: whole milliseconds, from none to eleven days.
  var dispatchInterval: DispatchTimeInterval {
    let (seconds, attoseconds) = components
    if seconds < 0 || attoseconds < 0 { return .milliseconds(0) }
    return .milliseconds(
      Int(min(seconds, 1_000_000)) * 1000 + Int(attoseconds / 1_000_000_000_000_000))
  }
}

/// Runs blocking work on a thread of its own.
///
/// - Throws: what the body throws; ``BlockingThread/Refused`` when the system gives no thread.
func onThread<Value: Sendable>(
  _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    do throws(BlockingThread.Refused) {
      try BlockingThread.start { continuation.resume(with: Result { try body() }) }
    } catch {
      continuation.resume(throwing: error)
    }
  }
}

/// Runs blocking work on a thread of its own, as soon as the system gives one.
func onThreadWhenPossible<Value: Sendable>(
  _ body: @escaping @Sendable () -> Value
) async -> Value {
  await withCheckedContinuation { continuation in
    BlockingThread.startWhenPossible { continuation.resume(returning: body()) }
  }
}
