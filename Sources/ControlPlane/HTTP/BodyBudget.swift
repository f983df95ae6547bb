import FoundationEssentials
import Synchronization

/// Bounds the memory that the bodies of all requests take together, from the first byte that is read until the reply.
final class BodyBudget: Sendable {
  private struct State {
    var bytes = 0
    var byCaller: [UUID: Int] = [:]
  }

  let limit: Int
  /// What the requests of one caller may take, so that no caller is refused for the bodies of another.
  let share: Int
  private let state = Mutex(State())

  /// - Parameters:
  ///   - limit: bytes of all bodies.
  ///   - share: bytes of one caller's bodies.
  init(limit: Int, share: Int) {
    self.limit = limit
    self.share = min(share, limit)
  }

  /// Bytes that are taken now.
  var bytes: Int { state.withLock { $0.bytes } }

  fileprivate func take(_ count: Int, for caller: UUID?) -> Bool {
    state.withLock { state in
      guard count <= limit - state.bytes else { return false }
      if let caller {
        let own = state.byCaller[caller, default: 0]
        guard count <= share - own else { return false }
        state.byCaller[caller] = own + count
      }
      state.bytes += count
      return true
    }
  }

  fileprivate func giveBack(_ count: Int, of caller: UUID?) {
    state.withLock { state in
      state.bytes -= count
      guard let caller, let own = state.byCaller[caller] else { return }
      state.byCaller[caller] = own > count ? own - count : nil
    }
  }
}

/// What one request's body takes of a ``BodyBudget``; given back when the request is over.
final class BodyReservation: Sendable {
  private let budget: BodyBudget
  private let caller: UUID?
  private let taken = Mutex(0)

  /// - Parameter caller: whose share is used; nil for callers that are not known.
  init(_ budget: BodyBudget, caller: UUID?) {
    self.budget = budget
    self.caller = caller
  }

  deinit {
    budget.giveBack(taken.withLock { $0 }, of: caller)
  }

  /// Takes as much as is missing to that many bytes.
  ///
  /// - Throws: a ``Problem`` of 503 when the process has no more room for bodies, or the caller's share is used up.
  func grow(to bytes: Int) throws(Problem) {
    let isGranted = taken.withLock { taken in
      guard bytes > taken else { return true }
      guard budget.take(bytes - taken, for: caller) else { return false }
      taken = bytes
      return true
    }
    guard isGranted else { throw Problem.unavailable(retryAfter: 1) }
  }
}
