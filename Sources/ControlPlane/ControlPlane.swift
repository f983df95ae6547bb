package import Cryptography
package import Domain
import EventStore
import FoundationEssentials
import Hummingbird
package import Identity
package import Logging
package import Mail
package import Postgres
package import ServiceLifecycle
import Stripe

/// The control plane of one process: its connections, its command handler, its routes.
package struct ControlPlane: Sendable {
  package struct Configuration: Sendable {
    /// Its connections act as the application's role.
    package var database: ConnectionOptions
    /// Nil: nothing is kept on this server's own disk.
    package var fallback: Fallback?
    /// How many connections share the reads of tables.
    package var readers = 2
    package var http = HTTPServer.Configuration()
    /// For how long no other replica may have appended before this one reads without asking.
    package var quietTime: Duration = .seconds(10)
    package var plans = PlanCatalog.standard
    /// Whether owners take larger plans by themselves, without paying; only where nothing is sold.
    package var allowsSelfServicePlans = false
    package var identityProviders: [IdentityProvider] = []
    /// Nil: invitations are not sent by mail, only shown to nobody.
    package var mailer: (any Mailer)?
    /// Where the dashboard answers invitations; the token is appended.
    package var invitationLink: String?
    package var rateLimits = RateLimiter()
    /// False only to prove that row security by itself keeps workspaces apart: then everybody passes for an owner.
    package var checksMembership = true
    /// Nil: nobody's reports are taken.
    package var secretScanning: SecretScanning?
    /// How webhooks are sent.
    package var webhooks: Webhooks = .production
    package var stripe = StripeSettings()
    /// How many replays go on at the same time, of all workspaces.
    package var replaysAtOnce = 2
    /// Nil for production.
    package var development: Development?

    package init(database: ConnectionOptions) {
      self.database = database
    }

    /// How workspaces get larger plans.
    var planUpgrades: PlanUpgrades {
      if allowsSelfServicePlans { return .selfService }
      return stripe.isConfigured ? .subscribed : .platform
    }
  }

  /// What some deployments keep in the database, and so nobody has before it answers.
  package struct Secrets: Sendable {
    package var hasher: TokenHasher
    /// What seals the keys of personal data.
    package var keys: KeyRing
    /// What seals provider keys; gateways hold these too.
    package var providerKeys: KeyEncryptionKeys

    package init(hasher: TokenHasher, keys: KeyRing, providerKeys: KeyEncryptionKeys) {
      self.hasher = hasher
      self.keys = keys
      self.providerKeys = providerKeys
    }
  }

  package let services: Services
  /// Method and path template of every route, as the contract writes them.
  package let routes: [Route]
  let groundwork: Groundwork
  private let background: [any Service]

  package var metrics: Metrics { groundwork.metrics }
  package var server: HTTPServer { groundwork.server }

  /// - Parameters:
  ///   - groundwork: what stands already, made of the same configuration; its server serves all routes from now on.
  ///   - configuration: of a database that is migrated already.
  package init(
    _ configuration: Configuration, _ secrets: Secrets, on groundwork: Groundwork? = nil,
    logger: Logger
  ) {
    let groundwork = groundwork ?? Groundwork(configuration, logger: logger)
    self.groundwork = groundwork
    let (connections, metrics) = (groundwork.connections, groundwork.metrics)
    let (tail, reads) = (groundwork.tail, groundwork.reads)
    let (replica, liveConfiguration) = (groundwork.replica, groundwork.liveConfiguration)
    let gatewayReports = groundwork.gatewayReports
    let development = configuration.development
    let logGrowth = groundwork.logGrowth
    let liveEvents = LiveEvents(reads: reads, log: logGrowth, metrics: metrics, logger: logger)
    let attempts = JobAttempts(
      pool: connections.pool, holder: groundwork.holder, metrics: metrics, logger: logger)
    let snapshots = SnapshotWriter(pool: connections.pool, attempts: attempts, logger: logger)
    let commands = CommandHandler(
      connection: connections.writer, replica: replica, plans: configuration.plans,
      upgrades: configuration.planUpgrades,
      snapshots: snapshots,
      loader: WorkspaceLoader(pool: connections.pool),
      observer: Observer(tail: tail, configuration: liveConfiguration, metrics: metrics),
      logger: logger)
    let users = UserDirectory(pool: connections.pool, hasher: secrets.hasher)
    let settlement = UsageSettlement(
      pool: connections.pool, commands: commands, attempts: attempts, metrics: metrics,
      logger: logger)
    let requestLogs = RequestLogStore(
      pool: connections.evidence, plans: configuration.plans, settlement: settlement,
      logger: logger)
    let serviceTokenUses = ServiceTokenUses(pool: connections.pool, logger: logger)
    let identities = IdentityVerifier(
      providers: configuration.identityProviders
        + (development.map { [$0.issuer.provider] } ?? []),
      logger: logger)
    let failedMails = metrics.counter("signalbox_mails_failed_total", "Mails that were given up.")
    let mail = MailQueue(mailer: development?.mailbox ?? configuration.mailer ?? NoMailer()) {
      failedMails.add()
      logger.warning("a mail was given up", metadata: ["error": "\($0)"])
    }
    let authenticator = Authenticator(
      reads: reads, hasher: secrets.hasher, identities: identities, users: users,
      serviceTokenUses: serviceTokenUses, knownGateways: groundwork.knownGateways,
      limiter: configuration.rateLimits)
    let authorizer = Authorizer(
      isChecking: configuration.checksMembership, authenticator: authenticator,
      knownGateways: groundwork.knownGateways, isDatabaseAway: { liveConfiguration.isStale },
      limiter: configuration.rateLimits)
    let longWork = LongWork(
      connections, replaysAtOnce: configuration.replaysAtOnce, metrics: metrics)
    services = Services(
      authorizer: authorizer, commands: commands, reads: reads, users: users,
      personalData: PersonalData(
        pool: connections.pool, keys: secrets.keys, hasher: secrets.hasher),
      invitationMail: InvitationMail(queue: mail, link: configuration.invitationLink),
      hasher: secrets.hasher, plans: configuration.plans, requestLogs: requestLogs,
      limiter: configuration.rateLimits,
      appendLimit: AppendLimit(limiter: configuration.rateLimits, metrics: metrics),
      vault: ProviderKeyVault(keys: secrets.providerKeys, hasher: secrets.hasher),
      webhookSecrets: WebhookSecretVault(keys: secrets.keys), longWork: longWork,
      compiledRules: CompiledRules(longWork, metrics: metrics))
    let webhooks = configuration.webhooks.deliveries(
      pool: connections.webhooks, services: services, attempts: attempts, log: logGrowth,
      metrics: metrics, logger: logger)
    let stripeEvents = StripeEventProcessor(
      pool: connections.billing, commands: commands, attempts: attempts,
      settings: configuration.stripe, logger: logger)
    let panicModes = PanicModeEnds(
      pool: connections.pool, commands: commands, attempts: attempts, logger: logger)
    background = [
      StripeEventRetries(processor: stripeEvents, logger: logger),
      StripeEventRetention(pool: connections.pool, logger: logger),
      SetAsideWatch(attempts: attempts, logger: logger), serviceTokenUses, requestLogs, settlement,
      panicModes, webhooks.workers, liveEvents,
      UntilShutdown { await mail.run() },
      UntilShutdown { await identities.run() },
    ]

    let router = APIRouter()
    var groups: [any RouteGroup] = [
      OrganizationRoutes(services: services),
      ProjectRoutes(services: services),
      RuleRoutes(services: services),
      APIKeyRoutes(services: services),
      ProviderKeyRoutes(services: services),
      MemberRoutes(services: services),
      InvitationRoutes(services: services),
      ServiceTokenRoutes(services: services),
      PlanRoutes(services: services),
      CreditRoutes(services: services),
      UsageRoutes(services: services),
      OnboardingRoutes(services: services),
      AccountRoutes(services: services),
      GatewayTokenRoutes(services: services),
      RequestLogRoutes(services: services),
      RequestLogExportRoutes(services: services),
      ReplayRoutes(services: services),
      AuditEventRoutes(services: services),
      EventRoutes(services: services, live: liveEvents),
      WebhookEndpointRoutes(services: services, targets: configuration.webhooks.targets),
      WebhookDeliveryRoutes(
        services: services, store: webhooks.store, work: webhooks.work),
      DataPlaneRoutes(
        door: authorizer, configuration: liveConfiguration, reports: gatewayReports),
      PropagationRoutes(services: services, reports: gatewayReports),
      CheckoutRoutes(services: services, settings: configuration.stripe, logger: logger),
      StripeEventRoutes(services: services, processor: stripeEvents),
      SetAsideRoutes(services: services, attempts: attempts) { item in
        switch item.kind {
        case .usage: return try await settlement.count([item])[item] ?? .done
        case .stripeEvent: try await stripeEvents.replay(item)
        case .webhookDispatch: try await webhooks.workers.replayDispatch(item)
        case .webhookDelivery: try await webhooks.workers.replayDelivery(item)
        case .panicMode: return await panicModes.replay(item)
        case .snapshot: try await snapshots.replay(item)
        }
        return .done
      },
      DocumentRoutes(),
    ]
    if let scanning = configuration.secretScanning {
      let keys = SecretScanningKeys(scanning)
      groups.append(SecretScanningRoutes(services: services, keys: keys, metrics: metrics))
    }
    if !configuration.stripe.webhookSecrets.isEmpty {
      groups.append(
        StripeWebhookRoutes(
          services: services, processor: stripeEvents,
          signature: StripeSignature(secrets: configuration.stripe.webhookSecrets),
          metrics: metrics))
    }
    if let development { groups.append(DevelopmentRoutes(development: development)) }
    for group in groups { group.add(to: router) }
    router.addOperations(
      readiness: groundwork.readiness, metrics: metrics, catalogue: services.catalogue)
    router.authenticateHead = { request, context in
      try await authenticator.principal(request, context, settling: false).id
    }
    routes = router.entries.map { Route(method: $0.method.rawValue, path: $0.path) }
    groundwork.readiness.replaceChecks(by: [DatabaseCheck(reader: connections.reader)])
    groundwork.server.serve(router)
  }

  /// Ends what was never served: its commands are answered, its connections close.
  package func close() async { await groundwork.connections.close() }

  /// Serves until SIGTERM or SIGINT, then ends in order: no new requests, those in flight are answered, connections close.
  package func run(
    services: [any Service] = [], ready: @escaping @Sendable (Int) async -> Void = { _ in }
  ) async throws {
    try await groundwork.run(services: services, background, ready: ready)
  }

  /// What goes on beside requests, on a ``Groundwork`` that runs; until shutdown.
  func runBackground() async throws {
    try await withThrowingDiscardingTaskGroup { group in
      for service in background { group.addTask { try await service.run() } }
    }
  }
}

