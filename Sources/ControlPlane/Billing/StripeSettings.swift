package import Domain
package import Stripe

/// How Stripe is reached, and whom it is believed to be. Without secrets nothing is taken from it, without a client nothing
/// is sold.
package struct StripeSettings: Sendable {
  /// The secrets of the webhook endpoint that are good now: two while it is being rotated.
  package var webhookSecrets: [String] = []
  package var client: StripeClient?
  /// The ids of the prices of plans. A plan that has none here is sold at the price whose lookup key is ``lookupKey(of:)``.
  package var prices: [PlanTier: String] = [:]

  package init() {}

  /// Whether plans are paid for here.
  var isConfigured: Bool { client != nil || !webhookSecrets.isEmpty }

  /// E.g. `signalbox_plus`.
  static func lookupKey(of tier: PlanTier) -> String { "signalbox_\(tier.rawValue)" }

  /// The largest of the plans that are sold at some of the prices; nil when all of them are something else's. What is sold
  /// beside a plan is an item of the same subscription, in any order.
  func tier(for prices: [Subscription.Price]) -> PlanTier? {
    let tiers = prices.compactMap(tier(for:))
    return PlanTier.allCases.last { tiers.contains($0) }
  }

  private func tier(for price: Subscription.Price) -> PlanTier? {
    if let configured = prices.first(where: { $0.value == price.id }) { return configured.key }
    return PlanTier.allCases.first {
      $0 != .free && prices[$0] == nil && Self.lookupKey(of: $0) == price.lookupKey
    }
  }
}
