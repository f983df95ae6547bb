import AsyncHTTPClient
import ConfigurationFeed
import Cryptography
import Domain
public import FoundationEssentials
public import Logging
import NIOPosix
import Synchronization

/// What a gateway links to be steered by a Signalbox control plane: it holds the configuration of all projects and keeps it up
/// to date, decides about requests by it without asking anybody, and delivers the evidence.
///
///     let gateway = try GatewayClient(configuration, logger: logger)
///     async let running: Void = gateway.run()
///
///     let key = gateway.verify(key: bearer)
///     guard let request = GatewayRequest(
///       key: key, address: address, provider: "openai", model: "gpt-4o") else { … }
///     let decision = gateway.evaluate(request)
///     if !decision.isAllowed { … }
///     if let record = RequestRecord(request, decision) { gateway.record(record) }
///
/// When the control plane is away the gateway goes on by what it has, and says that it is stale (``status``). It starts
/// without the control plane from its saved configuration. Before it has any configuration no key is known, and nothing
/// passes. A change that cannot be understood in full is refused as a whole, and what was before goes on to decide.
///
/// Everything but ``run()`` and ``load()`` is quick, may be called from anywhere, and waits for nothing but a lock that is
/// held for moments.
public final class GatewayClient: Sendable {
  private let configuration: GatewayConfiguration
  private let logger: Logger
  private let live = LiveConfiguration()
  private let board = StatusBoard()
  private let counters = Counters()
  private let evidence: EvidenceQueue
  private let acknowledger: Acknowledger
  private let hasher: HMACSHA256
  private let keyEncryptionKeys: KeyEncryptionKeys?
  private let file: SnapshotFile?
  /// The position of what is on disk.
  private let saved = Mutex<Int64?>(nil)

  /// - Throws: ``GatewayConfiguration/Invalid``.
  public init(
    _ configuration: GatewayConfiguration, logger: Logger
  ) throws(GatewayConfiguration.Invalid) {
    try configuration.validate()
    if let list = configuration.keyEncryptionKeys {
      do throws(KeyEncryptionKeys.Invalid) {
        keyEncryptionKeys = try KeyEncryptionKeys(list)
      } catch {
        throw GatewayConfiguration.Invalid(description: "keyEncryptionKeys: \(error.description)")
      }
    } else {
      keyEncryptionKeys = nil
    }
    self.configuration = configuration
    self.logger = logger
    hasher = HMACSHA256(key: configuration.apiKeyPepper)
    acknowledger = Acknowledger(name: configuration.name)
    evidence = EvidenceQueue(
      capacity: configuration.evidenceCapacity, batchSize: configuration.timing.evidenceBatch,
      counters: counters, logger: logger)
    file = configuration.snapshotPath.map { SnapshotFile(path: $0) }
  }

  // MARK: Deciding

  /// What a key is: takes one hash, and a look into a table. The comparison takes a time that tells nothing.
  ///
  /// - Parameter key: what the client sent as its bearer token.
  public func verify(key: String, at time: Date = Date()) -> KeyVerification {
    guard APIKeyFormat.matches(key) else { return .malformed }
    let hash = hasher.authenticationCode(for: key.utf8)
    guard let known = live.key(hash), constantTimeEquals(known.hash, hash) else { return .unknown }
    if let expiresAt = known.expiresAt, expiresAt <= Timestamp(time) {
      return .expired(known.verified)
    }
    return .valid(known.verified)
  }

  /// Decides about a request by the newest configuration, with the same code as the control plane's `rules:evaluate`.
  ///
  /// What needs counters (rate, loops, abuse, budgets) is for the gateway to decide: see ``settings(of:)``.
  public func evaluate(_ request: GatewayRequest) -> GatewayDecision {
    let decision = decide(request)
    counters.count(isAllowed: decision.isAllowed)
    return decision
  }

  private func decide(_ request: GatewayRequest) -> GatewayDecision {
    guard let key = request.key.key,
      let controls = live.controls(of: key.project, in: key.organization)
    else {
      return GatewayDecision(isAllowed: false, reason: .key, position: live.position ?? 0)
    }
    let time = Timestamp(request.time)
    let project = controls.compiled.project
    let evaluator = Controls(
      providers: controls.organization.providers,
      isExhausted: controls.organization.isExhausted(at: time),
      panicMode: project.panicMode.map {
        Project.PanicMode(reason: nil, since: $0.since, by: .system, until: $0.until)
      }, rules: controls.compiled.rules,
      thresholds: project.thresholds)
    let description = RequestDescription(
      address: request.address, country: request.country, provider: request.provider,
      model: request.model, tokens: request.tokens, time: time)
    return GatewayDecision(evaluator.decide(description), position: controls.position)
  }

  /// What the traffic of a key's project is held to by the gateway's own counters; nil when there is no such project any
  /// more.
  public func settings(of key: VerifiedKey) -> ProjectSettings? {
    guard let controls = live.controls(of: key.project, in: key.organization) else { return nil }
    let project = controls.compiled.project
    return ProjectSettings(
      isLive: project.environment == .live, rateLimit: project.rateLimit,
      abuseThreshold: project.abuseThreshold, maxTokens: project.maxTokens,
      loopSensitivity: .init(project.loopSensitivity), requestsPerMonth: project.requestsPerMonth,
      costPerMonth: project.costPerMonth)
  }

