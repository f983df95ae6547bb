import Domain
import Postgres

/// What replays, exports and the compilation of rules work with: threads, connections and slots of their own, so that no
/// other request ever waits behind them.
struct LongWork: Sendable {
  /// Connections for pages of many rows. The shared readers answer in order, and would keep everybody waiting behind one.
  let pages: Pool
  /// A connection for the rules of whole workspaces.
  let rules: Pool
  let replays: WorkSlots
  let exports: WorkSlots
  /// For replays and exports.
  let threads = BackgroundThreads(count: 2)
  /// One is enough: the rules of a workspace are compiled once, and one workspace after the other.
  let compiler = BackgroundThreads(count: 1, priority: .low)

  /// For changes of thousands of parts: their bodies are parsed here, and they are prepared here. Their callers wait for that.
  let changes = BackgroundThreads(count: 2, priority: .low)

  init(_ connections: Connections, replaysAtOnce: Int, metrics: Metrics) {
    pages = connections.pages
    rules = connections.rules
    replays = WorkSlots(
      "replays", perWorkspace: 1, perProcess: replaysAtOnce, retryAfter: 5, metrics: metrics)
    exports = WorkSlots(
      "exports", perWorkspace: 2, perProcess: 64, retryAfter: 30, metrics: metrics)
  }
}
