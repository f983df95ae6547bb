import EventStore
import Logging
package import NIOSSL
import Postgres

/// How webhooks are sent: what tests and development choose for themselves.
package struct Webhooks: Sendable {
  package static let production = Webhooks()

  package var targets = TargetPolicy()
  package var resolver: any HostResolver = SystemResolver()
  /// Nil to believe those whom the system's certificate authorities vouch for.
  package var tls: TLSConfiguration?
  /// For one attempt.
  package var timeLimit = WebhookClient.timeLimit

  /// Descriptors that sending takes at most: a connection for each delivery under way, and two for each name being resolved.
  static let maxDescriptors = WebhookWorkers.mostEndpoints + 2 * SystemResolver.defaultMaxNames

  package init(targets: TargetPolicy = TargetPolicy()) {
    self.targets = targets
  }

  /// What sends them in one process.
  struct Deliveries {
    let store: WebhookStore
    let workers: WebhookWorkers
    /// Raised when there is something to send.
    let work: BroadcastSignal
  }

  /// - Parameter log: raised when something was appended.
  func deliveries(
    pool: Pool, services: Services, attempts: JobAttempts, log: BroadcastSignal, metrics: Metrics,
    logger: Logger
  ) -> Deliveries {
    let work = BroadcastSignal()
    let store = WebhookStore(pool: pool, holder: attempts.holder)
    let client = WebhookClient(
      policy: targets, resolver: resolver, tls: tls, timeLimit: timeLimit)
    let workers = WebhookWorkers(
      store: store, sender: WebhookSender(client: client, vault: services.webhookSecrets),
      commands: services.commands, attempts: attempts, log: log, work: work, metrics: metrics,
      logger: logger)
    return Deliveries(store: store, workers: workers, work: work)
  }
}
