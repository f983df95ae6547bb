import ConfigurationFeed
import Gateway
import Glibc
import JSON
import Postgres
import Support
import Synchronization
import Testing

extension FaultTests {
  /// Gateways that have two replicas to go to.
  @Suite struct DataPlaneReplicas {
    @Test func `a replica is killed amid changes, and eight gateways lose none of them`()
      async throws
    {
      try await FaultRun.with(RunningGateway.settings) { run in
        let other = try ServerProcess(
          directory: run.directory, database: run.database.url, settings: RunningGateway.settings)
        defer { other.killNow() }
        try await other.start()
        var random = run.random
        let killsTheOther = Bool.random(using: &random)
        let (victim, survivor) = killsTheOther ? (other, run.server) : (run.server, other)
        try await expectNothingLost(run, victim, survivor)
      }
    }

    private func expectNothingLost(
      _ run: FaultRun, _ victim: ServerProcess, _ survivor: ServerProcess
    ) async throws {
      let ports = [victim.port, survivor.port]
      let admin = TestClient(survivor)
      let project = try await KeyedProject(admin)
      let credentials = try await GatewayCredentials(admin)
      let gateways = try (0..<8).map { index in
        try RunningGateway(
          "edge-\(index)", credentials,
          ports: index.isMultiple(of: 2) ? ports : ports.reversed(), directory: run.directory)
      }
      defer { for gateway in gateways { gateway.cancel() } }
      for gateway in gateways { try await gateway.catchUp(to: 1) }

      let traffic = Traffic(project, gateways)
      let rules = RuleWriter(project, ports: ports)
      let isWritten = await Result {
        try await run.underLoad(ports: ports) { _ in
          try await awaitChanges(gateways, 60)
          victim.killNow()
          try await awaitChanges(gateways, 60)
        }
      }
      let written = await rules.stop()
      let evidence = try await traffic.stop()
      try isWritten.get()
      #expect(written > 5, run.hint)

      let last = try await run.database.count(
        "SELECT max(position) FROM configuration_changes")
      for gateway in gateways { try await gateway.catchUp(to: last) }
      try await expectLive(project, at: last, count: gateways.count, admin)
      #expect(gateways.map(\.client.metrics.snapshots) == [1, 1, 1, 1, 1, 1, 1, 1], run.hint)
      #expect(gateways.allSatisfy { $0.client.metrics.changesRefused == 0 }, run.hint)
      var documents: [ConfigurationDocument] = []
      for gateway in gateways { documents.append(try await gateway.stop()) }
      let fresh = try await admin.with(token: credentials.token).get("/v1/dataplane/snapshot")
      documents.append(try ConfigurationDocument(parsing: fresh.body))
      try await run.expectStored(documents)
      try await project.expectEvidence(evidence, admin)
    }

    /// Waits until every gateway has taken so many more changes.
    private func awaitChanges(_ gateways: [RunningGateway], _ count: Int) async throws {
      let before = gateways.map(\.client.metrics.changesApplied)
      try await eventually("changes arrive at every gateway") {
        zip(gateways, before).allSatisfy { $0.client.metrics.changesApplied >= $1 + count }
      }
    }

    private func expectLive(
      _ project: KeyedProject, at position: Int64, count: Int, _ admin: TestClient
    ) async throws {
      try await eventually("all say that they run it") {
        let path = "\(project.organization)/propagation?position=\(position)"
        let propagation = try await admin.get(path).json
        return propagation["is_live"] == .bool(true)
          && propagation["gateways"]?["live"] == .integer(Int64(count))
      }
    }
  }
}

extension Result where Failure == any Error {
  fileprivate init(_ body: () async throws -> Success) async {
    do { self = .success(try await body()) } catch { self = .failure(error) }
  }
}

/// Requests at every gateway, each with evidence.
private struct Traffic: Sendable {
  private let task: Task<[String], any Error>

  init(_ project: KeyedProject, _ gateways: [RunningGateway]) {
    task = Task {
      var ids: [String] = []
      while !Task.isCancelled {
        for gateway in gateways { ids.append(try gateway.decideAndRecord(project.key)) }
        try? await Task.sleep(for: .milliseconds(40))
      }
      return ids
    }
  }

  /// - Returns: the ids of all records.
  func stop() async throws -> [String] {
    task.cancel()
    return try await task.value
  }
}

/// Changes rules at one replica and the other, until it is told to stop.
private final class RuleWriter: Sendable {
  private let isStopping = Atomic(false)
  private let task = Mutex<Task<Int, Never>?>(nil)

  init(_ project: KeyedProject, ports: [UInt16]) {
    task.withLock {
      $0 = Task { await onThread { self.write(project, ports) } }
    }
  }

  /// - Returns: how many changes were acknowledged.
  func stop() async -> Int {
    isStopping.store(true, ordering: .relaxed)
    return await task.withLock { $0 }?.value ?? 0
  }

  private func write(_ project: KeyedProject, _ ports: [UInt16]) -> Int {
    var (number, acknowledged) = (0, 0)
    while !isStopping.load(ordering: .relaxed) {
      number += 1
      let port = ports[number % ports.count]
      let model = #""provider":"openai","model":"m\#(number)","effect":"deny""#
      let status =
        number.isMultiple(of: 5)
        ? send("PUT", "\(project.path)/rules", #"{"rules":[{\#(model)}]}"#, port)
        : send(
          "POST", "\(project.organization)/rules",
          #"{"project_id":"\#(project.id)",\#(model)}"#, port)
      if let status, 200...201 ~= status { acknowledged += 1 }
    }
    return acknowledged
  }

  /// - Returns: nil when nobody answers.
  private func send(_ method: String, _ path: String, _ body: String, _ port: UInt16) -> Int? {
    do throws(HTTPConnection.Failure) {
      var connection = try HTTPConnection(port: port)
      let head = """
        \(method) \(path) HTTP/1.1\r
        Authorization: Bearer \(ServerProcess.token)\r
        Content-Type: application/json\r
        If-Match: *\r

        """
      return try connection.send(
        head: head, body: Array(body.utf8), patience: Client.deadline
      ).status
    } catch {
      // A replica that was killed.
      breathe()
      return nil
    }
  }
}
