import Glibc
import Postgres
import Testing

extension FaultTests {
  /// What happens to the database underneath a server that stays. FAULTS.md rows 2 and 3.
  @Suite struct DatabaseFaults {
    @Test func `killed and terminated backends cost nobody more than a retry`() async throws {
      try await FaultRun.with { run in
        var random = run.random
        try await run.underLoad { _ in
          try await Task.sleep(for: FaultRun.load(0.3))
          let end = ContinuousClock.now + FaultRun.load()
          while ContinuousClock.now < end {
            let sessions = try await run.database.sessions()
            guard let victim = sessions.randomElement(using: &random) else { continue }
            _ = try await run.database.rows("SELECT pg_terminate_backend(\(victim.pid))")
            try await Task.sleep(for: .milliseconds(.random(in: 50...250, using: &random)))
          }
          try await expectRecovery(run)
          let writer = try await run.database.sessions().first { $0.purpose.hasSuffix("writer") }
          kill(try #require(writer).pid, SIGKILL)
          try await expectRecovery(run)
        }
        try await Invariants(run).check()
        try await expectNoLeak(run)
      }
    }

    @Test func `a killed postmaster is back within 10 s without a restart of the server`()
      async throws
    {
      try await FaultRun.with { run in
        try await run.underLoad { _ in
          for _ in 0..<2 {
            try await Task.sleep(for: FaultRun.load(0.3))
            kill(try #require(run.database.postmaster), SIGKILL)
            try await expectRecovery(run)
          }
          try await Task.sleep(for: FaultRun.load(0.3))
        }
        try await Invariants(run).check()
        try await expectNoLeak(run)
      }
    }

    @Test func `while the writing backend is stopped, every caller is answered by the deadline`()
      async throws
    {
      try await FaultRun.with { run in
        try await run.underLoad { _ in
          try await Task.sleep(for: FaultRun.load(0.3))
          let writer = try await stopWriterInTransaction(run)
          try await Task.sleep(for: .seconds(10))
          kill(writer, SIGCONT)
          try await expectRecovery(run)
          try await Task.sleep(for: FaultRun.load(0.3))
        }
        #expect(run.ledger.longest < Client.deadline, run.hint)
        try await Invariants(run).check()
        try await expectNoLeak(run)
      }
    }

    /// Stops the writing backend at the worst moment: while it holds the lock on the head of the log.
    private func stopWriterInTransaction(_ run: FaultRun) async throws -> pid_t {
      while true {
        let sessions = try await run.database.sessions()
        let writer = try #require(sessions.first { $0.purpose.hasSuffix("writer") }).pid
        kill(writer, SIGSTOP)
        let isWriting = try await run.database.rows(
          "SELECT backend_xid IS NOT NULL FROM pg_stat_activity WHERE pid = \(writer)")
        if let row = isWriting.first, try row.decode(Bool.self) { return writer }
        kill(writer, SIGCONT)
        try await Task.sleep(for: .milliseconds(5))
      }
    }

    private func expectRecovery(_ run: FaultRun) async throws {
      // What was on its way when the fault struck may still be acknowledged.
      try await Task.sleep(for: .milliseconds(300))
      let duration = try await run.recovery(within: .seconds(15))
      #expect(duration < .seconds(10), run.hint)
    }

    /// Every purpose has one session, as before.
    private func expectNoLeak(_ run: FaultRun) async throws {
      let purposes = try await run.database.sessions().map(\.purpose)
      #expect(purposes.count == Set(purposes).count, "\(run.hint) \(purposes)")
    }
  }
}