/// One operation of the API.
package struct Route: Hashable, Sendable {
  package let method: String
  package let path: String

  package init(method: String, path: String) {
    self.method = method
    self.path = path
  }
}

/// Work that goes on until the process ends, and then is cancelled.
struct UntilShutdown: Service {
  let work: @Sendable () async -> Void

  func run() async throws {
    try? await cancelWhenGracefulShutdown { await work() }
  }
}

/// There is no mail server: every mail is given up, and counted.
private struct NoMailer: Mailer {
  func send(_ message: MailMessage) async throws(MailError) {
    throw .unavailable(reason: "SIGNALBOX_SMTP_URL is not set")
  }
}

/// The connections of one process: one that writes, one that watches the log's end, some that are read from, and
/// leases for what happens rarely.
struct Connections: Service {
  let writer: Connection
  let tail: Connection
  let reader: Reader
  /// What other replicas append.
  let listener: Listener
  let pool: Pool
  /// For evidence, which comes in masses; closed by its store.
  let evidence: Pool
  /// For webhooks, for which nothing else waits; closed by whoever sends them.
  let webhooks: Pool
  /// For what Stripe tells; closed by whoever tries it again.
  let billing: Pool
  /// For long lists that are read page by page. They only read, and say for whom each time.
  let pages: Pool
  /// For the rules of whole workspaces, likewise.
  let rules: Pool
  private let holder: Int64
  private let logger: Logger

