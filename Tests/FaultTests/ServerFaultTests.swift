import Glibc
import Testing

extension FaultTests {
  /// What happens to the server itself.
  @Suite struct ServerFaults {
    /// FAULTS.md row 1.
    @Test func `killed under load, it is ready again within 5 s and has lost nothing`() async throws
    {
      try await FaultRun.with { run in
        try await run.underLoad { _ in
          for _ in 0..<2 {
            try await Task.sleep(for: FaultRun.load(0.5))
            run.server.killNow()
            let duration = try await run.server.start()
            #expect(duration < .seconds(5), run.hint)
          }
          try await Task.sleep(for: FaultRun.load(0.5))
        }
        try await Invariants(run).check()
      }
    }

    @Test func `killed together with its PostgreSQL, it comes back over the stale lock files`()
      async throws
    {
      try await FaultRun.with { run in
        try await run.underLoad { _ in
          try await Task.sleep(for: FaultRun.load(0.5))
          run.server.killNow()
          run.database.killEverything()
          let duration = try await run.server.start()
          #expect(duration < .seconds(10), run.hint)
          try await Task.sleep(for: FaultRun.load(0.5))
        }
        try await Invariants(run).check()
      }
    }

    /// FAULTS.md row 16, without streams.
    @Test func `asked to end under load, it answers what it has begun and exits with 0`()
      async throws
    {
      try await FaultRun.with { run in
        try await run.underLoad { load in
          try await Task.sleep(for: FaultRun.load(0.5))
          run.server.signal(SIGTERM)
          let status = try await run.server.awaitExit(within: .seconds(20))
          #expect(status == 0, run.hint)
          await load.stop()
        }
        #expect(run.database.postmaster == nil, "its PostgreSQL ends with it")
        try await run.server.start()
        try await Invariants(run).checkNothingUnknownWasCarriedOut()
        try await Invariants(run).check()
      }
    }

    @Test func `a second server in the same directory is refused and says who is there`()
      async throws
    {
      try await FaultRun.with { run in
        let second = try ServerProcess(directory: run.directory)
        try second.spawn()
        let status = try await second.awaitExit(within: .seconds(10))
        #expect(status != 0, run.hint)
        #expect(second.log.contains("is in use by process \(run.server.pid)"), "\(second.log)")
        #expect(await run.server.isReady(), run.hint)
      }
    }
  }
}
