import Glibc
import Threads

/// Threads of a low priority, for work that may compute for long: neither an event loop nor the shared pool of tasks waits
/// behind it, and other work gets a processor first.
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

  private static let idleTime: Duration = .seconds(2)

  /// What the system does when other threads want a processor as well.
  enum Priority {
    /// They share, and the others get three times as much.
    case low
    /// The others go first, and interrupt these as soon as they wake up (`SCHED_IDLE`). Other priorities, even the lowest one,
    /// let a thread that wakes up wait for a few milliseconds, which add up over the steps of a request.
    case idle
  }

  /// `SCHED_IDLE` of sched(7), a macro that the C library only shows to programs that ask for GNU extensions.
  private static let idleScheduling: CInt = 5

  private let count: Int
  private let priority: Priority
  private let monitor = Monitor()
  // Only touched under the lock.
  private nonisolated(unsafe) var state = State()

  /// - Parameter count: how many threads there are at most.
  init(count: Int, priority: Priority = .idle) {
    self.count = max(1, count)
    self.priority = priority
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let needsThread = monitor.locked {
      state.jobs.append(job)
      // One that was woken for an earlier job, and has not come to it yet, still counts as idle.
      if state.jobs.count - state.taken > state.idle, state.threads < count {
        state.threads += 1
        return true
      }
      monitor.signal()
      return false
    }
    guard needsThread, !startThread() else { return }
    // The system has no thread left. Those that there are do the work, or else the shared pool does.
    let orphans = monitor.locked {
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
    // On Linux both are about the calling thread, not the process. A thread that the system refuses this is still good.
    switch priority {
    case .low: _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 5)
    case .idle:
      var parameters = sched_param()
      _ = sched_setscheduler(0, Self.idleScheduling, &parameters)
    }
    while let job = take() { job.runSynchronously(on: asUnownedTaskExecutor()) }
  }

  /// Waits for a job; nil when the thread is to end.
  private func take() -> UnownedJob? {
    monitor.locked {
      if let job = state.next() { return job }
      state.idle += 1
      monitor.wait(atMost: Self.idleTime)
      state.idle -= 1
      if let job = state.next() { return job }
      state.threads -= 1
      return nil
    }
  }

  /// - Returns: false when the system refuses.
  private func startThread() -> Bool {
    do {
      try BlockingThread.start { self.run() }
      return true
    } catch {
      return false
    }
  }
}