  private static let poolSizes = (
    common: 4, evidence: 2, webhooks: 4, billing: 4, pages: 2, rules: 1
  )

  /// How many connections there are at most. Each has a thread of its own.
  static func maxCount(readers: Int) -> Int {
    let sizes = poolSizes
    let pooled =
      sizes.common + sizes.evidence + sizes.webhooks + sizes.billing + sizes.pages + sizes.rules
    return 3 + readers + pooled
  }

  /// Descriptors that all connections take at most: each has a socket and a pipe that wakes its thread.
  static func maxDescriptors(readers: Int) -> Int { 3 * maxCount(readers: readers) }

  /// - Parameter holder: the number by which other processes see that this one lives.
  init(_ database: ConnectionOptions, readers: Int, holder: Int64, logger: Logger) {
    self.holder = holder
    self.logger = logger
    let sizes = Self.poolSizes
    var database = database
    // Compiling a plan takes longer than any statement here runs.
    database.setup.append("SET jit = off")
    // What reads for somebody says for whom, each time; what works for everybody is the system.
    var working = database
    working.setup.append("SET signalbox.principal = 'system'")
    var writing = working
    // Every statement of the writer is a look-up by key: a plan is made once and never scans a table.
    writing.setup += ["SET plan_cache_mode = force_generic_plan", "SET enable_seqscan = off"]
    // A replica that vanished must not keep the log's head locked.
    writing.setup += ["SET idle_in_transaction_session_timeout = '5s'"]
    writer = Connection(options: writing, name: "writer")
    tail = Connection(options: writing, name: "tail")
    reader = Reader(options: database, connections: readers)
    // It runs no statement that takes long, so its session ends as soon as the process does.
    var signing = working
    signing.setup.append(JobAttemptTable.sign(of: holder))
    listener = Listener(options: signing, channels: [EventLog.channel])
    pool = Pool(options: working, minimum: 0, maximum: sizes.common)
    var reporting = working
    reporting.applicationName += " evidence"
    evidence = Pool(options: reporting, minimum: 0, maximum: sizes.evidence)
    var delivering = working
    delivering.applicationName += " webhooks"
    webhooks = Pool(options: delivering, minimum: 0, maximum: sizes.webhooks)
    var paying = working
    paying.applicationName += " billing"
    billing = Pool(options: paying, minimum: 0, maximum: sizes.billing)
    var listing = database
    listing.setup.append("SET default_transaction_read_only = on")
    listing.applicationName += " pages"
    pages = Pool(options: listing, minimum: 0, maximum: sizes.pages)
    rules = Pool(options: listing, minimum: 0, maximum: sizes.rules)
    writer.start()
    tail.start()
  }

