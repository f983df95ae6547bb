import Glibc

/// A running server process, our child or one that a killed predecessor of ours has left.
struct Postmaster {
  let pid: pid_t
  let isChild: Bool

  /// Whether it still runs; a child that has ended is also buried.
  func isAlive(in data: String) -> Bool {
    if isChild {
      var status: Int32 = 0
      return waitpid(pid, &status, WNOHANG) == 0
    }
    return Postmaster.works(pid, in: data)
  }

  func signal(_ number: Int32) { kill(pid, number) }

  /// - Returns: false when it still ran at the deadline.
  func awaitExit(in data: String, until deadline: ContinuousClock.Instant) -> Bool {
    while isAlive(in: data) {
      guard ContinuousClock.now < deadline else { return false }
      usleep(10_000)
    }
    return true
  }

  /// Ends it: politely to its sessions, then less so.
  ///
  /// Source: PostgreSQL 15 documentation, 19.5 Shutting Down the Server.
  func stop(in data: String, patience: Duration) {
    for (signalNumber, share) in [(SIGINT, 1), (SIGQUIT, 4), (SIGKILL, 1)] {
      signal(signalNumber)
      if awaitExit(in: data, until: .now + patience / share) { return }
    }
  }

  /// The server that runs in this data directory, whoever started it.
  static func running(in data: String) -> Postmaster? {
    guard let first = readText("\(data)/postmaster.pid")?.split(separator: "\n").first,
      let pid = pid_t(first), works(pid, in: data)
    else { return nil }
    return Postmaster(pid: pid, isChild: false)
  }

  /// Removes what a server that was killed has left behind and the next one would stumble over.
  ///
  /// Only for whoever holds the directory's lock, while no server runs in it.
  static func clean(_ data: String, sockets: String) {
    // Its backends end by themselves, unless they are stopped; until then shared memory is taken.
    let patience = ContinuousClock.now + .seconds(1)
    var orphans = workers(in: data)
    while !orphans.isEmpty, ContinuousClock.now < patience {
      usleep(10_000)
      orphans = workers(in: data)
    }
    for orphan in orphans { kill(orphan, SIGKILL) }
    // PostgreSQL sees that a process is gone, but not that its number now belongs to another program.
    for name in list(sockets) where name.hasPrefix(".s.PGSQL.") { unlink("\(sockets)/\(name)") }
    let path = "\(data)/postmaster.pid"
    guard let first = readText(path)?.split(separator: "\n").first, let pid = pid_t(first),
      kill(pid, 0) == 0 || errno == EPERM
    else { return }
    unlink(path)
  }

  /// Every server process works in its data directory.
  private static func works(_ pid: pid_t, in data: String) -> Bool {
    guard let directory = realpath("/proc/\(pid)/cwd", nil), let own = realpath(data, nil) else {
      return false
    }
    defer {
      free(directory)
      free(own)
    }
    return strcmp(directory, own) == 0
      && readText("/proc/\(pid)/comm")?.hasPrefix("postgres") == true
  }

  private static func workers(in data: String) -> [pid_t] {
    list("/proc").compactMap { pid_t($0) }.filter { works($0, in: data) }
  }
}
