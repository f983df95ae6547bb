import FoundationEssentials
import Gateway
import Glibc
import Support
import Testing

extension FaultTests {
  /// A server that starts while its database is away.
  @Suite struct DegradedStart {
    @Test func `gateways are served from what was saved, and go on when the database is back`()
      async throws
    {
      try await FaultRun.with(RunningGateway.settings) { run in
        let replica = try Replica(run)
        defer { replica.server.killNow() }
        try await replica.server.start()
        let project = try await KeyedProject(replica.admin)
        let credentials = try await GatewayCredentials(replica.admin)
        let old = try RunningGateway(
          "old", credentials, ports: [replica.server.port], directory: run.directory)
        defer { old.cancel() }
        try await old.catchUp(to: 1)
        try await eventually("knows the key") { try old.decide(project.key).isAllowed }
        try await replica.stop()
        try expectNoSecrets(replica, credentials, project)
        // What happens now the replica does not hear of.
        let rule = try await TestClient(run.server).post(
          "\(project.organization)/rules",
          #"{"project_id":"\#(project.id)","provider":"openai","model":"o3","effect":"deny"}"#)
        try await stopDatabase(run)
        try replica.server.spawn()
        try await expectDegraded(replica, credentials)
        let new = try RunningGateway(
          "new", credentials, ports: [replica.server.port], directory: run.directory)
        defer { new.cancel() }
        for gateway in [old, new] {
          try await eventually("is connected") { gateway.client.status.isConnected }
          #expect(gateway.client.status.isStale)
          #expect(try gateway.decide(project.key).isAllowed)
        }
        let connections = [old, new].map { $0.client.metrics.connections }
        try await run.server.start()
        try await eventually("is ready", within: .seconds(40)) { await replica.server.isReady() }
        for gateway in [old, new] {
          try await gateway.catchUp(to: rule.position)
          #expect(try gateway.decide(project.key, model: "o3").reason == .model)
        }
        let position = try await project.stopTraffic(replica.admin)
        try await project.expectStopped([old, new], position)
        #expect([old, new].map { $0.client.metrics.snapshots } == [1, 1], "nobody began anew")
        #expect([old, new].map { $0.client.metrics.connections } == connections)
        let reply = try await replica.gateway(credentials).get("/v1/dataplane/snapshot")
        #expect(reply["signalbox-stale"] == nil)
        try await run.expectStored([old.stop(), new.stop()])
        try await replica.stop()
      }
    }

    @Test func `without a file, or with one that is damaged, it waits for the database`()
      async throws
    {
      try await FaultRun.with { run in
        let replica = try Replica(run)
        defer { replica.server.killNow() }
        try await replica.server.start()
        let credentials = try await GatewayCredentials(replica.admin)
        _ = try await replica.gateway(credentials).get("/v1/dataplane/snapshot")
        try await replica.stop()
        try await stopDatabase(run)
        for damage in ["truncate -s 100 ", "rm "] {
          #expect(system("\(damage)'\(replica.file)'") == 0)
          try replica.server.spawn()
          try await eventually("answers") { await replica.isAlive() }
          #expect(await !replica.server.isReady())
          let reply = try await replica.gateway(credentials).get("/v1/dataplane/snapshot")
          #expect(reply.status == 503)
          #expect(reply["retry-after"] != nil)
          try await replica.stop()
        }
        #expect(replica.server.log.contains("the saved configuration is not used"))
        #expect(replica.server.log.contains("the database does not answer: waiting for it"))
        try replica.server.spawn()
        try await run.server.start()
        try await eventually("is ready", within: .seconds(40)) { await replica.server.isReady() }
        let reply = try await replica.gateway(credentials).get("/v1/dataplane/snapshot")
        #expect(reply.status == 200)
        try await replica.stop()
      }
    }

    @Test func `a database or a role that the server does not have ends the start at once`()
      async throws
    {
      try await FaultRun.with { run in
        for (good, wrong) in [
          ("dbname=signalbox", "dbname=nowhere"), ("user=signalbox", "user=nobody"),
        ] {
          let url = run.database.url.replacing(good, with: wrong)
          let server = try ServerProcess(directory: run.directory, database: url)
          defer { server.killNow() }
          try server.spawn()
          #expect(try await server.awaitExit(within: .seconds(10)) == 1, "\(server.log)")
        }
      }
    }

    // MARK: One after the other

    /// Nothing that opens anything is on disk.
    private func expectNoSecrets(
      _ replica: Replica, _ credentials: GatewayCredentials, _ project: KeyedProject
    ) throws {
      let saved = try String(contentsOfFile: replica.file, encoding: .utf8)
      #expect(saved.contains(project.id))
      #expect(!saved.contains(credentials.token))
      #expect(!saved.contains(project.key))
      #expect(!saved.contains(ServerProcess.token))
      let attributes = try FileManager.default.attributesOfItem(atPath: replica.file)
      #expect((attributes[.posixPermissions] as? Int) == 0o600)
    }

    private func stopDatabase(_ run: FaultRun) async throws {
      run.server.signal(SIGTERM)
      #expect(try await run.server.awaitExit(within: .seconds(20)) == 0)
    }

    private func expectDegraded(
      _ replica: Replica, _ credentials: GatewayCredentials
    ) async throws {
      try await eventually("answers") { await replica.isAlive() }
      #expect(await !replica.server.isReady())
      let gateway = replica.gateway(credentials)
      let start = ContinuousClock.now
      let snapshot = try await gateway.get("/v1/dataplane/snapshot")
      #expect(snapshot.status == 200)
      #expect(snapshot["signalbox-stale"] == "true")
      #expect(.now - start < .seconds(1))
      let ack = try await gateway.post("/v1/dataplane/ack", #"{"gateway":"a","position":1}"#)
      let replies = [
        ack, try await replica.admin.get("/v1/me"),
        try await replica.admin.post("/v1/organizations", #"{"name":"Acme"}"#),
        try await gateway.with(token: "\(credentials.token)x").get("/v1/dataplane/snapshot"),
        try await gateway.post("/v1/dataplane/request-logs", "[]"),
      ]
      for reply in replies {
        #expect(reply.status == 503, "\(reply.text)")
        #expect(reply["retry-after"] != nil)
      }
      #expect(try await gateway.with(token: nil).get("/v1/dataplane/snapshot").status == 401)
    }
  }
}

/// A second server on the database of a run's own, with a directory to save in.
private struct Replica {
  let server: ServerProcess
  let file: String

  init(_ run: FaultRun) throws {
    let directory = "\(run.directory)/replica"
    server = try ServerProcess(
      directory: run.directory, database: run.database.url,
      settings: RunningGateway.settings.merging(["SIGNALBOX_DATA_DIR": directory]) { $1 })
    file = "\(directory)/dataplane.saved"
  }

  var admin: TestClient { TestClient(server) }

  func gateway(_ credentials: GatewayCredentials) -> TestClient {
    admin.with(token: credentials.token)
  }

  func isAlive() async -> Bool {
    (try? await admin.get("/livez").status) == 200
  }

  /// Ends it in good order, having saved what there is to save.
  func stop() async throws {
    server.signal(SIGTERM)
    #expect(try await server.awaitExit(within: .seconds(20)) == 0)
  }
}
