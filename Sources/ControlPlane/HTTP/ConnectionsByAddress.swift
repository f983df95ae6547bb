import Synchronization

/// Counts the connections of each client address, so that no address takes the places of all others.
final class ConnectionsByAddress: Sendable {
  private let limit: Int
  private let trustedProxies: TrustedProxies
  private let counts = Mutex<[String: Int]>([:])

  /// - Parameters:
  ///   - limit: connections of one address at the same time.
  ///   - trustedProxies: these carry the connections of many clients and are not limited.
  init(limit: Int, trustedProxies: TrustedProxies) {
    self.limit = limit
    self.trustedProxies = trustedProxies
  }

  /// Counts a connection; false when its address has too many already.
  func enter(_ address: String) -> Bool {
    if trustedProxies.trusts(peer: address) { return true }
    return counts.withLock { counts in
      let count = counts[address, default: 0]
      guard count < limit else { return false }
      counts[address] = count + 1
      return true
    }
  }

  /// Ends the counting of a connection that ``enter(_:)`` let in.
  func leave(_ address: String) {
    counts.withLock { counts in
      guard let count = counts[address] else { return }
      counts[address] = count > 1 ? count - 1 : nil
    }
  }
}
