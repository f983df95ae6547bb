package import ControlPlane
import Cryptography
package import Domain
import EventStore
import FoundationEssentials
import Glibc
import Identity
import Logging
package import Mail
import Postgres

/// A control plane that answers on a port of its own, with the platform admin's token.
package struct TestControlPlane: Sendable {
  package let controlPlane: ControlPlane
  package let database: TestDatabase
  /// As the platform admin.
  package let client: TestClient
  package let adminID: UserID
  private let hasher: TokenHasher
  private let issuer: LocalIssuer
  /// The mail that this replica sent.
  package let mailbox: Mailbox
  private let serving: Task<Void, any Error>

  private static let started = Task { try await start(on: TestPostgres.database()) }

  /// The one that all tests share who are content with an organization of their own.
  package static var shared: TestControlPlane {
    get async throws { try await started.value }
  }

  /// Starts replicas on one database that nobody else uses, and stops them after the body.
  package static func with<Value: Sendable>(
    replicas count: Int = 1,
    _ configure: @Sendable (inout ControlPlane.Configuration) -> Void = { _ in },
    _ body: ([TestControlPlane]) async throws -> Value
  ) async throws -> Value {
    let database = try await TestPostgres.database()
    var replicas: [TestControlPlane] = []
    for _ in 0..<count { replicas.append(try await start(on: database, configure)) }
    let result: Result<Value, any Error>
    do { result = .success(try await body(replicas)) } catch { result = .failure(error) }
    for replica in replicas { await replica.stop() }
    return try result.get()
  }

  private static func start(
    on database: TestDatabase,
    _ configure: @Sendable (inout ControlPlane.Configuration) -> Void = { _ in }
  ) async throws -> TestControlPlane {
    let token = "sbp_admin_of_the_tests"
    let hasher = TokenHasher(pepper: [UInt8](repeating: 7, count: 32))
    let (adminID, isNew) = try await database.withSession { session in
      let isNew = try Bootstrap.admin(session, deadline: .soon) != nil
      let admins = try session.execute(
        "SELECT user_id FROM users WHERE is_platform_admin", deadline: .soon)
      return (UserID(try admins[0].decode(UUID.self)), isNew)
    }
    let issuer = try await LocalIssuer(privateKey: [UInt8](repeating: 5, count: 32))
    var configuration = ControlPlane.Configuration(database: database.application)
    let secrets = ControlPlane.Secrets(
      hasher: hasher, keys: KeyRing(key: [UInt8](repeating: 9, count: 32)),
      providerKeys: KeyEncryptionKeys(key: [UInt8](repeating: 11, count: 32)))
    let mailbox = Mailbox()
    configuration.development = Development(issuer: issuer, mailbox: mailbox)
    configuration.plans = .roomy
    // Tests that replay run at the same time; the one about too many of them has its own slots.
    configuration.replaysAtOnce = 64
    // Tests that are not about payment put their workspaces on the plan that they need.
    configuration.allowsSelfServicePlans = true
    configuration.rateLimits = RateLimiter(isEnabled: false)
    configuration.webhooks.resolver = NoNames()
    configuration.secretScanning = try SecretScanning(keysURL: "http://127.0.0.1:9/")
    configuration.stripe.webhookSecrets = ["whsec_of_the_tests"]
    configure(&configuration)
    configuration.http.port = 0
    configuration.http.accessLog = open("/dev/null", O_WRONLY | O_CLOEXEC)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let controlPlane = ControlPlane(configuration, secrets, logger: logger)
    if isNew {
      _ = try await Bootstrap.makeToken(
        token, for: adminID, hasher, controlPlane.services.commands)
    }
    let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
    let serving = Task {
      defer { continuation.finish() }
      try await controlPlane.run { continuation.yield($0) }
    }
    for await port in ports {
      let client = TestClient(http: HTTPClient(port: port), token: token)
      return TestControlPlane(
        controlPlane: controlPlane, database: database, client: client, adminID: adminID,
        hasher: hasher, issuer: issuer, mailbox: mailbox, serving: serving)
    }
    try await serving.value
    throw CancellationError()
  }

  private func stop() async {
    serving.cancel()
    // It was cancelled, and says so.
    _ = await serving.result
  }

  /// Makes a user who belongs to no organization, with a personal access token.
  package func makeUser() async throws -> (id: UserID, client: TestClient) {
    let (id, token) = (UserID(Identifiers.next()), TokenFormat.personalAccess.generate())
    try await database.withSession { session in
      _ = try session.execute(
        """
        INSERT INTO users (user_id, issuer, subject) \
        VALUES (\(id.uuid), 'test', \(id.description))
        """, deadline: .soon)
    }
    let command = AccountCommand.createToken(
      PersonalAccessTokenID(Identifiers.next()), name: "test", secret: hasher.secret(token),
      expiresAt: nil)
    _ = try await handle(.account(command), in: .account(of: id), by: .user(id))
    return (id, client.with(token: token))
  }

  /// Makes a user a member, by an invitation that is accepted at once.
  package func addMember(
    _ user: UserID, role: Role, to organization: OrganizationID, by inviter: UserID? = nil
  ) async throws {
    let id = InvitationID(Identifiers.next())
    let hash = hasher.secret("\(id)").hash
    _ = try await handle(
      .invitation(
        .create(
          id, role: role, subject: DataSubjectID(Identifiers.next()), email: "sealed",
          tokenHash: hash, userID: user)), in: organization,
      by: .user(inviter ?? adminID))
    _ = try await handle(
      .invitation(.accept(id, tokenHash: hash, by: user)), in: organization, by: .user(user))
  }

  /// What the database keeps of a token.
  package func hash(of token: String) -> [UInt8] { hasher.hash(token) }

  /// Signs somebody in with an address, as the development issuer does, for so many seconds.
  package func signIn(
    _ email: String, name: String? = nil, lifetime: Int64 = 3600
  ) throws -> TestClient {
    let token = try issuer.issue(
      email: email, name: name, at: Timestamp.now.seconds, lifetime: lifetime)
    return client.with(token: token)
  }

  /// A token of the development issuer that was good until an hour ago.
  package func expiredToken(_ email: String) throws -> String {
    try issuer.issue(
      email: email, name: nil, at: Timestamp.now.seconds - 7200, lifetime: 3600)
  }

  /// Asks the command handler directly, past everything that HTTP checks.
  package func handle(
    _ command: WorkspaceCommand, in organization: OrganizationID,
    by actor: Actor? = nil, expected: ExpectedVersion? = nil,
    idempotency: IdempotencyClaim? = nil
  ) async throws(CommandError) -> CommandOutcome {
    let now = Timestamp.now
    return try await controlPlane.services.commands.handle(
      CommandRequest(
        commandID: Identifiers.next(at: now), organizationID: organization, command: command,
        expected: expected, actor: actor ?? .user(adminID), isByPlatform: actor == nil,
        occurredAt: now, idempotency: idempotency))
  }

  /// Makes an organization without HTTP.
  package func makeOrganization(_ slug: String? = nil) async throws -> OrganizationID {
    let id = OrganizationID(Identifiers.next())
    let slug = slug ?? "s-\(id.uuid)".lowercased().filter { $0 != "-" }
    _ = try await handle(
      .organization(.create(name: "Acme", slug: slug, owner: adminID)), in: id)
    return id
  }
}

/// Tests ask no name server.
private struct NoNames: HostResolver {
  func addresses(of name: String) async throws(HostNotFound) -> [IPAddress] {
    throw HostNotFound()
  }
}

extension PlanCatalog {
  /// Every plan allows more than a test needs; those about limits use the standard catalog.
  package static let roomy = PlanCatalog(
    version: 1,
    plans: standard.plans.map { plan in
      Plan(
        tier: plan.tier, name: plan.name, pricePerMonth: plan.pricePerMonth,
        entitlements: Entitlements(
          projects: 1_000_000, members: 1_000_000, apiKeysPerProject: 1000, rulesPerProject: 1000,
          includedRequests: 150, creditBackedRequests: false, providers: nil,
          networkControls: true, regionRules: true, retentionDays: 7))
    })!
}
