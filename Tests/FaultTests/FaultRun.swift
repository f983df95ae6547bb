import ControlPlane
import FoundationEssentials
import Glibc
import Testing

/// One seeded run: a directory, a server with a private PostgreSQL in it, and the ledger of its clients.
struct FaultRun: Sendable {
  let seed: UInt64
  let ledger = Ledger()
  let directory: String
  let server: ServerProcess
  let database: PrivateDatabase

  /// How long writers write before and after a fault: SIGNALBOX_FAULT_SECONDS.
  static let seconds = variable("SIGNALBOX_FAULT_SECONDS").flatMap { Double($0) } ?? 1.5

  /// A part of the time that writers get.
  static func load(_ share: Double = 1) -> Duration { .seconds(seconds * share) }

  /// Says which seed failed, and how to have it again.
  var hint: Comment {
    "seed \(seed): SIGNALBOX_FAULT_SEED=\(seed) swift test --filter FaultTests"
  }

  /// A generator for the run's own choices, apart from those of its writers.
  var random: SeededGenerator { SeededGenerator(seed: seed ^ 0x5eed) }

  /// Runs a body with a server that is ready, and ends every process whatever happens. At the end the database must hold
  /// what `signalbox verify` checks.
  ///
  /// - Parameters:
  ///   - settings: the server's environment variables beside the usual ones.
  ///   - isTampered: whether the run itself leaves a database in which something does not hold.
  ///   - openFiles: how many descriptors the server may have; nil for as many as this process.
  static func with(
    _ settings: [String: String] = [:], isTampered: Bool = false, openFiles: Int? = nil,
    _ body: (FaultRun) async throws -> Void
  ) async throws {
    let seed = variable("SIGNALBOX_FAULT_SEED").flatMap { UInt64($0) } ?? .random(in: 1..<1_000_000)
    let directory = "/tmp/signalbox-faults-\(getpid())-\(seed)"
    let run = FaultRun(
      seed: seed, directory: directory,
      server: try ServerProcess(directory: directory, settings: settings, openFiles: openFiles),
      database: PrivateDatabase(directory: "\(directory)/server"))
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let result: Result<Void, any Error>
    do {
      try copy(try await template.value, to: "\(directory)/server")
      try await run.server.start()
      try await body(run)
      run.server.killNow()
      if !isTampered { try await run.verify() }
      result = .success(())
    } catch {
      result = .failure(error)
    }
    run.server.killNow()
    run.database.killEverything()
    if case .failure(let error) = result {
      Issue.record(error, run.hint)
    }
    try FileManager.default.removeItem(atPath: directory)
  }

  /// What the log promises holds, whatever happened. A database that the run has ended is started for it.
  private func verify() async throws {
    guard database.postmaster != nil else {
      let command = try ServerProcess(["verify"], directory: directory)
      try command.spawn()
      let status = try await command.awaitExit(within: .seconds(60))
      #expect(status == 0, "\(hint): \(command.output)\(command.log)")
      return
    }
    let report = try await database.withSession(within: .seconds(60)) { session in
      try Verification().run(session, deadline: .now + .seconds(60))
    }
    #expect(report.findings.isEmpty, "\(hint): \(report.findings.map(\.line))")
    #expect(report.events == report.position, hint)
  }

  /// A data directory as a server leaves it after its first start, made once for all runs: to make
  /// one takes longer than many a run.
  private static let template = Task {
    let directory = "/tmp/signalbox-faults-\(getpid())-template"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    atexit { _ = system("rm -rf /tmp/signalbox-faults-\(getpid())-template") }
    let server = try ServerProcess(directory: directory)
    try await server.start()
    server.signal(SIGTERM)
    let status = try await server.awaitExit(within: .seconds(20))
    try #require(status == 0)
    return "\(directory)/server"
  }

  /// With owners and permissions: PostgreSQL refuses data that others could touch.
  private static func copy(_ directory: String, to other: String) throws {
    try #require(system("cp -a '\(directory)' '\(other)'") == 0)
  }

  /// Writers on these replicas, for as long as the body runs.
  func underLoad(
    ports: [UInt16]? = nil, _ body: (Load) async throws -> Void
  ) async throws {
    let load = Load(self, ports: ports ?? [server.port])
    let result: Result<Void, any Error>
    do { result = .success(try await body(load)) } catch { result = .failure(error) }
    await load.stop()
    try result.get()
  }

  /// Waits until a change is acknowledged that was asked for from now on.
  ///
  /// - Returns: how long that took.
  func recovery(within patience: Duration) async throws -> Duration {
    let start = ContinuousClock.now
    while ContinuousClock.now - start < patience {
      if ledger.acknowledgements(since: start) > 0 { return .now - start }
      try await Task.sleep(for: .milliseconds(10))
    }
    return .now - start
  }

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }
}
