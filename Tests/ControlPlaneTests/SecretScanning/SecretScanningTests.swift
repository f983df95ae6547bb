import Cryptography
import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

/// `POST /v1/secret-scanning/github`, with a stand-in for GitHub that publishes keys and signs with them.
@Suite struct SecretScanningTests {
  static let path = "/v1/secret-scanning/github"

  /// A server that believes the stand-in, and whoever is needed beside it.
  static func with(
    _ configure: @escaping @Sendable (inout ControlPlane.Configuration) -> Void = { _ in },
    _ body: @escaping @Sendable (TestControlPlane, Signer, KeyServer) async throws -> Void
  ) async throws {
    let signer = Signer()
    let server = try await KeyServer(publishing: [signer])
    let scanning = try SecretScanning(keysURL: server.url)
    try await TestControlPlane.with({
      $0.secretScanning = scanning
      configure(&$0)
    }) { planes in
      try await body(planes[0], signer, server)
    }
    try await server.stop()
  }

  static func makeKey(
    _ client: TestClient, environment: String = "live"
  ) async throws -> (path: String, key: String) {
    let (_, project) = try await APIKeyOutcomeTests.project(of: client, environment: environment)
    let made = try await client.post("\(project)/api-keys", #"{"name":"A"}"#)
    return (
      try #require(made["location"]), try #require(made.json["token"]?.string, "\(made.text)")
    )
  }

  static func alert(_ token: String) -> String {
    #"{"token":"\#(token)","type":"signalbox_key","url":"\#(url)","source":"content"}"#
  }
  static let url = "https://github.com/o/r/blob/main/f.txt"

  // MARK: Accepted

  @Test(arguments: ["live", "test"])
  func `a key that leaked is revoked, and a second delivery changes nothing`(
    environment: String
  ) async throws {
    try await Self.with { plane, signer, server in
      let client = plane.client
      let (path, key) = try await Self.makeKey(client, environment: environment)
      let bystander = try await Self.makeKey(client)
      let body = "[\(Self.alert(key))]"
      let reply = try await client.report(body, by: signer)
      #expect(reply.status == 200, "\(reply.text)")
      #expect(
        try reply.json
          == .array([
            .object([
              "token_hash": .string(SHA256.hash(Array(key.utf8)).hexString),
              "token_type": .string("signalbox_key"), "label": .string("true_positive"),
            ])
          ]))
      let revoked = try await client.get(path)
      #expect(try revoked.json["revoked_at"]?.string != nil)
      #expect(
        try revoked.json["revoked_reason"]?.string
          == "Found publicly by GitHub secret scanning: \(Self.url)")
      #expect(try await client.get(bystander.path).json["revoked_at"] == .null)
      let organization = path.split(separator: "/").prefix(3).joined(separator: "/")
      let audit = try await client.get("/\(organization)/audit-events?action=api_key.revoked")
      let entry = try #require(try audit.json["data"]?.array?.first)
      #expect(entry["actor"] == .object(["kind": .string("system"), "id": .null]))

      let again = try await client.report(body, by: signer)
      #expect(again.status == 200)
      #expect(again.body == reply.body)
      #expect(try await client.get(path).body == revoked.body)
      #expect(server.requests == 1)
      for text in [reply.text, revoked.text, audit.text] { #expect(!text.contains(key)) }
    }
  }

