package import ControlPlane
import Cryptography
package import Domain
import EventStore
import FoundationEssentials
import Glibc
import Logging
import Postgres

/// A control plane that answers on a port of its own, with the platform admin's token.
package struct TestControlPlane: Sendable {
  package let controlPlane: ControlPlane
  package let database: TestDatabase
  /// As the platform admin.
  package let client: TestClient
  package let adminID: UserID
  private let hasher: TokenHasher
  private let serving: Task<Void, any Error>

  private static let started = Task { try await start(on: TestPostgres.database()) }

  /// The one that all tests share who are content with an organization of their own.
  package static var shared: TestControlPlane {
    get async throws { try await started.value }
  }

  /// Starts replicas on one database that nobody else uses, and stops them after the body.
  package static func with<Value: Sendable>(
    replicas count: Int = 1, _ body: ([TestControlPlane]) async throws -> Value
  ) async throws -> Value {
    let database = try await TestPostgres.database()
    var replicas: [TestControlPlane] = []
    for _ in 0..<count { replicas.append(try await start(on: database)) }
    let result: Result<Value, any Error>
    do { result = .success(try await body(replicas)) } catch { result = .failure(error) }
    for replica in replicas { await replica.stop() }
    return try result.get()
  }

  private static func start(on database: TestDatabase) async throws -> TestControlPlane {
    let token = "sbp_admin_of_the_tests"
    let hasher = TokenHasher(pepper: [UInt8](repeating: 7, count: 32))
    let adminID = try await database.withSession { session in
      _ = try Bootstrap.makeAdmin(token: token, hasher, session, deadline: .soon)
      let admins = try session.execute(
        "SELECT user_id FROM users WHERE is_platform_admin", deadline: .soon)
      return UserID(try admins[0].decode(UUID.self))
    }
    var configuration = ControlPlane.Configuration(database: database.application, hasher: hasher)
    configuration.http.port = 0
    configuration.http.accessLog = open("/dev/null", O_WRONLY | O_CLOEXEC)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let controlPlane = ControlPlane(configuration, logger: logger)
    let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
    let serving = Task {
      defer { continuation.finish() }
      try await controlPlane.run { continuation.yield($0) }
    }
    for await port in ports {
      let client = TestClient(http: HTTPClient(port: port), token: token)
      return TestControlPlane(
        controlPlane: controlPlane, database: database, client: client, adminID: adminID,
        hasher: hasher, serving: serving)
    }
    try await serving.value
    throw CancellationError()
  }

  private func stop() async {
    serving.cancel()
    // It was cancelled, and says so.
    _ = await serving.result
  }

  /// Makes a user who belongs to no organization.
  package func makeUser() async throws -> (id: UserID, client: TestClient) {
    let (id, token) = (UserID(Identifiers.next()), TokenGenerator.personalAccessToken())
    let hash = hasher.hash(token)
    try await database.withSession { session in
      _ = try session.pipeline(
        [
          """
          INSERT INTO users (user_id, issuer, subject) \
          VALUES (\(id.uuid), 'test', \(id.description))
          """,
          """
          INSERT INTO personal_access_tokens (token_id, user_id, name, hash) \
          VALUES (\(Identifiers.next()), \(id.uuid), 'test', \(hash))
          """,
        ], deadline: .soon)
    }
    return (id, client.with(token: token))
  }

  /// Asks the command handler directly, past everything that HTTP checks.
  package func handle(
    _ command: WorkspaceCommand, in organization: OrganizationID,
    expected: ExpectedVersion? = nil, idempotency: IdempotencyClaim? = nil
  ) async throws(CommandError) -> CommandOutcome {
    let now = Timestamp.now
    return try await controlPlane.services.commands.handle(
      CommandRequest(
        commandID: Identifiers.next(at: now), organizationID: organization, command: command,
        expected: expected, actor: .user(adminID), occurredAt: now, idempotency: idempotency))
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
