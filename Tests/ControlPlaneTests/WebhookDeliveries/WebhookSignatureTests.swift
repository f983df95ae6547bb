import FoundationEssentials
import JSON
import Support
import Testing

@testable import ControlPlane

/// What we sign is what the official library of Standard Webhooks verifies.
@Suite struct WebhookSignatureTests {
  @Test func `a known message has the known signature`() {
    let secret: [UInt8] = Array("This is the example of a secret!".utf8)
    let header = WebhookSignature.header(
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330,
      body: Array(#"{"test": 2432232314}"#.utf8), secrets: [secret])
    // Made by Python's hmac and base64.
    #expect(header == "v1,Lk+VOQmAdO+GbTiHSoMY+LmtXUNmcaY9lmu438LyHr4=")
    #expect(
      WebhookSignature.text(ofSecret: secret)
        == "whsec_VGhpcyBpcyB0aGUgZXhhbXBsZSBvZiBhIHNlY3JldCE=")
  }

  @Test func `the official library verifies what is delivered, by either secret while both sign`()
    async throws
  {
    try await TestControlPlane.withOpenWebhooks { planes in
      let client = planes[0].client
      let receiver = try await WebhookReceiver.start()
      let endpoint = try await client.makeWebhookEndpoint(receiver.url(), types: ["project.*"])
      _ = try await client.makeProject(in: endpoint.organization, "Zürich \\\"🚂\\\"")
      #expect(try await receiver.wait { $0.count == 1 })
      let rotated = try await client.post(
        "\(endpoint.path):rotate-secret", #"{"overlap_seconds":60}"#)
      let second = try #require(rotated.json["secret"]?.string)
      _ = try await client.makeProject(in: endpoint.organization, "Both")
      #expect(try await receiver.wait { $0.count == 2 })
      let last = try await client.post(
        "\(endpoint.path):rotate-secret", #"{"overlap_seconds":0}"#)
      let third = try #require(last.json["secret"]?.string)
      _ = try await client.makeProject(in: endpoint.organization, "One")
      #expect(try await receiver.wait { $0.count == 3 })

      let expected: [[Bool]] = [
        [true, false, false], [true, true, false], [false, false, true],
      ]
      for (message, isGood) in zip(receiver.messages, expected) {
        let found = [endpoint.secret, second, third].map { Self.verified(message, by: $0) }
        #expect(found.map { $0 != nil } == isGood, "\(message["webhook-signature"] ?? "")")
        let content = try JSONValue.parse(message.body)
        let id = content["data"]?["event_id"]?.string ?? ""
        #expect(found.contains("\(id) project.created\n"))
      }
      var forged = receiver.messages[2]
      forged = WebhookReceiver.Message(
        path: forged.path, headers: forged.headers, body: forged.body + [0x20], at: forged.at)
      #expect(Self.verified(forged, by: third) == nil)
    }
  }

  @Test func `the former secret signs until its overlap is over, and not a delivery more`()
    async throws
  {
    try await TestControlPlane.withOpenWebhooks { planes in
      let client = planes[0].client
      let receiver = try await WebhookReceiver.start()
      let endpoint = try await client.makeWebhookEndpoint(receiver.url(), types: ["project.*"])
      let rotated = try await client.post(
        "\(endpoint.path):rotate-secret", #"{"overlap_seconds":3}"#)
      #expect(rotated.status == 200, "\(rotated.text)")
      _ = try await client.makeProject(in: endpoint.organization, "Both")
      #expect(try await receiver.wait { $0.count == 1 })
      try await Task.sleep(for: .milliseconds(3100))
      _ = try await client.makeProject(in: endpoint.organization, "One")
      #expect(try await receiver.wait { $0.count == 2 })
      let signatures = receiver.messages.map {
        ($0["webhook-signature"] ?? "").split(separator: " ").count
      }
      #expect(signatures == [2, 1])
    }
  }

  /// What `ops/verify_webhook.py` says; nil when it refuses.
  private static func verified(
    _ message: WebhookReceiver.Message, by secret: String
  ) -> String? {
    var headers = JSONObject()
    for (name, value) in message.headers { headers.set(key: name.lowercased(), value) }
    var file = JSONObject()
    file.set("secret", secret)
    file.set("headers", headers)
    file.set("body", message.text)
    let path = "\(FileManager.default.temporaryDirectory.path)/webhook-\(UUID()).json"
    defer { try? FileManager.default.removeItem(atPath: path) }
    guard FileManager.default.createFile(atPath: path, contents: Data(file.bytes())) else {
      return nil
    }
    return try? Program.run(
      "\(Repository.root)/.build/contract/bin/python",
      ["\(Repository.root)/ops/verify_webhook.py", path])
  }
}

extension TestControlPlane {
  /// Replicas whose webhooks may go to this machine.
  static func withOpenWebhooks<Value: Sendable>(
    replicas: Int = 1, timeLimit: Duration = .seconds(2), resolver: (any HostResolver)? = nil,
    _ body: ([TestControlPlane]) async throws -> Value
  ) async throws -> Value {
    try await with(replicas: replicas) { configuration in
      configuration.webhooks.targets = TargetPolicy(allowsPrivate: true)
      configuration.webhooks.timeLimit = timeLimit
      if let resolver { configuration.webhooks.resolver = resolver }
    } _: {
      try await body($0)
    }
  }
}
