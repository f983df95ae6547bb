import Domain
import EventStore
import FoundationEssentials
import Postgres
import ServiceLifecycle
import Synchronization

/// What a gateway says that it runs.
struct GatewayReport: Sendable {
  struct Refusal: Sendable {
    let position: Int64
    let reason: String
  }

  /// Names the instance among those that share a token.
  let name: ExactText
  let position: Int64
  /// What it was told, and does not run.
  let refusal: Refusal?
}

/// What every gateway said last, kept in memory and written down a few times a second: evidence, not a change.
final class GatewayReports: Service {
  private struct Instance: Hashable {
    let tokenID: GatewayTokenID
    let name: ExactText
  }

  private static let interval: Duration = .milliseconds(100)

  private let pool: Pool
  private let reports = Mutex<[Instance: (GatewayReport, Timestamp)]>([:])

  init(pool: Pool) {
    self.pool = pool
  }

  func note(_ report: GatewayReport, of tokenID: GatewayTokenID, at time: Timestamp = .now) {
    let instance = Instance(tokenID: tokenID, name: report.name)
    reports.withLock { $0[instance] = (report, time) }
  }

  func run() async throws {
    try? await cancelWhenGracefulShutdown {
      while true {
        try await Task.sleep(for: Self.interval)
        await self.write()
      }
    }
    await write()
  }

  /// Writes down what was said since; kept for the next time when the database does not take it.
  func write() async {
    let reports = reports.withLock { reports in
      defer { reports = [:] }
      return reports
    }
    guard !reports.isEmpty else { return }
    let query = GatewayTable.table.upsert(
      reports.map { instance, report in
        GatewayRow(tokenID: instance.tokenID, report: report.0, seenAt: report.1)
      })
    do {
      try await pool.withConnection(deadline: .now + .seconds(5)) { session in
        _ = try session.execute(query, deadline: .now + .seconds(5))
      }
    } catch {
      self.reports.withLock { $0.merge(reports) { new, _ in new } }
    }
  }
}
