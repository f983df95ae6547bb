import Glibc
import Synchronization

/// Threads of the lowest priority, for work that may compute for long: neither an event loop nor the shared pool of tasks
/// waits behind it, and whatever else wants a processor gets it first.
///
/// `withTaskExecutorPreference` runs a part of a request here. A thread begins when there is a job for it, and ends when
/// there was none for a while.
final class BackgroundThreads: TaskExecutor {
  private struct State {
    var jobs: [UnownedJob] = []
    /// How many of `jobs`, from the first on, are taken.
    var taken = 0
    var threads = 0
    var idle = 0

    mutating func next() -> UnownedJob? {
      guard taken < jobs.count else { return nil }
      let job = jobs[taken]
      taken += 1
      if taken == jobs.count {
        jobs.removeAll(keepingCapacity: taken < 1024)
        taken = 0
      }
      return job
    }
  }

  private static let idleSeconds = 2
  private static let niceness: CInt = 19

  private let count: Int
  private let lock: Lock
  // Only touched under the lock.
  private nonisolated(unsafe) var state = State()

  /// - Parameter count: how many threads there are at most.
  init(count: Int) {
    self.count = max(1, count)
    lock = Lock()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let needsThread = lock.locked {
      state.jobs.append(job)
      // One that was woken for an earlier job, and has not come to it yet, still counts as idle.
      if state.jobs.count - state.taken > state.idle, state.threads < count {
        state.threads += 1
        return true
      }
      lock.signal()
      return false
    }
    guard needsThread, !startThread() else { return }
    // The system has no thread left. Those that there are do the work, or else the shared pool does.
    let orphans = lock.locked {
      state.threads -= 1
      var orphans: [UnownedJob] = []
      while state.threads == 0, let job = state.next() { orphans.append(job) }
      return orphans
    }
    for job in orphans {
      Task.detached(executorPreference: globalConcurrentExecutor) {
        job.runSynchronously(on: self.asUnownedTaskExecutor())
      }
    }
  }

  private func run() {
    // On Linux this is the thread's own priority, not the process's.
    _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Self.niceness)
    while let job = take() { job.runSynchronously(on: asUnownedTaskExecutor()) }
  }

  /// Waits for a job; nil when the thread is to end.
  private func take() -> UnownedJob? {
    lock.locked {
      if let job = state.next() { return job }
      state.idle += 1
      lock.wait(seconds: Self.idleSeconds)
      state.idle -= 1
      if let job = state.next() { return job }
      state.threads -= 1
      return nil
    }
  }

  /// - Returns: false when the system refuses.
  private func startThread() -> Bool {
    var attributes = pthread_attr_t()
    guard pthread_attr_init(&attributes) == 0 else { return false }
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
    var thread = pthread_t()
    let threads = Unmanaged.passRetained(self)
    let code = pthread_create(
      &thread, &attributes,
      { argument in
        guard let argument else { return nil }
        // Signals belong to the threads that expect them.
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        Unmanaged<BackgroundThreads>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, threads.toOpaque())
    if code != 0 { threads.release() }
    return code == 0
  }

  /// A mutex with a condition, which `Synchronization` does not have.
  private final class Lock: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
      pthread_mutex_init(mutex, nil)
      pthread_cond_init(condition, nil)
    }

    deinit {
      pthread_cond_destroy(condition)
      pthread_mutex_destroy(mutex)
      condition.deallocate()
      mutex.deallocate()
    }

    func locked<Value>(_ body: () -> Value) -> Value {
      pthread_mutex_lock(mutex)
      defer { pthread_mutex_unlock(mutex) }
      return body()
    }

    func signal() { pthread_cond_signal(condition) }

    /// Lets go of the lock until it is signalled or the time is over.
    func wait(seconds: Int) {
      var end = timespec()
      clock_gettime(CLOCK_REALTIME, &end)
      end.tv_sec += seconds
      pthread_cond_timedwait(condition, mutex, &end)
    }
  }
}
