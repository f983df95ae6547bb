import Glibc

extension ContinuousClock.Instant {
  /// For poll(2): 0 when passed, rounded up so that a wait never ends just before its deadline.
  fileprivate var pollTimeout: Int32 {
    let (seconds, attoseconds) = (self - .now).components
    if seconds < 0 || attoseconds < 0 { return 0 }
    if seconds > 1_000_000 { return 1_000_000_000 }
    return Int32(seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}

/// Blocks until the socket has one of `events` (or is broken), `wakeup` is readable, or the deadline.
///
/// - Parameters:
///   - socket: −1 for none.
///   - deadline: `nil` waits forever.
/// - Returns: what happened on the socket, 0 for nothing; and whether `wakeup` was signalled.
func awaitReadiness(
  socket: Int32, events: Int16, wakeup: Int32 = -1, until deadline: ContinuousClock.Instant?
) -> (socket: Int16, woken: Bool) {
  var descriptors = (
    pollfd(fd: socket, events: events, revents: 0),
    pollfd(fd: wakeup, events: Int16(POLLIN), revents: 0)
  )
  return withUnsafeMutableBytes(of: &descriptors) { bytes in
    let pointer = bytes.assumingMemoryBound(to: pollfd.self).baseAddress!
    while poll(pointer, 2, deadline?.pollTimeout ?? -1) < 0 {
      precondition(errno == EINTR || errno == EAGAIN, "poll: errno \(errno)")
    }
    return (pointer[0].revents, pointer[1].revents != 0)
  }
}

/// A pipe to itself: wakes a thread that sleeps in poll(2) from any other thread.
final class Wakeup: Sendable {
  /// Readable when signalled.
  let descriptor: Int32
  private let writer: Int32

  init() {
    var ends: (Int32, Int32) = (-1, -1)
    let code = withUnsafeMutableBytes(of: &ends) {
      pipe($0.assumingMemoryBound(to: Int32.self).baseAddress!)
    }
    precondition(code == 0, "pipe: errno \(errno)")
    (descriptor, writer) = ends
    for end in [descriptor, writer] {
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
    }
  }

  deinit {
    close(descriptor)
    close(writer)
  }

  func signal() {
    // The only possible failure, a full pipe, means that the sleeper is woken already.
    _ = withUnsafeBytes(of: UInt8(1)) { write(writer, $0.baseAddress, 1) }
  }

  func reset() {
    withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { bytes in
      while read(descriptor, bytes.baseAddress, bytes.count) == bytes.count {}
    }
  }
}

/// Starts a detached thread for blocking calls, which must never run on the cooperative pool.
func startThread(_ body: @escaping @Sendable () -> Void) {
  final class Start {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  var thread = pthread_t()
  let code = pthread_create(
    &thread, &attributes,
    { argument in
      let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
      // Signals belong to the threads that expect them.
      var all = sigset_t()
      sigfillset(&all)
      pthread_sigmask(SIG_BLOCK, &all, nil)
      start.body()
      return nil
    }, Unmanaged.passRetained(Start(body)).toOpaque())
  precondition(code == 0, "pthread_create: errno \(code)")
}

/// Runs blocking work on a thread of its own.
func onThread<Value: Sendable>(
  _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    startThread { continuation.resume(with: Result { try body() }) }
  }
}
