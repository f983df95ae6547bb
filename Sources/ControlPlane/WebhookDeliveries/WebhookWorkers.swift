import Domain
import EventStore
import FoundationEssentials
import Logging
import ServiceLifecycle
import Synchronization

/// Sends what is due, on every replica. An endpoint is leased for as long as there is something to send to it, and is sent one
/// thing at a time, so one that hangs takes one place of many; those whose last attempt failed, or that never answered, take half
/// of them at most, and each workspace and each owner has a share (``WebhookLease/Shares``).
///
/// A delivery during which a process died is a suspect: it waits until no other suspect is in hand, and is given up after
/// three times (``JobAttempts``).
final class WebhookWorkers: Service {
  /// Attempts that are under way at once. None of them has a thread.
  static let mostEndpoints = 256
  private static let mostFailing = mostEndpoints / 2
  private static let claimedAtOnce = 64
  /// An endpoint with much to send lets others have its place now and then.
  private static let longestTurn: Duration = .seconds(10)
  /// Nobody has to be woken for what is due to be sent.
  private static let tick: Duration = .milliseconds(500)
  private static let retention: Int64 = 30 * 86_400_000_000

  private let store: WebhookStore
  private let dispatcher: WebhookDispatcher
  private let sender: WebhookSender
  private let commands: CommandHandler
  private let attempts: JobAttempts
  private let work: BroadcastSignal
  private let logger: Logger
  private let inFlight: Gauge
  private let oldest: Gauge
  private let counters: [WebhookSender.Outcome: Counter]
  private let busy = Mutex((healthy: 0, failing: 0))

  init(
    store: WebhookStore, sender: WebhookSender, commands: CommandHandler, attempts: JobAttempts,
    log: BroadcastSignal, work: BroadcastSignal, metrics: Metrics, logger: Logger
  ) {
    self.store = store
    self.sender = sender
    self.commands = commands
    self.attempts = attempts
    self.work = work
    self.logger = logger
    dispatcher = WebhookDispatcher(
      store: store, attempts: attempts, log: log, work: work, logger: logger)
    inFlight = metrics.gauge(
      "signalbox_webhook_endpoints_in_flight", "Endpoints that are being sent to.")
    oldest = metrics.gauge(
      "signalbox_webhook_oldest_pending_seconds",
      "For how long the oldest delivery waits whose endpoint is enabled.")
    counters = Dictionary(
      uniqueKeysWithValues: WebhookSender.Outcome.allCases.map { outcome in
        (
          outcome,
          metrics.counter(
            "signalbox_webhook_attempts_total",
            "Attempts to deliver, by what became of them; dead ones were the last.",
            ["result": outcome.rawValue])
        )
      })
  }

