import Domain
import HTTPTypes
import Synchronization

/// How many pieces of some long work go on at the same time: so many of one workspace, and so many of all.
final class WorkSlots: Sendable {
  /// Keeps a slot until it is released, or given up by the last who holds it.
  final class Slot: Sendable {
    private let slots: WorkSlots
    private let organization: OrganizationID
    private let isTaken = Mutex(true)

    fileprivate init(_ slots: WorkSlots, _ organization: OrganizationID) {
      self.slots = slots
      self.organization = organization
    }

    deinit { release() }

    func release() {
      let wasTaken = isTaken.withLock { isTaken in
        defer { isTaken = false }
        return isTaken
      }
      if wasTaken { slots.release(organization) }
    }
  }

  private struct State {
    var total = 0
    var byWorkspace: [OrganizationID: Int] = [:]
  }

  private let name: String
  private let perWorkspace: Int
  private let perProcess: Int
  private let retryAfter: Int
  private let running: Gauge
  private let refused: Counter
  private let state = Mutex(State())

  /// - Parameters:
  ///   - name: what the work is called in messages and metrics, in the plural: `replays`.
  ///   - retryAfter: in how many seconds a slot is likely to be free.
  init(
    _ name: String, perWorkspace: Int, perProcess: Int, retryAfter: Int, metrics: Metrics
  ) {
    self.name = name
    self.perWorkspace = perWorkspace
    self.perProcess = perProcess
    self.retryAfter = retryAfter
    running = metrics.gauge("signalbox_\(name)_running", "How many \(name) go on here now.")
    refused = metrics.counter(
      "signalbox_\(name)_refused_total", "The \(name) that were refused because others went on.")
  }

  /// - Throws: a ``Problem`` of 429 that says who has to wait for whom.
  func take(for organization: OrganizationID) throws(Problem) -> Slot {
    let reason: String? = state.withLock { state in
      let own = state.byWorkspace[organization, default: 0]
      if own >= perWorkspace {
        return "the workspace has \(own) of its \(name) running, and \(perWorkspace) is the most"
      }
      if state.total >= perProcess {
        return
          "\(state.total) \(name) of other workspaces are running here, and \(perProcess) is the most"
      }
      state.total += 1
      state.byWorkspace[organization] = own + 1
      return nil
    }
    if let reason {
      refused.add()
      throw Problem(.tooManyRunning, reason, headers: [.retryAfter: "\(retryAfter)"])
    }
    running.add(1)
    return Slot(self, organization)
  }

  fileprivate func release(_ organization: OrganizationID) {
    running.add(-1)
    state.withLock { state in
      state.total -= 1
      let own = state.byWorkspace[organization, default: 0] - 1
      state.byWorkspace[organization] = own > 0 ? own : nil
    }
  }
}
