// MARK: Events

/// What the payment provider and a workspace have to do with each other.
package enum BillingEvent: Equatable, Sendable {
  case customerLinked(CustomerLinked)
  case subscriptionChanged(SubscriptionChanged)

  package struct CustomerLinked: EventPayload {
    package static let type = "organization.billing_linked"
    package let customerID: String
    package var event: WorkspaceEvent { .billing(.customerLinked(self)) }

    private enum CodingKeys: String, CodingKey {
      case customerID = "customer_id"
    }
  }

  /// A subscription as it is from then on.
  package struct SubscriptionChanged: EventPayload {
    package static let type = "organization.subscription_changed"
    package let subscriptionID: String
    package let customerID: String
    /// What it pays for; absent when it pays for nothing (any more).
    package let planTier: PlanTier?
    package let place: Billing.Place
    package var event: WorkspaceEvent { .billing(.subscriptionChanged(self)) }

    private enum CodingKeys: String, CodingKey {
      case subscriptionID = "subscription_id"
      case customerID = "customer_id"
      case planTier = "plan_tier"
      case place
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [
    CustomerLinked.self, SubscriptionChanged.self,
  ]

  var payload: any EventPayload {
    switch self {
    case .customerLinked(let payload): payload
    case .subscriptionChanged(let payload): payload
    }
  }
}

// MARK: State and evolve

/// What the payment provider calls a workspace, and what is subscribed to. The same facts always leave the same
/// subscriptions, in whatever order they were learnt.
package struct Billing: Equatable, Sendable, Codable {
  /// Where a fact stands among those about the same subscription.
  package struct Place: Hashable, Comparable, Sendable, Codable {
    /// When it happened, in seconds since the epoch, as the provider tells it.
    package let time: Int64
    /// Of those that happened in the same second: what was made is changed, and what was changed ends.
    package let rank: Int64
    /// The provider's name of the event. It only makes sure that no two facts have the same place.
    package let source: String

    package init(time: Int64, rank: Int64, source: String) {
      self.time = time
      self.rank = rank
      self.source = source
    }

    package static func < (left: Place, right: Place) -> Bool {
      (left.time, left.rank, left.source) < (right.time, right.rank, right.source)
    }
  }

  package struct Subscription: Equatable, Sendable, Codable {
    package let customerID: String
    package let planTier: PlanTier?
    package let place: Place

    private enum CodingKeys: String, CodingKey {
      case place
      case customerID = "customer_id"
      case planTier = "plan_tier"
    }
  }

  /// The customer that pays for the plan, or the first that anything was bought as.
  package private(set) var customerID: String?
  package private(set) var subscriptions: [String: Subscription] = [:]

  package init() {}

  /// The largest plan that is paid for; free when none is.
  package var planTier: PlanTier { paying?.value.planTier ?? .free }
  /// The subscription that pays for it.
  package var subscriptionID: String? { paying?.key }

  private var paying: (key: String, value: Subscription)? {
    let tiers: [PlanTier?] = PlanTier.allCases
    return subscriptions.filter { $0.value.planTier ?? .free != .free }
      .max { left, right in
        let (one, other) = (left.value.planTier, right.value.planTier)
        return one == other
          ? left.key < right.key
          : tiers.firstIndex(of: one) ?? 0 < tiers.firstIndex(of: other) ?? 0
      }
  }

  mutating func evolve(_ event: BillingEvent) {
    switch event {
    case .customerLinked(let linked): customerID = linked.customerID
    case .subscriptionChanged(let changed):
      subscriptions[changed.subscriptionID] = Subscription(
        customerID: changed.customerID, planTier: changed.planTier, place: changed.place)
      customerID = paying?.value.customerID ?? customerID ?? changed.customerID
    }
  }

  private enum CodingKeys: String, CodingKey {
    case subscriptions
    case customerID = "customer_id"
  }
}

// MARK: Commands and decide

/// What the payment provider tells: facts that may come late, again, and in any order.
package enum BillingCommand: Equatable, Sendable {
  /// Something was bought as this customer.
  case link(customerID: String)
  /// A subscription is as told; nil when it pays for nothing (any more).
  case subscription(String, customerID: String, planTier: PlanTier?, Billing.Place)
}

extension Workspace {
  /// The plan follows the subscriptions when what they pay for changes. One that somebody gave beside them stays until then.
  func decide(
    _ command: BillingCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    guard let organization else { throw .notFound(.organization) }
    switch command {
    case .link(let customerID):
      guard billing.customerID == nil else { return [] }
      return [.billing(.customerLinked(.init(customerID: customerID)))]
    case .subscription(let id, let customerID, let tier, let place):
      if let known = billing.subscriptions[id], known.place >= place { return [] }
      let event = BillingEvent.subscriptionChanged(
        .init(subscriptionID: id, customerID: customerID, planTier: tier, place: place))
      var after = billing
      after.evolve(event)
      guard after.planTier != billing.planTier, after.planTier != plan?.tier,
        organization.archivedAt == nil
      else { return [.billing(event)] }
      return [
        .billing(event), .plan(.changed(.init(after.planTier, of: context.plans))),
      ]
    }
  }
}
