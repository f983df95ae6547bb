/// How a workspace gets a larger plan on this installation. The platform may always give one, and a smaller one needs no
/// leave beyond the permission.
package enum PlanUpgrades: Sendable {
  /// A subscription pays for it.
  case subscribed
  /// The platform gives it, and no one else.
  case platform
  /// Its own members take it: for installations that sell nothing.
  case selfService
}

/// A larger plan has to be paid for first.
package struct PaymentRequired: Equatable, Sendable {
  package let plan: PlanTier
  /// The larger plan that was asked for.
  package let upgrade: PlanTier
  /// Whether there is a subscription already: then the billing portal changes it, and no new checkout is made.
  package let isSubscribed: Bool
}

extension Workspace {
  /// Refuses a plan that is larger than the present one and that neither a subscription pays for nor the platform gives.
  func requireLeave(to tier: PlanTier, in context: CommandContext) throws(Rejection) {
    let current = plan?.tier ?? .free
    let isPlatform = context.isByPlatform || context.actor.kind == .system
    guard tier.isLarger(than: current), !isPlatform, tier.isLarger(than: billing.planTier) else {
      return
    }
    switch context.upgrades {
    case .selfService: return
    case .platform: throw .planGivenByPlatform(tier)
    case .subscribed:
      throw .paymentRequired(
        PaymentRequired(
          plan: current, upgrade: tier, isSubscribed: billing.subscriptionID != nil))
    }
  }
}

extension PlanTier {
  /// Whether it comes after the other one among the plans that are sold.
  fileprivate func isLarger(than other: PlanTier) -> Bool {
    switch (self, other) {
    case (.free, _), (.plus, .plus), (.plus, .business), (.business, .business): false
    case (.plus, .free), (.business, .free), (.business, .plus): true
    }
  }
}
