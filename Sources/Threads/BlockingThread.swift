import Glibc

/// Detached threads for calls that block, which must never run on Swift's cooperative pool.
///
/// The system may refuse a thread: too many of the user's are running (`ulimit -u`), or there is no memory for a stack.
/// That is an answer like any other, and never ends the process.
package enum BlockingThread {
  /// The system gave no thread.
  package struct Refused: Error, Equatable, CustomStringConvertible {
    package let code: Int32

    package var description: String {
      "the system gave no thread: \(String(cString: strerror(code))) (see ulimit -u)"
    }
  }

  /// How long ``startWhenPossible(_:)`` waits between two attempts.
  private static let pause: Duration = .milliseconds(100)

  /// Runs a body on a thread of its own.
  package static func start(_ body: @escaping @Sendable () -> Void) throws(Refused) {
    final class Start {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    let start = Unmanaged.passRetained(Start(body))
    var thread = pthread_t()
    let code = pthread_create(
      &thread, &attributes,
      { argument in
        guard let argument else { return nil }
        let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        // Signals belong to the threads that expect them; SIGPIPE belongs to none.
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        start.body()
        return nil
      }, start.toOpaque())
    guard code == 0 else {
      start.release()
      throw Refused(code: code)
    }
  }

  /// Runs a body on a thread of its own: at once, or as soon as the system gives one. For work that somebody has to do in
  /// the end, such as serving an executor; its callers have deadlines of their own.
  package static func startWhenPossible(_ body: @escaping @Sendable () -> Void) {
    if (try? start(body)) != nil { return }
    Task {
      repeat {
        // Nothing cancels this task, so the pause is always a whole one.
        try? await Task.sleep(for: pause)
      } while (try? start(body)) == nil
    }
  }

  /// Proves that the system would give so many threads more, at once.
  package static func reserve(_ count: Int) throws(Refused) {
    let gate = Gate()
    defer { gate.open() }
    for _ in 0..<count { try start { gate.wait() } }
  }
}

/// Keeps threads waiting until it is opened.
private final class Gate: @unchecked Sendable {
  private let monitor = Monitor()
  // Only touched under the lock.
  private var isOpen = false

  func wait() {
    monitor.locked {
      while !isOpen { monitor.wait() }
    }
  }

  func open() {
    monitor.locked {
      isOpen = true
      monitor.broadcast()
    }
  }
}
