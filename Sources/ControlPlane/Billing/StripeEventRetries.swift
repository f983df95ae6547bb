import FoundationEssentials
import Logging
import Postgres
import ServiceLifecycle

/// Tries those of Stripe's events again that are due: what a replica left behind that died, what the database kept from
/// being done, what waits for something. Every replica does this; what one has in hand the others leave alone.
struct StripeEventRetries: Service {
  private static let interval: Duration = .seconds(1)
  private static let batch: Int64 = 20

  let processor: StripeEventProcessor
  let logger: Logger

  func run() async throws {
    let pool = processor.pool
    try? await cancelWhenGracefulShutdown {
      while true {
        try await Task.sleep(for: Self.interval)
        do {
          while try await tryThoseDue() == Self.batch {}
        } catch {
          // A database that is away is told of by readiness; what is due stays due.
          logger.debug("Stripe events that are due wait", metadata: ["error": "\(error)"])
        }
      }
    }
    await pool.close()
  }

  /// - Returns: how many were due.
  /// - Throws: ``PostgresError`` when none could be found.
  @discardableResult
  func tryThoseDue() async throws -> Int64 {
    let deadline = ContinuousClock.now + .seconds(15)
    let due = try await processor.pool.withConnection(deadline: deadline) { session throws in
      try session.execute(StripeEventTable.takeDue(limit: Self.batch), deadline: deadline)
        .map { row throws in try StoredStripeEvent(row) }
    }
    for stored in due {
      do {
        _ = try await processor.attempt(stored.next(deadline: deadline))
      } catch {
        // One that cannot be tried must not keep the others waiting.
        logger.warning(
          "a Stripe event could not be tried again", metadata: ["error": "\(error)"])
      }
    }
    return Int64(due.count)
  }
}
