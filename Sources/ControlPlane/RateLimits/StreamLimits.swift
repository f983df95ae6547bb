package import FoundationEssentials
import HTTPTypes
import Synchronization

/// Bounds how many streams one caller holds open: each takes a connection and memory for as long as it lasts.
package final class StreamLimits: Sendable {
  /// What browsers with several tabs, or a handful of scripts, need.
  package static let maxPerCaller = 16

  private let counts = Mutex<[UUID: Int]>([:])

  package init() {}

  /// - Returns: the place that the stream takes until it is closed; nil when the caller has too many open.
  package func open(for caller: UUID) -> Place? {
    counts.withLock { counts in
      let count = counts[caller, default: 0]
      guard count < Self.maxPerCaller else { return nil }
      counts[caller] = count + 1
      return Place(limits: self, caller: caller)
    }
  }

  private func close(_ caller: UUID) {
    counts.withLock { counts in
      guard let count = counts[caller] else { return }
      counts[caller] = count > 1 ? count - 1 : nil
    }
  }

  /// The place of one stream. It is given back once, when it is closed or when nothing refers to it any more.
  package final class Place: Sendable {
    private let limits: StreamLimits
    private let caller: UUID
    private let isOpen = Mutex(true)

    fileprivate init(limits: StreamLimits, caller: UUID) {
      self.limits = limits
      self.caller = caller
    }

    deinit { close() }

    package func close() {
      let wasOpen = isOpen.withLock { isOpen in
        defer { isOpen = false }
        return isOpen
      }
      if wasOpen { limits.close(caller) }
    }
  }
}

extension RateLimiter {
  /// Counts a stream that is about to begin; nil when limits are off.
  ///
  /// - Throws: a ``Problem`` of 429 when the caller has too many open.
  func openStream(of caller: UUID) throws(Problem) -> StreamLimits.Place? {
    guard isEnabled else { return nil }
    guard let place = streams.open(for: caller) else {
      throw Problem(
        .rateLimited,
        "at most \(StreamLimits.maxPerCaller) streams of one caller are open at a time: close one first",
        headers: [.retryAfter: "5"])
    }
    return place
  }
}