  func run() async throws {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask { await self.dispatcher.run() }
        group.addTask { await self.lookAfter() }
        group.addTask { await self.claimAndSend() }
      }
    }
    await store.close()
  }

  private func claimAndSend() async {
    await withDiscardingTaskGroup { group in
      while !Task.isCancelled {
        let seen = work.count
        let claimed = await claim()
        for (lease, isFailing) in claimed {
          group.addTask {
            await self.send(lease)
            self.busy.withLock { busy in
              if isFailing { busy.failing -= 1 } else { busy.healthy -= 1 }
            }
            self.inFlight.add(-1)
            self.work.raise()
          }
        }
        // Where there was something, there may be more.
        if claimed.isEmpty { await work.wait(after: seen, until: .now + Self.tick) }
      }
    }
  }

  private func claim() async -> [(lease: WebhookLease, isFailing: Bool)] {
    let (healthy, failing) = busy.withLock { busy in
      let free = Self.mostEndpoints - busy.healthy - busy.failing
      let forFailing = min(free, Self.mostFailing - busy.failing)
      return (
        min(free, Self.claimedAtOnce / 2), max(0, min(forFailing, Self.claimedAtOnce / 2))
      )
    }
    guard healthy > 0 else { return [] }
    do {
      let claimed = try await store.claim(healthy: healthy, failing: failing)
      busy.withLock { busy in
        for (_, isFailing) in claimed {
          if isFailing { busy.failing += 1 } else { busy.healthy += 1 }
        }
      }
      inFlight.add(claimed.count)
      return claimed
    } catch {
      // A database that is away is told of by readiness; what is due stays due.
      return []
    }
  }

  // MARK: One endpoint

  /// Sends what is due to one endpoint, one after the other.
  private func send(_ lease: WebhookLease) async {
    guard let abandoned = lease.abandoned else { return await sendAll(lease, suspect: nil) }
    do {
      let (isSuspect, counted) = try await store.suspect(abandoned, lease)
      attempts.noteSetAside(counted)
      guard isSuspect else { return await sendAll(lease, suspect: nil) }
      // It must not be in hand together with another suspect: whoever has the turn may take long.
      guard await attempts.lane.tryToEnter() else { return try await store.postpone(lease) }
    } catch {
      logger.debug("a webhook waits for the database", metadata: ["error": "\(error)"])
      return
    }
    await sendAll(lease, suspect: abandoned)
  }

  /// - Parameter suspect: what is sent while the lane of suspects is this caller's; the lane is left afterwards.
  private func sendAll(_ lease: WebhookLease, suspect: UUID?) async {
    var suspect = suspect
    defer {
      if suspect != nil { Task { await attempts.lane.leave() } }
    }
    var connection: WebhookConnection?
    defer { connection?.close() }
    let end = ContinuousClock.now + Self.longestTurn
    var report: WebhookLease.Report?
    while true {
      let goesOn = !Task.isCancelled && ContinuousClock.now < end
      let found = await next(lease, after: report, goesOn: goesOn)
      if let id = suspect, let report {
        // It is written down what became of it, and the process lives.
        suspect = nil
        await attempts.lane.leave()
        if report.isSuccess, report.job.id.uuid == id { await forget(id, lease) }
      }
      if let report, report.isUnreadable, report.retryIn == nil { await setAside(report, lease) }
      guard let (job, event) = found else { break }
      report = await sender.attempt(job, event, lease, over: &connection)
      guard let report else {
        await giveBack(lease)
        return
      }
      if report.result.responseStatus == 410, !job.isPing { await disable(lease, job) }
    }
    dispatcher.look(at: lease.organizationID.uuid)
  }

  private func forget(_ id: UUID, _ lease: WebhookLease) async {
    do {
      let item = WebhookLease.item(id, to: lease.endpointID, in: lease.organizationID)
      try await attempts.forget(item)
    } catch {
      // It is forgotten after a day.
      logger.debug("an attempt was not forgotten", metadata: ["error": "\(error)"])
    }
  }

  private func setAside(_ report: WebhookLease.Report, _ lease: WebhookLease) async {
    let id = report.job.id.uuid
    do {
      try await attempts.setAside(
        WebhookLease.item(id, to: lease.endpointID, in: lease.organizationID),
        "the event cannot be turned into a message")
    } catch {
      // The delivery is given up all the same, and its workspace sees it.
      logger.error(
        "a delivery was given up that is not shown as set aside",
        metadata: ["endpoint": "\(lease.endpointID)", "error": "\(error)"])
    }
  }

  // MARK: Set aside

  /// Makes deliveries of a workspace that is set aside.
  ///
  /// - Throws: when that still fails.
  func replayDispatch(_ item: JobItem) async throws { try await dispatcher.replay(item) }

  /// Has a delivery sent again that is set aside.
  ///
  /// - Throws: ``PostgresError``.
  func replayDelivery(_ item: JobItem) async throws {
    let parts = item.key.split(separator: "/").map(String.init)
    guard parts.count == 2, let endpoint = WebhookEndpointID(parts[0]),
      let event = EventID(parts[1]), let organization = item.organizationID
    else { return }
    try await store.retry(event, to: endpoint, in: organization)
    work.raise()
  }

  // MARK: Looking up

  /// What to send next, once it is written down what became of the last; tried for as long as the lease is sure to last.
  private func next(
    _ lease: WebhookLease, after report: WebhookLease.Report?, goesOn: Bool
  ) async -> (WebhookJob, Result<RecordedEvent?, any Error>)? {
    let end = ContinuousClock.now + (WebhookLease.length - WebhookClient.timeLimit) / 2
    while true {
      do {
        // Also when this process ends: what was delivered need not be sent again.
        let found = try await finishing {
          try await self.store.next(lease, after: report, goesOn: goesOn)
        }
        if let report { count(report) }
        return found
      } catch {
        guard ContinuousClock.now < end, !Task.isCancelled else {
          logger.warning(
            "what became of a webhook was not written down, it is sent again",
            metadata: ["endpoint": "\(lease.endpointID)", "error": "\(error)"])
          return nil
        }
        try? await Task.sleep(for: .milliseconds(200))
      }
    }
  }

  /// Whoever cannot say that they give a lease back just let it end.
  private func giveBack(_ lease: WebhookLease) async {
    do {
      try await finishing { try await self.store.giveBack(lease) }
    } catch {
      logger.debug("a webhook lease was not given back", metadata: ["error": "\(error)"])
    }
  }

  private func count(_ report: WebhookLease.Report) {
    let outcome: WebhookSender.Outcome =
      report.isSuccess ? .delivered : report.retryIn == nil ? .dead : .failed
    counters[outcome]?.add()
  }

  /// It says that it is gone: unless it has another URL meanwhile, nothing more is sent to it.
  private func disable(_ lease: WebhookLease, _ job: WebhookJob) async {
    let now = Timestamp.now
    do {
      _ = try await commands.handle(
        CommandRequest(
          commandID: Identifiers.next(at: now), organizationID: lease.organizationID,
          command: .webhookEndpoint(.disable(lease.endpointID, .gone, answeredAt: job.url)),
          actor: .system, occurredAt: now))
    } catch {
      // The next delivery is answered the same, and tries again.
      logger.warning(
        "an endpoint that is gone was not disabled",
        metadata: ["endpoint": "\(lease.endpointID)", "error": "\(error)"])
    }
  }

  /// Does something to its end although the task around it is cancelled.
  private func finishing<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    try await Task { try await body() }.value
  }

  // MARK: Looking after it

  private func lookAfter() async {
    var nextSweep = ContinuousClock.now
    while !Task.isCancelled {
      do {
        oldest.set(Int(try await store.oldestPending()))
        if ContinuousClock.now >= nextSweep {
          try await store.sweep(finishedBefore: .now.advanced(by: -Self.retention))
          nextSweep = .now + .seconds(600)
        }
      } catch {
        // Readiness tells of a database that is away.
        logger.debug("webhooks were not looked after", metadata: ["error": "\(error)"])
      }
      try? await Task.sleep(for: .seconds(5))
    }
  }
}
