import Domain
import Stripe

/// What an event asks for. Pure: where it takes more than the event to know, it says whom to ask.
enum StripeEventMeaning: Equatable {
  /// Commands in one organization, in order. Each can be repeated.
  case commands([WorkspaceCommand], in: OrganizationID)
  /// A command in the organization whose payment it is, if the purchase was in this currency.
  case ofPayment(CreditsCommand, currency: String)
  /// A command in the organization whose subscription it is.
  case ofSubscription(BillingCommand, subscription: String, customer: String)
  /// There is nothing to do, and why.
  case nothing(String)
  /// There is something to do, and it cannot be done.
  case impossible(String)

  init(_ event: StripeEvent, _ settings: StripeSettings, purchaseID: CreditPurchaseID) {
    switch event.content {
    case .checkout(let session, let step): self.init(session, step, purchaseID)
    case .refund(let refund):
      self =
        refund.isOfInvoice
        ? .nothing(Self.ofInvoice)
        : .ofPayment(
          .refund(paymentID: refund.paymentID, refunded: refund.refunded),
          currency: refund.currency)
    case .singleRefund(let refund):
      self = .ofPayment(
        .recordRefund(
          paymentID: refund.paymentID, refundID: refund.id, amount: refund.amount,
          hasFailed: refund.hasFailed), currency: refund.currency)
    case .dispute(let dispute, let step): self.init(dispute, step, event)
    case .invoicePayment: self = .nothing(Self.ofInvoice)
    case .subscription(let subscription, let step):
      self.init(subscription, step, event, settings)
    case .other: self = .nothing("nothing depends on events of this type")
    case .unreadable(let reason): self = .impossible(reason)
    }
  }

  /// Why nothing is done about a payment that is known to be a subscription's.
  static let ofInvoice = "the payment was for an invoice, and bought no credits"

  // MARK: Checkout

  private init(
    _ session: CheckoutSession, _ step: CheckoutSession.Step, _ purchaseID: CreditPurchaseID
  ) {
    let link = session.customer.map { WorkspaceCommand.billing(.link(customerID: $0)) }
    switch session.mode {
    case "payment": break
    case "subscription":
      // What is subscribed to is told by the subscription's own events.
      guard let link, Self.reference(session) != nil else {
        self = .nothing("it names no organization, or no customer")
        return
      }
      self.init([link], for: session)
      return
    default:
      self = .nothing("nothing was bought")
      return
    }
    let found = Self.package(session)
    guard Self.reference(session) != nil || session.metadata["package"] != nil || found != nil
    else {
      self = .nothing("it names no organization and no package: something else was bought")
      return
    }
    guard let package = found else {
      self = .impossible("no package has this name, or this price: \(Self.price(session))")
      return
    }
    guard Self.price(session) == Self.price(package) else {
      self = .impossible("\(package.name) is not sold for \(Self.price(session))")
      return
    }
    let order = PurchaseOrder(
      purchaseID: purchaseID, paymentID: session.paymentID, package: package,
      amount: session.amount, currency: session.currency)
    let command: CreditsCommand =
      switch (step, session.paymentStatus) {
      case (.paymentFailed, _): .fail(order)
      case (.paymentSucceeded, _), (.completed, .paid), (.completed, .notRequired):
        .complete(order)
      case (.completed, .unpaid): .begin(order)
      }
    self.init([.credits(command)] + (link.map { [$0] } ?? []), for: session)
  }

  private init(_ commands: [WorkspaceCommand], for session: CheckoutSession) {
    guard let reference = Self.reference(session) else {
      self = .impossible("it names no organization")
      return
    }
    if let other = session.metadata["organization_id"], other != reference {
      self = .impossible("client_reference_id and metadata name two organizations")
      return
    }
    guard let organization = OrganizationID(reference) else {
      self = .impossible("client_reference_id is no organization's id")
      return
    }
    self = .commands(commands, in: organization)
  }

  /// As whoever made the session wrote it.
  private static func reference(_ session: CheckoutSession) -> String? {
    session.reference ?? session.metadata["organization_id"]
  }

  /// By its name; a session that somebody made without us may tell it by its price.
  private static func package(_ session: CheckoutSession) -> CreditPackage? {
    if let name = session.metadata["package"] { return .named(name) }
    return .all.first { price($0) == price(session) }
  }

  /// In the currency's smallest unit.
  private static func price(_ package: CreditPackage) -> String { "\(package.cents) usd" }

  private static func price(_ session: CheckoutSession) -> String {
    "\(session.amount) \(session.currency)"
  }

  // MARK: Disputes

  /// The newest fact counts. What the status says of facts of the same second is ordered: money that is away, the end of
  /// the dispute, money that came back.
  private enum DisputeRank: Int64 {
    case open, closed, reinstated
  }

