import Cryptography
import Glibc
import JSON
import Support
import Testing

extension FaultTests {
  /// The program of `Examples/gateway`, as it is started by `ops/gateways.md`.
  @Suite struct ExampleGateway {
    @Test func `what passes has the provider's key, what is blocked the reason, both are evidence`()
      async throws
    {
      try await FaultRun.with(RunningGateway.settings) { run in
        let admin = TestClient(run.server)
        let project = try await KeyedProject(admin)
        let credential = "sk-example-0123456789"
        let rule = try await prepare(project, credential, admin)
        let upstream = try Upstream()
        async let answering: Void = upstream.run()
        defer { upstream.stop() }
        let program = try await start(run, upstream)
        defer { program.killNow() }
        let client = HTTPClient(port: Int(program.port))

        let passed = try await ask(client, project.key, model: "gpt-4o")
        #expect(passed.status == 200, "\(passed.text)")
        let sent = try #require(upstream.requests.first)
        #expect(sent.lowercased().contains("\r\nauthorization: bearer \(credential)\r\n"))
        #expect(sent.hasSuffix(Self.body(model: "gpt-4o")))
        let blocked = try await ask(client, project.key, model: "o1")
        #expect(blocked.status == 403)
        #expect(blocked["content-type"] == "application/problem+json")
        #expect(try blocked.json["reason"] == .string("model"))
        #expect(try blocked.json["rule_id"] == rule)
        #expect(upstream.requests.count == 1)
        #expect(try await ask(client, "pk_live_none", model: "gpt-4o").status == 401)

        try await expectEvidence(project, rule, admin)
        for text in [program.log, program.output, passed.text, blocked.text] {
          #expect(!text.contains(credential) && !text.contains(project.key))
        }
        program.signal(SIGTERM)
        #expect(try await program.awaitExit(within: .seconds(20)) == 0, "\(program.log)")
      }
    }

    /// - Returns: the id of the rule that denies a model.
    private func prepare(
      _ project: KeyedProject, _ credential: String, _ admin: TestClient
    ) async throws -> JSONValue? {
      _ = try await admin.put(
        "\(project.path)/provider-keys/openai", #"{"key":"\#(credential)"}"#)
      let rule = try await admin.post(
        "\(project.organization)/rules", #"{"provider":"openai","model":"o1","effect":"deny"}"#)
      return try rule.json["id"]
    }

    private func start(_ run: FaultRun, _ upstream: Upstream) async throws -> ServerProcess {
      let credentials = try await GatewayCredentials(TestClient(run.server))
      let port = freePort()
      let program = try ServerProcess(
        program: "example-gateway", port: port, directory: run.directory,
        environment: [
          "SIGNALBOX_URL": "http://127.0.0.1:\(run.server.port)",
          "SIGNALBOX_GATEWAY_TOKEN": credentials.token,
          "SIGNALBOX_API_KEY_PEPPER": Base64URL.encode(credentials.pepper),
          "GATEWAY_NAME": "example", "GATEWAY_SNAPSHOT": "\(run.directory)/example.json",
          "GATEWAY_KEY_ENCRYPTION_KEYS": RunningGateway.settings["SIGNALBOX_PROVIDER_KEYS_KEK"]!,
          "GATEWAY_PORT": "\(port)", "UPSTREAM_URL": "http://127.0.0.1:\(upstream.port)",
        ])
      try await program.start()
      return program
    }

    private func expectEvidence(
      _ project: KeyedProject, _ rule: JSONValue?, _ admin: TestClient
    ) async throws {
      var logs: [JSONValue] = []
      try await eventually("evidence arrives") {
        logs = try await admin.all("\(project.organization)/request-logs")
        return logs.count >= 2
      }
      // Newest first.
      #expect(logs.map { $0["decision"] } == [.string("block"), .string("allow")])
      #expect(logs.map { $0["status"] } == [.integer(403), .integer(200)])
      #expect(logs.map { $0["rule_id"] } == [rule, .null])
      #expect(logs.map { $0["tokens_out"] } == [.null, .integer(5)])
      #expect(logs.map { $0["address"] } == [.string("127.0.0.1"), .string("127.0.0.1")])
    }

    private static func body(model: String) -> String {
      #"{"model":"\#(model)","messages":[{"role":"user","content":"Hello"}]}"#
    }

    private func ask(
      _ client: HTTPClient, _ key: String, model: String
    ) async throws -> HTTPReply {
      try await client.send(
        "POST", "/v1/chat/completions",
        headers: [("Authorization", "Bearer \(key)"), ("Content-Type", "application/json")],
        body: Array(Self.body(model: model).utf8))
    }
  }
}
