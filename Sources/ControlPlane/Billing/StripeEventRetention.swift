import Logging
import Postgres
import ServiceLifecycle

/// Deletes Stripe's events some time after they were done with. Dead letters, and events that wait, stay until they are
/// seen to. Every replica does this; rows that one has in hand the others leave alone.
struct StripeEventRetention: Service {
  /// Stripe itself keeps events for 30 days.
  static let age = Duration.seconds(90 * 86_400)
  private static let interval = Duration.seconds(3600)
  /// In one statement, so that none takes long.
  static let batch: Int64 = 500
  /// In one round, however much has come together: the rest is for the next one.
  private static let mostBatches = 200

  let pool: Pool
  let logger: Logger

  func run() async throws {
    try? await cancelWhenGracefulShutdown {
      while true {
        try await Task.sleep(for: Self.interval)
        do {
          _ = try await deleteFinished()
        } catch {
          logger.warning("Stripe's old events stay for now", metadata: ["error": "\(error)"])
        }
      }
    }
  }

  /// - Returns: how many were deleted.
  /// - Throws: ``PostgresError``.
  @discardableResult
  func deleteFinished() async throws -> Int64 {
    var deleted: Int64 = 0
    for _ in 0..<Self.mostBatches {
      let deadline = ContinuousClock.now + .seconds(15)
      let count = try await pool.withConnection(deadline: deadline) { session throws in
        try session.execute(
          StripeEventTable.deleteFinished(olderThan: Self.age, limit: Self.batch),
          deadline: deadline
        ).affected
      }
      deleted += Int64(count)
      if count < Int(Self.batch) { break }
    }
    return deleted
  }
}
