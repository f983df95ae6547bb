import Logging
import ServiceLifecycle

/// Keeps the number of items that are set aside up to date, on every replica.
struct SetAsideWatch: Service {
  private static let interval: Duration = .seconds(5)

  let attempts: JobAttempts
  let logger: Logger

  func run() async throws {
    try? await cancelWhenGracefulShutdown {
      while true {
        do {
          try await attempts.tend()
        } catch {
          // Readiness tells of a database that is away.
          logger.debug("what is set aside was not counted", metadata: ["error": "\(error)"])
        }
        try await Task.sleep(for: Self.interval)
      }
    }
  }
}
