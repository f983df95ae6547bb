import Cryptography
import FoundationEssentials
import Gateway
import Glibc
import JSON
import Postgres
import Support
import Testing

extension FaultTests {
  /// What is shown once is nowhere afterwards: not in the database or its files, not in a log, not in any reply.
  @Suite struct Secrets {
    @Test func `no raw secret is in a table, a file, a log or a reply`() async throws {
      var settings = RunningGateway.settings
      settings["SIGNALBOX_DEV_IDENTITY"] = "1"
      settings["SIGNALBOX_STRIPE_WEBHOOK_SECRETS"] = StripeDelivery.secret
      try await FaultRun.with(settings) { run in
        let scene = try await SecretScene(run)
        let replies = try await scene.replies()
        try await scene.misuse()
        // Written before it is looked for.
        _ = try await run.database.rows("CHECKPOINT")
        try await expectNone(of: scene.secrets, in: replies, scene.needle)
        try await expectNone(of: scene.secrets, inTablesOf: run, scene.needle)
        run.server.signal(SIGTERM)
        #expect(try await run.server.awaitExit(within: .seconds(20)) == 0)
        try expectNone(of: scene.secrets, inFilesOf: run, scene.needle)
      }
    }

    private func expectNone(
      of secrets: [String: String], in replies: [String: String], _ needle: String
    ) async throws {
      #expect(replies.values.contains { $0.contains(needle) }, "replies were looked through")
      for (target, text) in replies {
        for (name, secret) in secrets where text.contains(secret) {
          Issue.record("\(target) shows the \(name)")
        }
      }
    }

    private func expectNone(
      of secrets: [String: String], inTablesOf run: FaultRun, _ needle: String
    ) async throws {
      let tables = try await run.database.rows(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
      ).map { try $0.decode(String.self) }
      #expect(tables.count > 20)
      var isNeedleFound = false
      for table in tables {
        // A row as text has bytea in hexadecimal.
        let text = try await run.database.rows(
          Query(
            unchecked:
              "SELECT coalesce(string_agg(t::text, ' '), '') FROM public.\"\(table)\" AS t")
        )[0].decode(String.self)
        isNeedleFound = isNeedleFound || text.contains(needle)
        for (name, secret) in secrets {
          for form in [secret, Self.hexadecimal(secret)] where text.contains(form) {
            Issue.record("the table \(table) has the \(name)")
          }
        }
      }
      #expect(isNeedleFound, "tables were looked through")
    }

    /// Its logs, and all that PostgreSQL has written: data, what was deleted, WAL, and logs.
    private func expectNone(
      of secrets: [String: String], inFilesOf run: FaultRun, _ needle: String
    ) throws {
      #expect(try files(of: run, with: [needle]).contains { $0.contains("/server/data/") })
      let log = "\(run.directory)/\(run.server.port).out"
      #expect(try files(of: run, with: ["\"/v1/me/tokens\""]).contains(log))
      for (name, secret) in secrets {
        let found = try files(of: run, with: [secret, Self.hexadecimal(secret)])
        #expect(found == [], "the \(name)")
      }
    }

    private func files(of run: FaultRun, with patterns: [String]) throws -> [String] {
      let (list, found) = ("\(run.directory)-patterns", "\(run.directory)-found")
      defer {
        unlink(list)
        unlink(found)
      }
      try Data(patterns.joined(separator: "\n").utf8).write(to: URL(filePath: list))
      let status = system("grep -rlaF -f '\(list)' '\(run.directory)' > '\(found)'")
      // 1: nothing was found.
      try #require([0, 1 << 8].contains(status), "grep: \(status)")
      return String(decoding: try Data(contentsOf: URL(filePath: found)), as: UTF8.self)
        .split(separator: "\n").map(String.init)
    }

    private static func hexadecimal(_ text: String) -> String {
      text.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
  }
}

/// One of everything that is shown once.
private struct SecretScene {
  let run: FaultRun
  let admin: TestClient
  let needle = "Needle-in-the-haystack-73"
  /// By what they are.
  private(set) var secrets = [
    "bootstrap token": ServerProcess.token, "secret of Stripe's webhooks": StripeDelivery.secret,
  ]
  /// The last part of paths, by the collection.
  private var ids: [String: String] = ["provider-keys": "openai", "problems": "not-found"]
  private var gatewayToken = ""

