import Domain
import FoundationEssentials

/// Bounds what one workspace, and one principal in all workspaces, append to the log, which all workspaces share, and take of
/// the writer's time.
///
/// The first 4 KiB of every change are free, because the limits on requests bound them already. What is beyond is taken
/// from both buckets before the change is queued, and given back when nothing was appended.
package struct AppendLimit: Sendable {
  /// Bytes of a change that are not counted.
  static let freeBytes = 4096

  private let limiter: RateLimiter
  private let refused: Counter

  init(limiter: RateLimiter, metrics: Metrics) {
    self.limiter = limiter
    refused = metrics.counter(
      "signalbox_append_limited_total",
      "Changes refused because their workspace has appended too many bytes to the log.")
  }

  /// Refuses a change that would have to wait, before it is read: that takes long when it is large.
  ///
  /// - Parameter principalOrWorkspace: whose bucket is looked at.
  /// - Throws: a ``Problem`` of 429.
  func admit(bytes: Int, of principalOrWorkspace: UUID, _ exchange: Exchange) throws {
    guard case let counted = Int64(max(0, bytes)) - Int64(Self.freeBytes), counted > 0,
      let decision = limiter.admitsAppend(counted, of: principalOrWorkspace)
    else {
      return
    }
    if !decision.isAllowed { refused.add() }
    try exchange.require(decision)
  }

  /// Runs a change, unless its workspace or its sender has to wait.
  ///
  /// - Parameters:
  ///   - bytes: of the request, which have to be left.
  ///   - overhead: what the change appends besides. It is charged, too, and may be owed.
  ///   - change: answers whether the bytes stay taken.
  /// - Throws: a ``Problem`` of 429, and whatever the change throws; the bytes are given back then.
  func run<Value>(
    bytes: Int, overhead: Int, of workspace: OrganizationID, by principal: UUID,
    _ exchange: Exchange, keepingIf isCharged: (Value) -> Bool, _ change: () async throws -> Value
  ) async throws -> Value {
    let needed = max(0, Int64(bytes) - Int64(Self.freeBytes))
    let counted = Int64(bytes) + Int64(overhead) - Int64(Self.freeBytes)
    guard counted > 0,
      let decision = limiter.appends(
        counted, needing: needed, to: workspace.uuid, by: principal)
    else { return try await change() }
    if !decision.isAllowed { refused.add() }
    try exchange.require(decision)
    do {
      let value = try await change()
      if !isCharged(value) { limiter.givesBack(counted, to: workspace.uuid, by: principal) }
      return value
    } catch {
      limiter.givesBack(counted, to: workspace.uuid, by: principal)
      throw error
    }
  }
}