  @Test func `tokens of all kinds and workspaces are taken away in one delivery`() async throws {
    try await Self.with { plane, signer, _ in
      let ada = try await plane.makeUser().client
      let organization = try await ada.makeOrganization()
      let soon = Timestamp.now.advanced(by: 86_400_000_000).rfc3339
      let made = try await ada.post(
        "\(organization)/service-tokens",
        #"{"name":"CI","role":"viewer","expires_at":"\#(soon)"}"#)
      let service = try #require(made.json["token"]?.string)
      let former = try await ada.post(
        "\(organization)/service-tokens",
        #"{"name":"Old","role":"viewer","expires_at":"\#(soon)"}"#)
      let rotated = try await ada.post(
        "\(organization)/service-tokens/\(former.json["id"]?.string ?? "")/rotate",
        #"{"grace_seconds":3600}"#)
      let personal = try #require(
        try await ada.post("/v1/me/tokens", #"{"name":"A"}"#).json["token"]?.string)
      let key = try await Self.makeKey(plane.client)
      let unknown = TokenFormat.apiKey(.live).generate()
      let tokens = try [
        service, personal, key.key, unknown, "sbx_nonsense", "ghp_somebody else's",
        #require(former.json["token"]?.string), key.key,
      ]
      let body = "[\(tokens.map { Self.alert($0) }.joined(separator: ","))]"
      let labels = try await [
        plane.client.report(body, by: signer), plane.client.report(body, by: signer),
      ].map { try $0.json.array?.map { $0["label"]?.string } }
      let expected = [true, true, true, false, false, false, true, true].map {
        $0 ? "true_positive" : "false_positive"
      }
      #expect(labels == [expected, expected])
      for token in try [service, personal, #require(rotated.json["token"]?.string)] {
        #expect(try await ada.with(token: token).get("/v1/organizations").status == 401)
      }
      #expect(try await ada.get("/v1/me").status == 200)
      #expect(try await plane.client.get(key.path).json["revoked_at"] != .null)
      try await plane.database.withApplicationSession { session throws in
        let differences = try Rebuild.differences(session, deadline: .soon)
        #expect(differences == [])
      }
    }
  }

  @Test func `a leaked key is revoked in an archived project, the one in its place is not`()
    async throws
  {
    try await Self.with { plane, signer, _ in
      let client = plane.client
      let (path, key) = try await Self.makeKey(client)
      let rotated = try await client.post("\(path):rotate", #"{"grace_seconds":3600}"#)
      let next = "\(path.prefix(path.count - 30))\(try rotated.json["id"]?.string ?? "")"
      let project = path.split(separator: "/").prefix(5).joined(separator: "/")
      #expect(
        try await client.post("/\(project)/archive", headers: ["If-Match": "*"]).status == 200)
      let reply = try await client.report("[\(Self.alert(key))]", by: signer)
      #expect(try reply.json.array?.first?["label"]?.string == "true_positive")
      #expect(try await client.get(path).json["revoked_at"] != .null)
      #expect(try await client.get(next).json["revoked_at"] == .null)
    }
  }

  @Test(arguments: [
    "http://github.com/o/r", "", "javascript:alert(1)", "https://example.com/ä",
    "https://example.com/\(String(repeating: "x", count: 300))", "https://example.com/sbx_a",
    "https://example.com/pk_test_a",
  ])
  func `a place that is no plain https URL is not kept`(url: String) {
    let alert = SecretAlert(token: "pk_live_a", type: "t", url: url)
    #expect(alert.reason == "Found publicly by GitHub secret scanning")
  }

  @Test func `the token is not kept in the reason`() {
    let alert = SecretAlert(token: "secret", type: "t", url: "https://example.com/?q=secret")
    #expect(!alert.reason.contains("secret:") && !alert.reason.contains("="))
  }

  // MARK: Refused

  @Test func `nothing happens without the signature of a key that is published`() async throws {
    try await Self.with { plane, signer, server in
      let client = plane.client
      let (path, key) = try await Self.makeKey(client)
      let body = "[\(Self.alert(key))]"
      let stranger = Signer()
      let valid = try signer.headers(for: body)
      func without(_ name: String) -> [String: String] { valid.filter { $0.key != name } }
      let named = [Signer.identifierField: signer.identifier]
      let attempts: [(String, [String: String])] = [
        (body, [:]), (body, without(Signer.identifierField)),
        (body, without(Signer.signatureField)),
        // Another's signature, under their own name and under the published one.
        (body, try stranger.headers(for: body)),
        (body, try stranger.headers(for: body).merging(named) { $1 }),
        (body, valid.merging([Signer.identifierField: "stale"]) { $1 }),
        (body, valid.merging([Signer.identifierField: String(repeating: "a", count: 200)]) { $1 }),
        (body, valid.merging([Signer.signatureField: "AAAA"]) { $1 }),
        (body, valid.merging([Signer.signatureField: "not base64"]) { $1 }),
        (body, valid.merging([Signer.signatureField: String(repeating: "A", count: 4000)]) { $1 }),
        // The body changed by as much as a space.
        (body + " ", valid), (body.replacing("content", with: "Content"), valid),
        ("[\(Self.alert(key)),\(Self.alert(key))]", valid), ("", valid), ("not JSON", valid),
      ]
      for (body, headers) in attempts {
        let reply = try await client.with(token: nil).send(
          "POST", Self.path, body, headers: headers)
        #expect(reply.status == 400, "\(reply.text)")
        #expect(try reply.problem == "signature-invalid")
      }
      #expect(try await client.get(path).json["revoked_at"] == .null)
      // Names that are made up have the keys fetched once, and then not again for a minute.
      #expect(server.requests == 1)
      let metrics = try await client.get("/metrics").text
      #expect(metrics.contains("signalbox_secret_scanning_refused_total \(attempts.count)\n"))
      #expect(try await client.report(body, by: signer).status == 200)
    }
  }

  @Test func `a signed body is read strictly, and in bounds`() async throws {
    try await Self.with { plane, signer, _ in
      let alert = Self.alert("pk_live_x")
      let most = SecretAlert.most
      let cases: [(String, Int, [String])] = [
        ("", 400, []), ("{", 400, []), ("[{}] x", 400, []),
        (#"[{"token":"a","token":"b","type":"c"}]"#, 400, []), ("{}", 422, [""]),
        ("null", 422, [""]), ("[]", 422, [""]), ("[1]", 422, ["/0/token", "/0/type"]),
        (#"[\#(alert),{"token":1,"type":null}]"#, 422, ["/1/token", "/1/type"]),
        (#"[{"token":"\#(String(repeating: "a", count: 2001))","type":"t"}]"#, 422, ["/0/token"]),
        ("[\(Array(repeating: "0", count: most + 1).joined(separator: ","))]", 422, [""]),
        ("[\(String(repeating: "[", count: 100_000))", 400, []),
      ]
      for (body, status, places) in cases {
        let reply = try await plane.client.report(body, by: signer)
        #expect(reply.status == status, "\(reply.text)")
        #expect(try reply.places == places, "\(reply.text)")
      }
      let full = Array(repeating: #"{"token":"a","type":"t"}"#, count: most)
      let reply = try await plane.client.report("[\(full.joined(separator: ","))]", by: signer)
      #expect(reply.status == 200)
      #expect(try reply.json.array?.count == most)
      // What GitHub may add one day, and what it may leave out.
      let open = #"[{"token":"a","type":"t","commit":{"sha":[1]},"url":null}]"#
      #expect(try await plane.client.report(open, by: signer).status == 200)
      // Refused by its header: of a body that nobody reads, little would be taken before the connection ends.
      let connection = try RawClient(port: plane.client.http.port)
      try await connection.send(
        """
        POST \(Self.path) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r
        Content-Length: 1100000\r\n\r\n
        """)
      #expect(try await connection.reply()?.status == 413)
      let query = try await plane.client.with(token: nil).send(
        "POST", "\(Self.path)?dry_run=true", open, headers: signer.headers(for: open))
      #expect(query.status == 422)
    }
  }

  @Test func `whoever fails too often waits`() async throws {
    try await Self.with({
      $0.rateLimits = RateLimiter(
        address: RateLimitPolicy(.address, quota: 60, window: 3600, burst: 3))
    }) { plane, signer, _ in
      let client = plane.client.with(token: nil)
      var statuses: [Int] = []
      for _ in 0..<5 { statuses.append(try await client.post(Self.path, "[]").status) }
      #expect(statuses == [400, 400, 400, 429, 429])
    }
  }

  @Test func `without its keys nobody is believed, and nobody refused for good`() async throws {
    try await Self.with { plane, signer, server in
      server.publish("{}")
      let body = "[\(Self.alert("pk_live_x"))]"
      for _ in 0..<2 {
        let reply = try await plane.client.report(body, by: signer)
        #expect(reply.status == 503, "\(reply.text)")
        #expect(reply["retry-after"] == "60")
      }
      #expect(server.requests == 1)
    }
  }

  @Test func `it is not there unless it is asked for`() async throws {
    try await TestControlPlane.with({ $0.secretScanning = nil }) { planes in
      let signer = Signer()
      let body = "[\(Self.alert("pk_live_x"))]"
      let reply = try await planes[0].client.report(body, by: signer)
      #expect(reply.status == 404)
    }
  }

  @Test(arguments: [
    "", "keys", "ftp://example.com/", "http://example.com/keys", "https://user@example.com/",
  ])
  func `keys are only read from where they can be trusted`(url: String) {
    #expect(throws: SecretScanningError.self) { try SecretScanning(keysURL: url) }
  }
}
