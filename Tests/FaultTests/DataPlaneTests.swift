import ControlPlane
import Domain
import FoundationEssentials
import Gateway
import Glibc
import JSON
import Support
import Testing

extension FaultTests {
  /// The control plane and gateways made of the library, together.
  @Suite struct DataPlane {
    @Test func `what is changed over HTTP is what a gateway decides by moments later`()
      async throws
    {
      try await FaultRun.with(RunningGateway.settings) { run in
        let admin = TestClient(run.server)
        let project = try await KeyedProject(admin)
        let credentials = try await GatewayCredentials(admin)
        let gateway = try RunningGateway(
          "edge", credentials, ports: [run.server.port], directory: run.directory)
        defer { gateway.cancel() }
        try await expectKeys(project, gateway, admin)
        try await expectControls(project, gateway, admin)
        try await expectSameDecisions(project, gateway, admin, run)
        try await expectEvidence(project, gateway, admin)
        try await expectRevocation(project, gateway, admin)
        try await gateway.stop()
      }
    }

    @Test func `the database is away: gateways go on, say so, new ones begin, and all recover`()
      async throws
    {
      try await FaultRun.with(RunningGateway.settings) { run in
        let admin = TestClient(run.server)
        let project = try await KeyedProject(admin)
        let credentials = try await GatewayCredentials(admin)
        let old = try RunningGateway(
          "old", credentials, ports: [run.server.port], directory: run.directory)
        defer { old.cancel() }
        try await eventually("knows the key") { try old.decide(project.key).isAllowed }
        try await old.catchUp(to: 1)
        run.database.signalEverything(SIGSTOP)
        try await eventually("says that it is stale") { old.client.status.isStale }
        #expect(old.client.status.isConnected)
        #expect(try old.decide(project.key).isAllowed)
        let gateway = TestClient(run.server).with(token: credentials.token)
        try await expectPromptness(gateway)
        let new = try RunningGateway(
          "new", credentials, ports: [run.server.port], directory: run.directory)
        defer { new.cancel() }
        try await eventually("has begun") { try new.decide(project.key).isAllowed }
        try await eventually("is connected") { new.client.status.isConnected }
        #expect(new.client.status.isStale)
        let evidence = [
          try old.decideAndRecord(project.key), try new.decideAndRecord(project.key),
        ]
        run.database.signalEverything(SIGCONT)
        let position = try await project.stopTraffic(admin)
        try await project.expectStopped([old, new], position)
        try await project.expectEvidence(evidence, admin)
        #expect(try await gateway.get("/v1/dataplane/snapshot")["signalbox-stale"] == nil)
        #expect(old.client.metrics.snapshots == 1, "it went on where it was")
        try await run.expectStored([old.stop(), new.stop()])
      }
    }

