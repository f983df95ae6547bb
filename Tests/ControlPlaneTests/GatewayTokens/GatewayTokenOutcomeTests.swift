import Cryptography
import Domain
import EventStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import JSON
import Logging
import NIOEmbedded
import Postgres
import Support
import Testing

@testable import ControlPlane

@Suite struct GatewayTokenOutcomeTests {
  static let path = "/v1/platform/gateway-tokens"

  // MARK: Refused

  @Test func `only a platform admin makes, sees or revokes them`() async throws {
    let plane = try await TestControlPlane.shared
    let token = try await plane.client.makeGatewayToken()
    let somebody = try await plane.makeUser().client
    for client in [somebody, plane.client.with(token: token.secret)] {
      for reply in [
        try await client.post(Self.path, #"{"name":"A"}"#),
        try await client.get(Self.path), try await client.get("\(Self.path)/\(token.id)"),
        try await client.send("DELETE", "\(Self.path)/\(token.id)"),
      ] {
        #expect(reply.status == 403, "\(reply.text)")
      }
    }
  }

  @Test func `what is wrong with a new token is said all at once`() async throws {
    let plane = try await TestControlPlane.shared
    let reply = try await plane.client.post(
      Self.path, #"{"name":"","expires_at":"2020-01-01T00:00:00Z","role":"admin"}"#)
    #expect(reply.status == 422)
    #expect(try Set(reply.places) == ["/name", "/expires_at", "/role"])
  }

  @Test func `no workspace and no person shows a gateway's token anything`() async throws {
    let plane = try await TestControlPlane.shared
    let path = try await plane.client.makeOrganization("Hidden")
    let gateway = plane.client.with(token: try await plane.client.makeGatewayToken().secret)
    for target in [path, "\(path)/projects", "\(path)/events"] {
      #expect(try await gateway.get(target).status == 404, "\(target)")
    }
    for target in ["/v1/me", "/v1/plans", "/v1/organizations", "/v1/roles", "/v1/regions"] {
      let reply = try await gateway.get(target)
      #expect(reply.status == 403)
      #expect(try reply.problem == "data-plane-only")
    }
    #expect(try await gateway.post("/v1/me/tokens", #"{"name":"A"}"#).status == 403)
    #expect(try await gateway.post("/v1/organizations", #"{"name":"A"}"#).status == 403)
  }

  /// What `OrganizationRoutes` and others do behind the check is not for gateways either.
  @Test func `with the check off a gateway still sees no workspace`() async throws {
    try await TestControlPlane.with({ $0.checksMembership = false }) { planes in
      let path = try await planes[0].client.makeOrganization("Hidden")
      let gateway = planes[0].client.with(
        token: try await planes[0].client.makeGatewayToken().secret)
      #expect(try await gateway.get(path).status == 404)
      #expect(try await gateway.patch(path, #"{"name":"B"}"#).status == 404)
    }
  }

  @Test func `the database takes a gateway's token from the platform's stream only`() async throws {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.makeOrganization()
    let user = try await plane.makeUser().id
    let command = WorkspaceCommand.gatewayToken(
      .create(
        GatewayTokenID(Identifiers.next()), name: "A",
        secret: TokenSecret(hashBytes: SecureRandom.bytes(32), lastFour: "AAAA"), expiresAt: nil))
    await #expect(throws: CommandError.self) {
      try await plane.handle(command, in: organization)
    }
    await #expect(throws: CommandError.self) {
      // A stream that nobody has used yet has neither a workspace nor an account.
      try await plane.handle(command, in: .account(of: user))
    }
    await #expect(throws: CommandError.self) {
      try await plane.handle(command, in: .platform, by: .user(user))
    }
    // Nothing else is appended there.
    await #expect(throws: CommandError.self) {
      try await plane.handle(
        .organization(.create(name: "A", slug: "the-platform", owner: user)), in: .platform)
    }
    let count = try await plane.database.withSession { session throws in
      try session.execute(
        """
        SELECT count(*) FROM events WHERE (type LIKE 'gateway\\_token.%') \
        <> (organization_id = \(OrganizationID.platform.uuid))
        """, deadline: .soon)[0].decode(Int64.self)
    }
    #expect(count == 0)
  }

  @Test func `row security shows gateways' tokens to nobody but the system`() async throws {
    let plane = try await TestControlPlane.shared
    _ = try await plane.client.makeGatewayToken()
    let admin = plane.adminID.uuid
    let organization = try await plane.makeOrganization()
    let counts = try await plane.database.withApplicationSession { session throws in
      try ["user:\(admin)", "service_token:\(organization.uuid)", "system"].map {
        principal throws in
        let results = try session.pipeline(
          [
            "BEGIN", "SELECT set_config('signalbox.principal', \(principal), true)",
            "SELECT count(*) FROM gateway_tokens",
            "SELECT count(*) FROM events WHERE organization_id = \(OrganizationID.platform.uuid)",
            "COMMIT",
          ], deadline: .soon)
        return (try results[2][0].decode(Int64.self), try results[3][0].decode(Int64.self))
      }
    }
    #expect(counts[0] == (0, 0))
    #expect(counts[1] == (0, 0))
    #expect(counts[2].0 > 0 && counts[2].1 > 0)
  }

  // MARK: Accepted

  @Test func `the secret and the pepper are shown once, and again to a repetition`() async throws {
    let plane = try await TestControlPlane.shared
    let body = #"{"name":"edge-1","expires_at":"2999-01-01T00:00:00Z"}"#
    let dry = try await plane.client.post("\(Self.path)?dry_run=true", body)
    #expect(dry.status == 200)
    #expect(!dry.text.contains("sbg_") && !dry.text.contains("api_key_pepper"))
    let headers = ["Idempotency-Key": "\(UUID())"]
    let made = try await plane.client.post(Self.path, body, headers: headers)
    #expect(made.status == 201, "\(made.text)")
    let pepper = TokenHasher(pepper: [UInt8](repeating: 7, count: 32)).derivedKey(for: "api-keys")
    #expect(try made.json["api_key_pepper"]?.string == Base64URL.encode(pepper))
    let secret = try #require(made.json["token"]?.string)
    #expect(TokenFormat.gateway.matches(secret))
    let again = try await plane.client.post(Self.path, body, headers: headers)
    #expect(again["idempotency-replayed"] == "true")
    #expect(try again.json["token"]?.string == secret)

    let location = try #require(made["location"])
    let got = try await plane.client.get(location)
    #expect(got.status == 200)
    #expect(!got.text.contains("sbg_") && !got.text.contains("pepper"))
    #expect(try got.json["expires_at"]?.string == "2999-01-01T00:00:00.000000Z")
    let listed = try await plane.client.all(Self.path, limit: 2)
    #expect(listed.contains { $0["id"] == (try? made.json["id"]) })
    #expect(!"\(listed)".contains("sbg_"))
    let stored = try await plane.database.withSession { session throws in
      try session.execute(
        """
        SELECT count(*) FROM (SELECT payload::text AS t FROM events UNION ALL \
        SELECT after::text FROM workspace_audit_events UNION ALL \
        SELECT convert_from(body, 'UTF8') FROM idempotency_records) AS x WHERE t LIKE '%sbg!_%' ESCAPE '!'
        """, deadline: .soon)[0].decode(Int64.self)
    }
    #expect(stored == 0)
  }

  @Test func `a revoked token is refused on the very next request, on every replica`() async throws
  {
    try await TestControlPlane.with(replicas: 2) { planes in
      for round in 0..<20 {
        let token = try await planes[round % 2].client.makeGatewayToken()
        for plane in planes {
          #expect(try await plane.gateway(token.secret).id.description == token.id)
        }
        let revoked = try await planes[round % 2].client.send("DELETE", "\(Self.path)/\(token.id)")
        #expect(revoked.status == 204)
        for plane in planes.reversed() {
          #expect(await plane.gatewayProblem(token.secret)?.kind.status == .unauthorized)
          // Not even as one that was known before.
          let known = await plane.gatewayProblem(token.secret, whileDatabaseIsAway: true)
          #expect(known?.kind.status == .unauthorized)
        }
      }
      #expect(try await planes[0].client.get(Self.path).status == 200)
    }
  }

  @Test func `an expired token is refused`() async throws {
    let plane = try await TestControlPlane.shared
    let secret = TokenFormat.gateway.generate()
    let hasher = TokenHasher(pepper: [UInt8](repeating: 7, count: 32))
    _ = try await plane.handle(
      .gatewayToken(
        .create(
          GatewayTokenID(Identifiers.next()), name: "A", secret: hasher.secret(secret),
          expiresAt: Timestamp.now.advanced(by: 1_500_000))), in: .platform)
    #expect(await plane.gatewayProblem(secret) == nil)
    try await Task.sleep(for: .milliseconds(1600))
    #expect(await plane.gatewayProblem(secret)?.kind.status == .unauthorized)
    #expect(
      await plane.gatewayProblem(secret, whileDatabaseIsAway: true)?.kind.status == .unauthorized)
  }

  @Test func `only gateways come through the data plane's door`() async throws {
    let plane = try await TestControlPlane.shared
    let user = try await plane.makeUser().client
    let problem = await plane.gatewayProblem(try #require(user.token))
    #expect(problem?.kind.code == "gateway-required")
    #expect(await plane.gatewayProblem("sbg_wrong")?.kind.status == .unauthorized)
    #expect(await plane.gatewayProblem(nil)?.kind.status == .unauthorized)
    let unknown = await plane.gatewayProblem(
      TokenFormat.gateway.generate(), whileDatabaseIsAway: true)
    #expect(unknown?.kind.status == .unauthorized)
  }

  @Test func `a known gateway passes while the database is away, nobody else does`() async throws {
    try await TestControlPlane.with { planes in
      let plane = planes[0]
      let known = try await plane.client.makeGatewayToken()
      let unknown = try await plane.client.makeGatewayToken()
      #expect(await plane.gatewayProblem(known.secret) == nil)
      // No session is let in any more, and those that are there end: as good as away.
      try await plane.database.setReachable(false)
      let gateway = try await plane.gateway(known.secret, whileDatabaseIsAway: true)
      #expect(gateway.id.description == known.id)
      #expect(gateway.reads == nil)
      await #expect(throws: PostgresError.self) { try await plane.gateway(known.secret) }
      await #expect(throws: PostgresError.self) {
        try await plane.gateway(unknown.secret, whileDatabaseIsAway: true)
      }
      try await plane.database.setReachable(true)
      for _ in 0..<100 {
        if await plane.gatewayProblem(known.secret) == nil { break }
        try await Task.sleep(for: .milliseconds(100))
      }
      #expect(try await plane.gateway(known.secret).reads != nil)
    }
  }

  @Test func `the tokens' table equals the log`() async throws {
    try await TestControlPlane.with { planes in
      let token = try await planes[0].client.makeGatewayToken()
      _ = try await planes[0].client.makeGatewayToken()
      _ = try await planes[0].client.send("DELETE", "\(Self.path)/\(token.id)")
      try await planes[0].database.withApplicationSession { session throws in
        #expect(try Rebuild.differences(session, deadline: .soon) == [])
      }
    }
  }
}