  init(_ run: FaultRun) async throws {
    self.run = run
    admin = TestClient(run.server)
    let project = try await KeyedProject(admin)
    secrets["API key"] = project.key
    ids["organizations"] = String(project.organization.split(separator: "/").last ?? "")
    ids["projects"] = project.id
    try await make(
      "rotated API key", "\(project.keyPath):rotate", #"{"grace_seconds":600}"#, as: "api-keys")
    try await make(
      "personal access token", "/v1/me/tokens", #"{"name":"\#(needle)"}"#, as: "tokens")
    try await makeServiceTokens(project)
    try await makeProviderKey(project)
    let rule = try await admin.post(
      "\(project.organization)/rules",
      #"{"provider":"openai","model":"o1","effect":"deny","note":"\#(needle)"}"#)
    ids["rules"] = try rule.json["id"]?.string
    try await runGateway(project)
    try await invite(project)
    try await buy(project)
    try await makeWebhookEndpoint(project)
  }

  private mutating func buy(_ project: KeyedProject) async throws {
    let delivery = StripeDelivery.checkout(
      id: "evt_secrets", payment: "pi_secrets", organization: ids["organizations"])
    let told = try await admin.with(token: nil).send(
      "POST", "/v1/webhooks/stripe", delivery.body,
      headers: ["Stripe-Signature": StripeDelivery.signature(of: delivery.body)])
    #expect(told.status == 200, "\(told.text)")
    ids["stripe-events"] = delivery.id
    ids["purchases"] = try await admin.all("\(project.organization)/credits/purchases").first?[
      "id"]?
      .string
  }

  private mutating func makeWebhookEndpoint(_ project: KeyedProject) async throws {
    let path = "\(project.organization)/webhook-endpoints"
    let made = try await admin.post(path, #"{"url":"https://hooks.example.com/\#(needle)"}"#)
    secrets["secret of a webhook endpoint"] = try made.json["secret"]?.string
    let id = try #require(try made.json["id"]?.string, "\(made.text)")
    ids["webhook-endpoints"] = id
    let rotated = try await admin.post("\(path)/\(id):rotate-secret", "{}")
    secrets["rotated secret of a webhook endpoint"] = try rotated.json["secret"]?.string
    #expect(secrets["rotated secret of a webhook endpoint"] != nil, "\(rotated.text)")
    let pinged = try await admin.post("\(path)/\(id):ping")
    ids["deliveries"] = try #require(try pinged.json["event_id"]?.string, "\(pinged.text)")
  }

  /// Makes something that is shown once, and again to whoever repeats it.
  private mutating func make(
    _ name: String, _ path: String, _ body: String, as collection: String
  ) async throws {
    let headers = ["Idempotency-Key": name.filter { $0 != " " }]
    let first = try await admin.post(path, body, headers: headers)
    let again = try await admin.post(path, body, headers: headers)
    let secret = try #require(try first.json["token"]?.string, "\(first.text)")
    #expect(try again.json["token"]?.string == secret)
    secrets[name] = secret
    ids[collection] = try first.json["id"]?.string
  }

  private mutating func makeServiceTokens(_ project: KeyedProject) async throws {
    let end = Date(timeIntervalSinceNow: 86_400).ISO8601Format()
    let path = "\(project.organization)/service-tokens"
    try await make(
      "service token", path, #"{"name":"CI","role":"developer","expires_at":"\#(end)"}"#,
      as: "service-tokens")
    try await make(
      "rotated service token", "\(path)/\(ids["service-tokens"] ?? "")/rotate",
      #"{"grace_seconds":600}"#, as: "service-tokens")
  }

  private mutating func makeProviderKey(_ project: KeyedProject) async throws {
    for number in 1...2 {
      let credential = "sk-secret-of-a-provider-\(number)"
      let reply = try await admin.put(
        "\(project.path)/provider-keys/openai", #"{"key":"\#(credential)"}"#,
        headers: number > 1 ? ["If-Match": "*"] : [:])
      #expect(reply.status < 300, "\(reply.text)")
      secrets["provider key \(number)"] = credential
    }
  }

  /// With its evidence, its acknowledgement, and its file.
  private mutating func runGateway(_ project: KeyedProject) async throws {
    try await make(
      "gateway token", "/v1/platform/gateway-tokens", #"{"name":"edge"}"#, as: "gateway-tokens")
    let credentials = try await GatewayCredentials(admin)
    secrets["other gateway token"] = credentials.token
    gatewayToken = credentials.token
    let gateway = try RunningGateway(
      "edge", credentials, ports: [run.server.port], directory: run.directory)
    defer { gateway.cancel() }
    try await gateway.catchUp(to: 1)
    let key = try #require(gateway.client.verify(key: project.key).key)
    #expect(
      try gateway.client.providerKey(of: key, provider: "openai") == secrets["provider key 2"])
    let record = try gateway.decideAndRecord(project.key)
    try await project.expectEvidence([record], admin)
    ids["request-logs"] = record
    try await gateway.stop()
  }

  private mutating func invite(_ project: KeyedProject) async throws {
    let nobody = admin.with(token: nil)
    for name in ["invitation token", "accepted invitation token"] {
      let email = "grace-\(secrets.count)@example.com"
      let made = try await admin.post(
        "\(project.organization)/invitations", #"{"email":"\#(email)","role":"viewer"}"#)
      ids["invitations"] = try made.json["id"]?.string
      var token: String?
      try await eventually("the mail is there") {
        let mails = try await nobody.get("/v1/dev/mailbox").json["data"]?.array
        let mail = mails?.first { $0["to"]?.string == email }?["text"]?.string
        token = mail?.firstMatch(of: /sbi_[0-9A-Za-z]+/).map { String($0.output) }
        return token != nil
      }
      secrets[name] = token
      let login = try await nobody.post("/v1/dev/tokens", #"{"email":"\#(email)"}"#)
      secrets["access token of \(email)"] = try login.json["token"]?.string
      let grace = admin.with(token: try login.json["token"]?.string)
      let me = try await grace.get("/v1/me")
      #expect(me.status == 200)
      guard name == "accepted invitation token" else { continue }
      let accepted = try await grace.post(
        "/v1/invitations/accept", #"{"token":"\#(token ?? "")"}"#)
      #expect(accepted.status == 200, "\(accepted.text)")
      ids["members"] = try await admin.all("\(project.organization)/members").first?["user_id"]?
        .string
    }
  }

  /// What every operation that reads says; where a stream of changes is meant, their table is looked through instead.
  func replies() async throws -> [String: String] {
    var replies: [String: String] = [:]
    let gateway = admin.with(token: gatewayToken)
    for operation in try Contract.current.get().operations
    where operation.method == "GET"
      && operation.path != "/v1/dev/mailbox" && !operation.path.hasSuffix("/stream")
    {
      let target = target(operation.path)
      let reply = try await (operation.permission == "gateway" ? gateway : admin).get(target)
      #expect(reply.status == 200, "\(target) \(reply.text)")
      replies[target] = reply.headers.map { "\($0): \($1)\n" }.joined() + reply.text
    }
    return replies
  }

  private func target(_ path: String) -> String {
    var parts: [String] = []
    for part in path.split(separator: "/").map(String.init) {
      parts.append(part.hasPrefix("{") ? ids[parts.last ?? ""] ?? part : part)
    }
    return "/" + parts.joined(separator: "/")
  }

  /// Secrets in places where they do not belong: nobody may take note of them there.
  func misuse() async throws {
    for (name, secret) in secrets {
      let stranger = admin.with(token: secret)
      var replies = [
        try await stranger.post("/v1/dataplane/ack", "{\"gateway\":\"\(secret)\","),
        try await admin.get("/v1/me?token=\(secret)"),
        try await admin.get("/v1/\(secret)"),
        try await admin.post("/v1/invitations/accept", #"{"token":"\#(secret)x"}"#),
        try await admin.post("/v1/organizations", #"{"name":"A","region":"\#(secret)"}"#),
        try await admin.post("/v1/organizations", #"{"name":"\#(secret)\u0007"}"#),
        try await admin.put(
          target("/v1/organizations/{}/projects/{}/provider-keys/{}"), #"{"key":"\#(secret) "}"#),
      ]
      // Where its id belongs.
      if secret.firstMatch(of: /^(sb._|pk_)/) != nil {
        replies.append(try await admin.send("DELETE", "/v1/me/tokens/\(secret)"))
        replies.append(try await admin.get("/v1/organizations/\(secret)/projects"))
        replies.append(
          try await admin.post(
            target("/v1/organizations/{}/projects/{}/api-keys") + "/\(secret):rotate"))
      }
      for reply in replies {
        #expect(reply.status >= 400, "\(name) \(reply.text)")
        #expect(!reply.text.contains(secret), "\(name) \(reply.text)")
      }
    }
  }
}
