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

  /// The plan that is sold at a price; nil when it is something else's.
  func tier(for price: Subscription.Price) -> PlanTier? {
    if let configured = prices.first(where: { $0.value == price.id }) { return configured.key }
    return PlanTier.allCases.first {
      $0 != .free && prices[$0] == nil && Self.lookupKey(of: $0) == price.lookupKey
    }
  }
}
