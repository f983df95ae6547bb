import Domain
import FoundationEssentials
package import Logging
package import Postgres
package import ServiceLifecycle
import Synchronization

/// When each service token was seen last, kept in memory and written down once a minute: evidence, not a change.
package final class ServiceTokenUses: Service {
  private struct Token: Hashable {
    let organizationID: UUID
    let id: UUID
  }

  private static let interval: Duration = .seconds(60)

  private let notes: LatestNotes<Token, Timestamp>

  package init(pool: Pool, logger: Logger) {
    notes = LatestNotes(of: "service tokens", pool: pool, logger: logger) { uses in
      let tokens = Array(uses.keys)
      return """
        INSERT INTO service_token_uses (organization_id, token_id, last_used_at) \
        SELECT * FROM unnest(\(tokens.map(\.organizationID)), \(tokens.map(\.id)), \
        \(tokens.map { TimestampTZ(uses[$0] ?? .now) })) \
        ON CONFLICT (organization_id, token_id) DO UPDATE \
        SET last_used_at = greatest(service_token_uses.last_used_at, excluded.last_used_at)
        """
    }
  }

  func note(_ token: ServiceTokenAccess, at time: Timestamp) {
    notes.note(time, of: Token(organizationID: token.organizationID.uuid, id: token.id.uuid))
  }

  package func run() async throws {
    try? await cancelWhenGracefulShutdown {
      while true {
        try await Task.sleep(for: Self.interval)
        await self.write()
      }
    }
    await write()
  }

  /// Writes down what was seen since; kept for the next time when the database does not take it.
  package func write() async { await notes.write() }
}