extension TestClient {
  /// Makes a gateway's token, as a platform admin.
  func makeGatewayToken() async throws -> (id: String, secret: String) {
    let reply = try await post("/v1/platform/gateway-tokens", #"{"name":"edge"}"#)
    let (id, secret) = (try reply.json["id"]?.string, try reply.json["token"]?.string)
    return (try #require(id, "\(reply.text)"), try #require(secret))
  }
}

extension TestControlPlane {
  /// Asks at the data plane's door, as its routes do.
  func gateway(
    _ token: String?, whileDatabaseIsAway: Bool = false
  ) async throws -> AuthenticatedGateway {
    var context = APIContext(
      source: ApplicationRequestContextSource(
        channel: NIOAsyncTestingChannel(), logger: Logger(label: "test")))
    context.exchange = Exchange(
      requestID: "test", deadline: .now + .seconds(10), clientAddress: "192.0.2.1")
    var fields = HTTPFields()
    if let token { fields[.authorization] = "Bearer \(token)" }
    let request = Request(
      head: HTTPRequest(
        method: .get, scheme: nil, authority: nil, path: "/v1/dataplane/snapshot",
        headerFields: fields), body: RequestBody(buffer: .init()))
    return try await controlPlane.services.authorizer.gateway(
      request, context, whileDatabaseIsAway: whileDatabaseIsAway)
  }

  func gatewayProblem(_ token: String?, whileDatabaseIsAway: Bool = false) async -> Problem? {
    do {
      _ = try await gateway(token, whileDatabaseIsAway: whileDatabaseIsAway)
      return nil
    } catch {
      return (error as? any ProblemConvertible)?.problem ?? Problem(.internalError, "\(error)")
    }
  }
}
