import Support
import Testing

@testable import Domain

/// Who pays decides the plan.
@Suite struct PlanUpgradeTests {
  private static func change(to tier: PlanTier) -> WorkspaceCommand { .plan(.change(to: tier)) }

  /// A subscription that pays for a plan.
  private static func subscribed(to tier: PlanTier) -> WorkspaceEvent {
    .billing(
      .subscriptionChanged(
        .init(
          subscriptionID: "sub_1", customerID: "cus_1", planTier: tier,
          place: Billing.Place(time: 1, rank: 0, source: "evt_1"), update: nil)))
  }

  @Test(arguments: [
    (PlanTier.free, PlanTier.plus), (.free, .business), (.plus, .business),
  ])
  func `an owner gets no larger plan without paying`(from: PlanTier, to: PlanTier) {
    let scenario = given(.created, .ownerAdded, .onPlan(from))
    scenario.when(Self.change(to: to), by: .user(owner), upgrades: .subscribed)
      .thenRejected(
        .paymentRequired(PaymentRequired(plan: from, upgrade: to, isSubscribed: false)))
    scenario.when(Self.change(to: to), by: .user(owner), upgrades: .platform)
      .thenRejected(.planGivenByPlatform(to))
  }

  @Test func `a workspace without a plan is on the smallest one`() {
    given(.created, .ownerAdded)
      .when(Self.change(to: .plus), by: .user(owner), upgrades: .platform)
      .thenRejected(.planGivenByPlatform(.plus))
  }

  @Test func `who has a subscription changes it in the billing portal`() {
    given(.created, .ownerAdded, Self.subscribed(to: .plus), .onPlan(.plus))
      .when(Self.change(to: .business), by: .user(owner), upgrades: .subscribed)
      .thenRejected(
        .paymentRequired(PaymentRequired(plan: .plus, upgrade: .business, isSubscribed: true)))
  }

  @Test func `a plan that is paid for can be taken again after a smaller one`() {
    given(.created, .ownerAdded, Self.subscribed(to: .plus), .onPlan(.free))
      .when(Self.change(to: .plus), by: .user(owner), upgrades: .subscribed).then(.onPlan(.plus))
  }

  @Test(
    arguments: [(PlanTier.business, PlanTier.free), (.business, .plus), (.plus, .free)],
    [PlanUpgrades.subscribed, .platform, .selfService])
  func `a smaller plan can always be taken`(
    tiers: (from: PlanTier, to: PlanTier), upgrades: PlanUpgrades
  ) {
    given(.created, .ownerAdded, .onPlan(tiers.from))
      .when(Self.change(to: tiers.to), by: .user(owner), upgrades: upgrades)
      .then(.onPlan(tiers.to))
  }

  @Test(arguments: [PlanUpgrades.subscribed, .platform, .selfService])
  func `the platform gives any plan`(upgrades: PlanUpgrades) {
    let scenario = given(.created, .ownerAdded, .startsFree)
    scenario.when(
      Self.change(to: .business), by: .user(owner), upgrades: upgrades, isByPlatform: true
    ).then(.onPlan(.business))
    scenario.when(Self.change(to: .business), by: .system, upgrades: upgrades)
      .then(.onPlan(.business))
  }

  @Test func `where nothing is sold, owners may be let take any plan`() {
    given(.created, .ownerAdded, .startsFree)
      .when(Self.change(to: .business), by: .user(owner), upgrades: .selfService)
      .then(.onPlan(.business))
  }
}
