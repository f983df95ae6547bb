public import FoundationEssentials
import Synchronization

/// How a gateway is, for those who operate it.
public struct GatewayStatus: Sendable, Equatable {
  /// The position of the configuration that it runs; nil when it has none yet, and lets nothing pass.
  public internal(set) var position: Int64?
  /// Whether the stream of changes is open.
  public internal(set) var isConnected = false
  /// Whether the configuration may be older than what the control plane would say now: not connected, not caught up, a
  /// change was refused, or the control plane itself has lost its database.
  public internal(set) var isStale = true
  /// Since when it is stale, or is not.
  public internal(set) var since: Date
  /// What went wrong last, in words; nil when it did not go wrong since the configuration was up to date.
  public internal(set) var lastError: String?
}

/// The status, and what it follows from.
final class StatusBoard: Sendable {
  private struct State {
    var status: GatewayStatus
    var isControlPlaneStale = false
    /// The newest position that is known to exist.
    var newest: Int64 = 0
    var hasRefused = false
  }

  private let state: Mutex<State>
  private let now: @Sendable () -> Date

  init(now: @escaping @Sendable () -> Date = { Date() }) {
    self.now = now
    state = Mutex(State(status: GatewayStatus(since: now())))
  }

  var status: GatewayStatus { state.withLock { $0.status } }

  func runs(_ position: Int64) {
    update { $0.status.position = position }
  }

  /// A whole configuration was taken over: what was refused before does not matter any more.
  func replaced(with position: Int64) {
    update {
      $0.status.position = position
      $0.newest = position
      $0.hasRefused = false
    }
  }

  func controlPlane(isStale: Bool, newest: Int64) {
    update {
      $0.status.isConnected = true
      $0.isControlPlaneStale = isStale
      $0.newest = newest
    }
  }

  func disconnected(_ reason: String?) {
    update {
      $0.status.isConnected = false
      if let reason { $0.status.lastError = reason }
    }
  }

  func refused(_ reason: String) {
    update {
      $0.hasRefused = true
      $0.status.lastError = reason
    }
  }

  func failed(_ reason: String) {
    update { $0.status.lastError = reason }
  }

  private func update(_ body: (inout State) -> Void) {
    let time = now()
    state.withLock { state in
      body(&state)
      let isStale =
        !state.status.isConnected || state.isControlPlaneStale || state.hasRefused
        || (state.status.position ?? -1) < state.newest
      if isStale != state.status.isStale {
        state.status.isStale = isStale
        state.status.since = time
        if !isStale { state.status.lastError = nil }
      }
    }
  }
}

/// What a gateway has counted since it started.
public struct GatewayMetrics: Sendable, Equatable {
  /// Requests that passed.
  public internal(set) var decisionsAllowed = 0
  /// Requests that did not.
  public internal(set) var decisionsBlocked = 0
  /// Connections to the stream of changes that were opened.
  public internal(set) var connections = 0
  /// Whole configurations that were fetched.
  public internal(set) var snapshots = 0
  /// Changes that hold now.
  public internal(set) var changesApplied = 0
  /// Changes that were not newer than what the gateway runs.
  public internal(set) var changesIgnored = 0
  /// Changes and whole configurations that could not be applied.
  public internal(set) var changesRefused = 0
  /// Words to the control plane about what runs here.
  public internal(set) var acknowledgements = 0
  /// Records that were taken to be delivered.
  public internal(set) var evidenceRecorded = 0
  /// Records that the control plane has, each counted once.
  public internal(set) var evidenceDelivered = 0
  /// Records that were dropped because too many waited.
  public internal(set) var evidenceDropped = 0
  /// Records that the control plane does not take.
  public internal(set) var evidenceRefused = 0
  /// Attempts to deliver evidence that failed.
  public internal(set) var evidenceFailures = 0
}

final class Counters: Sendable {
  private let state = Mutex(GatewayMetrics())
  /// By themselves: every request counts here.
  private let allowed = Atomic(0)
  private let blocked = Atomic(0)

  func count(_ counter: any WritableKeyPath<GatewayMetrics, Int> & Sendable, by amount: Int = 1) {
    state.withLock { $0[keyPath: counter] += amount }
  }

  func count(isAllowed: Bool) {
    if isAllowed {
      allowed.add(1, ordering: .relaxed)
    } else {
      blocked.add(1, ordering: .relaxed)
    }
  }

  var metrics: GatewayMetrics {
    var metrics = state.withLock { $0 }
    metrics.decisionsAllowed = allowed.load(ordering: .relaxed)
    metrics.decisionsBlocked = blocked.load(ordering: .relaxed)
    return metrics
  }
}
