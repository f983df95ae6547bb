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
        ? .nothing("the charge paid an invoice, and no credits")
        : .ofPayment(
          .refund(paymentID: refund.paymentID, refunded: refund.refunded),
          currency: refund.currency)
    case .dispute(let dispute, let isClosed): self.init(dispute, isClosed: isClosed)
    case .subscription(let subscription, let step):
      self.init(subscription, step, event, settings)
    case .other: self = .nothing("nothing depends on events of this type")
    case .unreadable(let reason): self = .impossible(reason)
    }
  }

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

  private init(_ dispute: Dispute, isClosed: Bool) {
    guard !dispute.isInquiry else {
      self = .nothing("an inquiry withdraws nothing")
      return
    }
    func close(_ outcome: CreditPurchase.Dispute.Outcome) -> StripeEventMeaning {
      .ofPayment(
        .closeDispute(
          paymentID: dispute.paymentID, disputeID: dispute.id, amount: dispute.amount,
          outcome: outcome), currency: dispute.currency)
    }
    switch (dispute.status, isClosed) {
    case (_, false):
      self = .ofPayment(
        .openDispute(
          paymentID: dispute.paymentID, disputeID: dispute.id, amount: dispute.amount),
        currency: dispute.currency)
    // What was paid back instead is told by the charge.
    case ("won", true), ("charge_refunded", true), ("prevented", true): self = close(.won)
    case ("lost", true): self = close(.lost)
    default: self = .impossible("a dispute was closed with the status \(dispute.status)")
    }
  }

  // MARK: Subscriptions

  private init(
    _ subscription: Subscription, _ step: Subscription.Step, _ event: StripeEvent,
    _ settings: StripeSettings
  ) {
    let tier: PlanTier?
    switch (subscription.status, step) {
    case (_, .deleted), ("canceled", _), ("unpaid", _), ("incomplete", _),
      ("incomplete_expired", _), ("paused", _):
      tier = nil
    // Until Stripe has given up on a payment the plan stays.
    case ("active", _), ("trialing", _), ("past_due", _):
      guard let price = subscription.price, let found = settings.tier(for: price) else {
        let name = subscription.price?.id ?? "(none)"
        self = .impossible("the price \(name) is no plan's")
        return
      }
      tier = found
    default:
      self = .impossible("the status \(subscription.status) is not known")
      return
    }
    let command = BillingCommand.subscription(
      subscription.id, customerID: subscription.customer, planTier: tier,
      Billing.Place(time: event.created, rank: step.rawValue, source: event.id))
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

  /// The organization, where the event says it.
  var organization: OrganizationID? {
    if case .commands(_, let organization) = self { organization } else { nil }
  }
}

extension CreditPackage {
  /// What it costs, as payment providers count.
  var cents: Int64 { price / 10_000 }
}