  func run() async throws {
    let (pool, logger) = (pool, logger)
    let sweep = Task { await Self.deleteExpiredRecords(pool, logger) }
    try? await gracefulShutdown()
    sweep.cancel()
    // All jobs have ended by now: nothing of theirs counts as an attempt during which the process died.
    let statements = JobAttemptTable.letGoOfEverything(by: holder)
    _ = try? await pool.withConnection(deadline: .now + .seconds(2)) { session in
      try session.pipeline(statements, deadline: .now + .seconds(2)).count
    }
    await close()
  }

  func close() async {
    await writer.close()
    await tail.close()
    await reader.close()
    await listener.close()
    await pool.close()
    await pages.close()
    await rules.close()
  }

  /// What is kept for a day or a week; which hour it goes in does not matter.
  private static func deleteExpiredRecords(_ pool: Pool, _ logger: Logger) async {
    while !Task.isCancelled {
      try? await Task.sleep(for: .seconds(600))
      // Each by itself: one that fails keeps none of the others from being done.
      let statements: [Query] = [
        IdempotencyRecord.deleteExpired, ConfigurationChangeTable.deleteOld(),
        GatewayTable.deleteUnseen(
          since: Timestamp.now.advanced(by: -PropagationRoutes.remembered)),
      ]
      for statement in statements where !Task.isCancelled {
        do {
          _ = try await pool.withConnection(deadline: .now + .seconds(60)) { session in
            try session.execute(statement, deadline: .now + .seconds(60)).count
          }
        } catch {
          logger.warning("old records stay for now", metadata: ["error": "\(error)"])
        }
      }
    }
  }
}

/// Tells the tail and the metrics what was committed.
private struct Observer: LogObserver {
  let tail: LogTail
  let configuration: LiveConfiguration
  let events: Counter
  let batches: Counter
  let position: Gauge

  init(tail: LogTail, configuration: LiveConfiguration, metrics: Metrics) {
    self.tail = tail
    self.configuration = configuration
    events = metrics.counter("signalbox_events_total", "Events appended by this process.")
    batches = metrics.counter(
      "signalbox_batches_total", "Transactions in which this process appended events.")
    position = metrics.gauge(
      "signalbox_log_position", "The position of the newest event appended by this process.")
  }

  func learn(_ events: [RecordedEvent]?, after start: Int64, upTo end: Int64) {
    tail.learn(events, after: start, upTo: end)
  }

  func holds(_ premise: Premise) -> Bool {
    tail.isCurrent(premise.position, of: premise.topic)
  }

  func appendBegins() { tail.appendBegins() }

  func appendEnded() { tail.appendEnded() }

  func committed(_ events: [RecordedEvent], changingConfiguration: Bool) {
    if changingConfiguration { configuration.appended() }
    self.events.add(UInt64(events.count))
    batches.add()
    if let last = events.last { position.set(Int(last.position)) }
  }
}

/// Whether the database answers, has this program's schema, and takes writes to the log.
private struct DatabaseCheck: ReadinessCheck {
  let name = "database"
  let reader: Reader

  func failure() async -> String? {
    do {
      let rows = try await reader.query(
        """
        SELECT pg_is_in_recovery() OR NOT has_table_privilege('events', 'INSERT'), \
        (SELECT max(number) FROM schema_migrations)
        """, deadline: .now + .seconds(2))
      let (isReadOnly, migration) = try rows[0].decode((Bool, Int32?).self)
      if isReadOnly { return "the log takes no writes" }
      if migration ?? 0 < Migrator.signalbox.migrations.count {
        return "the schema is not up to date"
      }
      return nil
    } catch {
      return "the database does not answer"
    }
  }
}