    @Test func `the postmaster is killed: gateways go on, stay connected, and hear what follows`()
      async throws
    {
      try await FaultRun.with(RunningGateway.settings) { run in
        let admin = TestClient(run.server)
        let project = try await KeyedProject(admin)
        let credentials = try await GatewayCredentials(admin)
        let gateways = try ["one", "other"].map {
          try RunningGateway($0, credentials, ports: [run.server.port], directory: run.directory)
        }
        defer { for gateway in gateways { gateway.cancel() } }
        for gateway in gateways {
          try await eventually("knows the key") { try gateway.decide(project.key).isAllowed }
          try await gateway.catchUp(to: 1)
        }
        let connections = gateways.map { $0.client.metrics.connections }
        for _ in 0..<2 {
          kill(try #require(run.database.postmaster), SIGKILL)
          for gateway in gateways { #expect(try gateway.decide(project.key).isAllowed) }
          let position = try await project.stopTraffic(admin)
          try await project.expectStopped(gateways, position)
          let off = try await admin.put("\(project.path)/panic-mode", #"{"enabled":false}"#)
          for gateway in gateways {
            try await gateway.catchUp(to: off.position)
            #expect(try gateway.decide(project.key).isAllowed)
          }
        }
        #expect(gateways.map { $0.client.metrics.snapshots } == [1, 1])
        #expect(gateways.map { $0.client.metrics.connections } == connections, "nobody was cut off")
        try await run.expectStored([gateways[0].stop(), gateways[1].stop()])
      }
    }

    @Test func `the server is away: a new gateway begins with its file, and catches up`()
      async throws
    {
      try await FaultRun.with(RunningGateway.settings) { run in
        let admin = TestClient(run.server)
        let project = try await KeyedProject(admin)
        let credentials = try await GatewayCredentials(admin)
        let first = try RunningGateway(
          "edge", credentials, ports: [run.server.port], directory: run.directory)
        try await eventually("knows the key") { try first.decide(project.key).isAllowed }
        try await first.stop()
        let reply = try await admin.put("\(project.path)/panic-mode", #"{"enabled":true}"#)
        run.server.signal(SIGTERM)
        #expect(try await run.server.awaitExit(within: .seconds(20)) == 0)
        let second = try RunningGateway(
          "edge", credentials, ports: [run.server.port], directory: run.directory)
        defer { second.cancel() }
        try await eventually("serves from its file") { try second.decide(project.key).isAllowed }
        try await eventually("says why it is stale") { second.client.status.lastError != nil }
        #expect(second.client.status.isStale)
        let evidence = try second.decideAndRecord(project.key)
        try await run.server.start()
        try await project.expectStopped([second], try reply.position)
        #expect(second.client.status.lastError == nil)
        #expect(second.client.metrics.snapshots == 0, "the changes were enough")
        try await project.expectEvidence([evidence], TestClient(run.server))
        try await run.expectStored([second.stop()])
      }
    }

    // MARK: One after the other

    /// A gateway that the server knows is not kept waiting for a database that is known to be away.
    private func expectPromptness(_ gateway: TestClient) async throws {
      var fastest = Duration.seconds(60)
      for _ in 0..<5 {
        let start = ContinuousClock.now
        let reply = try await gateway.get("/v1/dataplane/snapshot")
        let duration = ContinuousClock.now - start
        #expect(reply["signalbox-stale"] == "true", "\(reply.text)")
        #expect(duration < .seconds(1))
        fastest = min(fastest, duration)
      }
      #expect(fastest < .milliseconds(100))
    }

    private func expectKeys(
      _ project: KeyedProject, _ gateway: RunningGateway, _ admin: TestClient
    ) async throws {
      try await eventually("knows the key") {
        gateway.client.verify(key: project.key).key?.projectID == project.id
      }
      let key = try #require(gateway.client.verify(key: project.key).key)
      #expect(throws: GatewayClient.ProviderKeyFailure.absent) {
        try gateway.client.providerKey(of: key, provider: "openai")
      }
      let credential = "sk-end-to-end-0123456789"
      let reply = try await admin.put(
        "\(project.path)/provider-keys/openai", #"{"key":"\#(credential)"}"#)
      try await gateway.catchUp(to: reply.position)
      #expect(try gateway.client.providerKey(of: key, provider: "openai") == credential)
      // A second key, while the first goes on.
      let made = try await admin.post("\(project.path)/api-keys", #"{"name":"Other"}"#)
      try await gateway.catchUp(to: made.position)
      let other = try #require(try made.json["token"]?.string)
      #expect(gateway.client.verify(key: other).key?.projectID == project.id)
      #expect(gateway.client.verify(key: project.key).key != nil)
    }

    private func expectControls(
      _ project: KeyedProject, _ gateway: RunningGateway, _ admin: TestClient
    ) async throws {
      #expect(try gateway.decide(project.key).reason == nil)
      let rule = try await admin.post(
        "\(project.organization)/rules",
        #"{"project_id":"\#(project.id)","provider":"openai","model":"gpt-4*","effect":"deny"}"#)
      try await gateway.catchUp(to: rule.position)
      let decision = try gateway.decide(project.key)
      #expect(!decision.isAllowed)
      #expect(decision.reason == .model)
      #expect(try decision.ruleID == rule.json["id"]?.string)
      #expect(try gateway.decide(project.key, model: "o3").isAllowed)
      let on = try await admin.put("\(project.path)/panic-mode", #"{"enabled":true}"#)
      try await gateway.catchUp(to: on.position)
      #expect(try gateway.decide(project.key, model: "o3").reason == .panicMode)
      #expect(try gateway.decide(project.key, model: "o3").position == on.position)
      try await eventually("is live") {
        let path = "\(project.organization)/propagation?position=\(try on.position)"
        let propagation = try await admin.get(path).json
        return propagation["is_live"] == .bool(true)
          && propagation["gateways"]?["live"] == .integer(1)
      }
      let off = try await admin.put("\(project.path)/panic-mode", #"{"enabled":false}"#)
      try await gateway.catchUp(to: off.position)
      #expect(try gateway.decide(project.key, model: "o3").isAllowed)
    }

    private func expectEvidence(
      _ project: KeyedProject, _ gateway: RunningGateway, _ admin: TestClient
    ) async throws {
      var expected: [String] = []
      for _ in 0..<250 { expected.append(try gateway.decideAndRecord(project.key)) }
      try await project.expectEvidence(expected, admin)
      #expect(gateway.client.metrics.evidenceDelivered == expected.count)
      #expect(gateway.client.metrics.evidenceRefused == 0)
    }

    private func expectRevocation(
      _ project: KeyedProject, _ gateway: RunningGateway, _ admin: TestClient
    ) async throws {
      let reply = try await admin.send("DELETE", project.keyPath)
      try await gateway.catchUp(to: reply.position)
      #expect(gateway.client.verify(key: project.key) == .unknown)
      #expect(try gateway.decide(project.key).reason == .key)
    }

    // MARK: Alike

    /// Rules of all kinds, and requests that meet them or miss them.
    private func expectSameDecisions(
      _ project: KeyedProject, _ gateway: RunningGateway, _ admin: TestClient, _ run: FaultRun
    ) async throws {
      var position: Int64 = 0
      for rule in DecisionSample.rules {
        let inside = rule.isOfProject ? #""project_id":"\#(project.id)","# : ""
        let reply = try await admin.post(
          "\(project.organization)/rules", "{\(inside)\(rule.members)}")
        position = try reply.position
      }
      let until = Timestamp(clamping: Timestamp.now.microseconds + 3_600_000_000)
      _ = try await admin.patch(project.path, #"{"max_tokens":1000}"#)
      position = try await admin.put(
        "\(project.path)/panic-mode", #"{"enabled":true,"until":"\#(until.rfc3339)"}"#
      ).position
      try await gateway.catchUp(to: position)
      var random = run.random
      var reasons: Set<GatewayDecision.Reason?> = []
      for _ in 0..<60 {
        let sample = DecisionSample(around: until, using: &random)
        let reply = try await admin.post("\(project.path)/rules:evaluate", sample.body)
        let decision = gateway.client.evaluate(
          try #require(sample.request(gateway.client.verify(key: project.key))))
        let explained = try reply.json
        let hint: Comment = "\(run.hint) \(sample.body) \(reply.text)"
        #expect((explained["decision"]?.string == "allow") == decision.isAllowed, hint)
        #expect(explained["reason"]?.string == decision.reason?.rawValue, hint)
        #expect(explained["rule_id"]?.string == decision.ruleID, hint)
        reasons.insert(decision.reason)
      }
      #expect(reasons.count >= 4, "\(run.hint) \(reasons)")
      _ = try await admin.put("\(project.path)/panic-mode", #"{"enabled":false}"#)
    }
  }
}
