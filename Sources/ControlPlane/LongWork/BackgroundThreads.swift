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

  private let count: Int
  private let niceness: CInt
  private let monitor = Monitor()
  // Only touched under the lock.
  private nonisolated(unsafe) var state = State()

  /// - Parameters:
  ///   - count: how many threads there are at most.
  ///   - niceness: from 0, the priority of everything else, to 19, the lowest one.
  init(count: Int, niceness: Int = 19) {
    self.count = max(1, count)
    self.niceness = CInt(max(0, min(niceness, 19)))
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
    // On Linux this is the thread's own priority, not the process's.
    _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness)
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