  private init(_ dispute: Dispute, _ step: Dispute.Step, _ event: StripeEvent) {
    func open(at time: Int64) -> StripeEventMeaning {
      .ofPayment(
        .openDispute(
          paymentID: dispute.paymentID, disputeID: dispute.id, amount: dispute.amount,
          .init(time: time, rank: DisputeRank.open.rawValue, source: event.id)),
        currency: dispute.currency)
    }
    func close(
      _ outcome: CreditPurchase.Dispute.Outcome, _ rank: DisputeRank = .closed
    ) -> StripeEventMeaning {
      .ofPayment(
        .closeDispute(
          paymentID: dispute.paymentID, disputeID: dispute.id, amount: dispute.amount,
          outcome: outcome, .init(time: event.created, rank: rank.rawValue, source: event.id)),
        currency: dispute.currency)
    }
    switch (step, dispute.status) {
    case (.reinstated, _): self = close(.won, .reinstated)
    // What was paid back instead is told by the charge.
    case (.closed, "won"), (.closed, "charge_refunded"), (.closed, "prevented"),
      (.updated, "won"), (.updated, "charge_refunded"), (.updated, "prevented"):
      self = close(.won)
    case (.closed, "lost"), (.updated, "lost"), (.withdrawn, "lost"): self = close(.lost)
    // The money goes, whatever the dispute was before.
    case (.withdrawn, _): self = open(at: event.created)
    case (_, let status) where Dispute.isInquiry(status):
      self = .nothing("an inquiry withdraws nothing")
    case (.closed, let status):
      self = .impossible("a dispute was closed with the status \(status)")
    case (.updated(from: let former?), _) where Dispute.isInquiry(former):
      self = open(at: event.created)
    // Evidence was handed in, say. It matters only if nothing else was heard of the dispute.
    case (.updated, _): self = open(at: 0)
    case (.created, _): self = open(at: event.created)
    }
  }

  // MARK: Subscriptions

  private init(
    _ subscription: Subscription, _ step: Subscription.Step, _ event: StripeEvent,
    _ settings: StripeSettings
  ) {
    let tier: PlanTier?
    do throws(Unusable) {
      tier = step == .deleted ? nil : try settings.tier(paidBy: subscription)
    } catch {
      self = .impossible(error.reason)
      return
    }
    let rank: SubscriptionRank =
      switch step {
      case .created: .created
      case .updated: .updated
      case .deleted: .deleted
      }
    let update =
      step == .updated
      ? Billing.Update(
        source: event.id, before: subscription.conditionBefore, after: subscription.condition,
        planTier: tier) : nil
    let command = BillingCommand.subscription(
      subscription.id, customerID: subscription.customer, planTier: tier,
      .init(time: event.created, rank: rank.rawValue, source: event.id), update,
      ifUnclear: settings.client == nil ? .decideByName : .refuse)
    guard let reference = subscription.metadata["organization_id"] else {
      self = .ofSubscription(
        command, subscription: subscription.id, customer: subscription.customer)
      return
    }
    guard let organization = OrganizationID(reference) else {
      self = .impossible("metadata.organization_id is no organization's id")
      return
    }
    self = .commands([.billing(command)], in: organization)
  }

  /// What a subscription is now, as it was read because the updates of a second left that open. It was read after that
  /// second, and so counts for more than each of its updates.
  ///
  /// - Throws: why it pays for no plan that is known.
  static func read(
    _ subscription: Subscription, because event: StripeEvent, _ settings: StripeSettings
  ) throws(Unusable) -> BillingCommand {
    .subscription(
      subscription.id, customerID: subscription.customer,
      planTier: try settings.tier(paidBy: subscription),
      .init(
        time: event.created, rank: SubscriptionRank.read.rawValue, source: event.id))
  }

  /// The order of facts about a subscription in the same second.
  private enum SubscriptionRank: Int64 {
    case created, updated, read, deleted
  }

  /// Something is asked for that is not set up here.
  struct Unusable: Error {
    let reason: String
  }

  /// The organization, where the event says it.
  var organization: OrganizationID? {
    if case .commands(_, let organization) = self { organization } else { nil }
  }
}

extension CreditPackage {
  /// What it costs, as payment providers count.
  var cents: Int64 { price / 10_000 }
}

extension StripeSettings {
  /// The plan that a subscription pays for; nil when it pays for nothing (any more).
  fileprivate func tier(
    paidBy subscription: Subscription
  ) throws(StripeEventMeaning.Unusable) -> PlanTier? {
    switch subscription.status {
    case "canceled", "unpaid", "incomplete", "incomplete_expired", "paused": return nil
    // Until Stripe has given up on a payment the plan stays.
    case "active", "trialing", "past_due": break
    default:
      throw .init(reason: "the status \(subscription.status) is not known")
    }
    if let found = tier(for: subscription.prices.all) { return found }
    let names = subscription.prices.all.prefix(5).map(\.id).joined(separator: ", ")
    let more = subscription.prices.isWhole ? "" : ", and not all items are told"
    switch subscription.prices.all.count {
    case 0: throw .init(reason: "no price is told\(more)")
    case 1: throw .init(reason: "the price \(names) is no plan's\(more)")
    default: throw .init(reason: "none of the prices \(names) is a plan's\(more)")
    }
  }
}