  /// Why there is no key of an upstream provider.
  public enum ProviderKeyFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The project has none of this provider, or there is no such project any more.
    case absent
    /// It does not open; the reason repeats no secret.
    case sealed(String)

    /// Why, in words that hold no secret.
    public var description: String {
      switch self {
      case .absent: "the project has no key of this provider"
      case .sealed(let reason): reason
      }
    }
  }

  /// The key with which a project's requests are sent to an upstream provider, opened for this one call. To be kept no
  /// longer than it is needed, and never logged.
  public func providerKey(
    of key: VerifiedKey, provider: String
  ) throws(ProviderKeyFailure) -> String {
    let provider = provider.asciiLowercased
    guard
      let project = live.controls(of: key.project, in: key.organization)?.compiled.project,
      let sealed = project.providerKeys[provider]?.sealed
    else { throw .absent }
    guard let keyEncryptionKeys else {
      throw .sealed("this gateway has no key-encryption keys")
    }
    let context = ProviderKeyContext(
      organization: key.organization.uuidBytes, project: key.project.uuidBytes, provider: provider)
    do throws(SealedSecret.Failure) {
      let bytes = try SealedSecret(sealed).open(for: context.bytes, with: keyEncryptionKeys)
      return String(decoding: bytes, as: UTF8.self)
    } catch {
      throw .sealed(error.description)
    }
  }

  // MARK: Evidence

  /// Takes a record to be delivered. Never waits and never fails: when too many wait, the oldest one is dropped and counted.
  public func record(_ record: RequestRecord) {
    evidence.add(record)
  }

  // MARK: Operating

  /// How it is now.
  public var status: GatewayStatus { board.status }

  /// What was counted since the start.
  public var metrics: GatewayMetrics { counters.metrics }

  /// Begins with the saved configuration, if there is one and none was fetched yet. ``run()`` does this first; to be called
  /// before by who wants to serve from the first moment.
  public func load() async {
    guard let file, live.position == nil else { return }
    do {
      let document = try await NIOThreadPool.singleton.runIfActive { try file.load() }
      guard let document else { return }
      try await live.replace(with: document)
      board.runs(document.position)
      saved.withLock { $0 = document.position }
      logger.info(
        "Started from the saved configuration", metadata: ["position": "\(document.position)"])
    } catch {
      board.failed("the saved configuration cannot be used: \(error)")
      logger.error("The saved configuration cannot be used", metadata: ["error": "\(error)"])
    }
  }

  /// Keeps the configuration up to date and delivers evidence, until its task is cancelled. Then it delivers what is left
  /// and saves the configuration, within a few seconds.
  ///
  /// To be called once. It returns normally after being cancelled, as a service of swift-service-lifecycle should.
  public func run() async throws {
    await load()
    let timing = configuration.timing
    let http = ControlPlaneClient.httpClient(timing)
    let client = ControlPlaneClient(http: http, configuration: configuration)
    let follower = FeedFollower(
      client: client, live: live, board: board, counters: counters, acknowledger: acknowledger,
      timing: timing, logger: logger)
    await withTaskGroup { group in
      group.addTask { await follower.run() }
      group.addTask { [self] in await acknowledger.run(client, timing, counters, logger) }
      group.addTask { [self] in await evidence.run(client, timing) }
      group.addTask { [self] in await keepSaved(every: timing.save) }
    }
    // Not cancelled with the task that runs here.
    let rest = Task {
      var isDelivered = false
      for _ in configuration.controlPlanes where !isDelivered {
        isDelivered = await evidence.deliverAll(client)
      }
      if !isDelivered {
        logger.warning("Evidence is lost: the control plane did not take it before the end")
      }
      await save()
    }
    let limit = Task {
      try await Task.sleep(for: timing.shutdown)
      rest.cancel()
    }
    await rest.value
    limit.cancel()
    try await http.shutdown()
  }

  private func keepSaved(every interval: Duration) async {
    while !Task.isCancelled {
      try? await Task.sleep(for: interval)
      if !Task.isCancelled { await save() }
    }
  }

  private func save() async {
    guard let file, let position = live.position, saved.withLock({ $0 }) != position,
      let document = live.document
    else { return }
    do {
      try await NIOThreadPool.singleton.runIfActive { try file.save(document) }
      saved.withLock { $0 = document.position }
    } catch {
      board.failed("the configuration is not saved: \(error)")
      logger.error("The configuration is not saved", metadata: ["error": "\(error)"])
    }
  }
}

extension ProjectSettings.LoopSensitivity {
  init(_ sensitivity: Thresholds.LoopSensitivity) {
    self =
      switch sensitivity {
      case .off: .off
      case .low: .low
      case .medium: .medium
      case .high: .high
      }
  }
}

extension TypeID {
  fileprivate var uuidBytes: [UInt8] { withUnsafeBytes(of: uuid.uuid) { Array($0) } }
}
