import Domain
import FoundationEssentials
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

  private let pool: Pool
  private let seen = Mutex<[Token: Timestamp]>([:])

  package init(pool: Pool) {
    self.pool = pool
  }

  func note(_ token: ServiceTokenAccess, at time: Timestamp) {
    let key = Token(organizationID: token.organizationID.uuid, id: token.id.uuid)
    seen.withLock { $0[key] = time }
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
  package func write() async {
    let uses = seen.withLock { seen in
      defer { seen = [:] }
      return seen
    }
    guard !uses.isEmpty else { return }
    let tokens = Array(uses.keys)
    let query: Query = """
      INSERT INTO service_token_uses (organization_id, token_id, last_used_at) \
      SELECT * FROM unnest(\(tokens.map(\.organizationID)), \(tokens.map(\.id)), \
      \(tokens.map { TimestampTZ(uses[$0] ?? .now) })) \
      ON CONFLICT (organization_id, token_id) DO UPDATE \
      SET last_used_at = greatest(service_token_uses.last_used_at, excluded.last_used_at)
      """
    do {
      try await pool.withConnection(deadline: .now + .seconds(5)) { session in
        _ = try session.execute(query, deadline: .now + .seconds(5))
      }
    } catch {
      seen.withLock { seen in seen.merge(uses) { max($0, $1) } }
    }
  }
}
