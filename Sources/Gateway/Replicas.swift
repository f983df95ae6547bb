import Synchronization

/// Where the control plane is to be had, and which of its replicas is asked: the same one until it fails.
final class Replicas: Sendable {
  private let bases: [String]
  private let choice = Atomic(0)

  /// - Parameter urls: one at least.
  init(_ urls: [String]) {
    bases = urls.map { url in
      var base = url
      while base.last == "/" { base.removeLast() }
      return base
    }
  }

  var current: Int { choice.load(ordering: .relaxed) }

  func base(_ replica: Int) -> String { bases[replica] }

  /// From now on the next one is asked; nothing when this one is not asked any more.
  func leave(_ replica: Int) {
    _ = choice.compareExchange(
      expected: replica, desired: (replica + 1) % bases.count, ordering: .relaxed)
  }
}
