import Domain
import EventStore
import FoundationEssentials
import Logging
import Postgres
import ServiceLifecycle

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

  private let notes: LatestNotes<Instance, (report: GatewayReport, time: Timestamp)>

  init(pool: Pool, logger: Logger) {
    notes = LatestNotes(of: "gateways", pool: pool, logger: logger) { reports in
      GatewayTable.table.upsert(
        reports.map { instance, note in
          GatewayRow(tokenID: instance.tokenID, report: note.report, seenAt: note.time)
        })
    }
  }

  func note(_ report: GatewayReport, of tokenID: GatewayTokenID, at time: Timestamp = .now) {
    notes.note((report, time), of: Instance(tokenID: tokenID, name: report.name))
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
  func write() async { await notes.write() }
}
