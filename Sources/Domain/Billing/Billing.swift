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
    /// The update that was learnt. It may be older than what the subscription is then: several updates of one second come
    /// in any order.
    package let update: Billing.Update?
    package var event: WorkspaceEvent { .billing(.subscriptionChanged(self)) }

    private enum CodingKeys: String, CodingKey {
      case subscriptionID = "subscription_id"
      case customerID = "customer_id"
      case planTier = "plan_tier"
      case place, update
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
  package struct Subscription: Equatable, Sendable, Codable {
    package let customerID: String
    package let planTier: PlanTier?
    package let place: Place
    /// All updates that are known of the place's second.
    package let updates: [Update]

    private enum CodingKeys: String, CodingKey {
      case place, updates
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
      let known = subscriptions[changed.subscriptionID]
      let others = known.flatMap { $0.place.isSameMoment(as: changed.place) ? $0.updates : nil }
      subscriptions[changed.subscriptionID] = Subscription(
        customerID: changed.customerID, planTier: changed.planTier, place: changed.place,
        updates: (others ?? []) + (changed.update.map { [$0] } ?? []))
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
  case subscription(
    String, customerID: String, planTier: PlanTier?, Billing.Place, Billing.Update? = nil,
    ifUnclear: Billing.IfUnclear = .decideByName)
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
    case .subscription(let id, let customerID, let tier, let place, let update, let ifUnclear):
      guard
        let event = try billing.change(
          of: id, customerID, tier, place, update, ifUnclear: ifUnclear)
      else { return [] }
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

extension Billing {
  /// What a fact makes of a subscription; nil when it says nothing new.
  ///
  /// - Throws: ``Rejection/subscriptionUnclear``.
  fileprivate func change(
    of id: String, _ customerID: String, _ tier: PlanTier?, _ place: Place, _ update: Update?,
    ifUnclear: IfUnclear
  ) throws(Rejection) -> BillingEvent? {
    func changed(to tier: PlanTier?, _ place: Place) -> BillingEvent {
      .subscriptionChanged(
        .init(
          subscriptionID: id, customerID: customerID, planTier: tier, place: place, update: update))
    }
    guard let update, let known = subscriptions[id], known.place.isSameMoment(as: place),
      !known.updates.isEmpty
    else {
      if let known = subscriptions[id], known.place >= place { return nil }
      return changed(to: tier, place)
    }
    guard !known.updates.contains(where: { $0.source == update.source }) else { return nil }
    let updates = known.updates + [update]
    if let last = Update.last(of: updates) {
      return changed(to: last.planTier, place.of(last))
    }
    guard ifUnclear == .decideByName, let last = updates.max(by: { $0.source < $1.source }) else {
      throw .subscriptionUnclear
    }
    return changed(to: last.planTier, place.of(last))
  }
}
