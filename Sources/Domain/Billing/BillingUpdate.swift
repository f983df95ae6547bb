extension Billing {
  /// One change of a subscription, as a step from one condition to another.
  ///
  /// The provider's times have seconds, and several updates may fall into one. Each says what the subscription was like
  /// before it, so that the updates of a second form a path. Where the path ends is what counts.
  package struct Update: Hashable, Sendable, Codable {
    /// The provider's name of the event.
    package let source: String
    /// Nil when the event does not say it.
    package let before: String?
    package let after: String
    package let planTier: PlanTier?

    package init(source: String, before: String?, after: String, planTier: PlanTier?) {
      self.source = source
      self.before = before
      self.after = after
      self.planTier = planTier
    }

    private enum CodingKeys: String, CodingKey {
      case source, before, after
      case planTier = "plan_tier"
    }

    /// More updates in one second than anybody makes.
    private static let most = 32

    /// The update that ends the path which all of them form together, each taken once.
    ///
    /// In such a path every condition is reached as often as it is left, except for the first, which is left once more,
    /// and the last, which is reached once more. So the last one is known even where the order of the others is not.
    ///
    /// - Returns: nil when they form no single path (one of them is still to come, or does not say where it begins), and
    ///   when the path ends where it begins: then each of its conditions could be the last.
    static func last(of updates: [Update]) -> Update? {
      if updates.count == 1 { return updates[0] }
      guard updates.count <= most else { return nil }
      var balance: [String: Int] = [:]
      for update in updates {
        guard let before = update.before else { return nil }
        balance[before, default: 0] -= 1
        balance[update.after, default: 0] += 1
      }
      guard isConnected(updates) else { return nil }
      let ends = balance.filter { $0.value != 0 }
      let end: String?
      if ends.isEmpty {
        end = balance.count == 1 ? balance.keys.first : nil
      } else {
        let isPath = ends.count == 2 && ends.values.allSatisfy { abs($0) == 1 }
        end = isPath ? ends.first { $0.value == 1 }?.key : nil
      }
      return updates.filter { $0.after == end }.max { $0.source < $1.source }
    }

    /// Whether every condition can be reached from every other one, if steps may be taken backwards too.
    private static func isConnected(_ updates: [Update]) -> Bool {
      guard let first = updates.first else { return true }
      var reached: Set<String> = [first.after]
      var rest = updates
      while true {
        let (near, far) = (
          rest.filter { reached.contains($0.after) || $0.before.map(reached.contains) ?? false },
          rest.filter { !reached.contains($0.after) && !($0.before.map(reached.contains) ?? false) }
        )
        if near.isEmpty { return far.isEmpty }
        for update in near {
          reached.insert(update.after)
          if let before = update.before { reached.insert(before) }
        }
        rest = far
      }
    }
  }
}
