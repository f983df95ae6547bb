import Domain
import FoundationEssentials
import Postgres
import Stripe

/// What an event asks for becomes commands, after the questions that the event leaves open are answered.
extension StripeEventProcessor {
  func carryOut(
    _ event: StripeEvent, _ circumstances: Circumstances
  ) async throws -> Attempt {
    let deadline = circumstances.deadline
    switch meaning(of: event) {
    case .nothing(let reason): return Attempt(status: .ignored, reason: reason)
    case .impossible(let reason): return Attempt(status: .failed, reason: reason)
    case .commands(let commands, let organization):
      return try await send(commands, of: event, to: organization, circumstances)
    case .ofPayment(let command, let currency):
      let owners = try await rows(CreditPurchaseTable.owner(of: command.paymentID), deadline) {
        try $0.decode((UUID, String).self)
      }
      guard let (organization, expected) = owners.first else {
        return try await withoutPurchase(command.paymentID, circumstances)
      }
      guard currency == expected else {
        return Attempt(
          status: .failed, reason: "it is in \(currency), and the purchase in \(expected)")
      }
      return try await send(
        [.credits(command)], of: event, to: OrganizationID(organization), circumstances)
    case .ofSubscription(let command, let subscription, let customer):
      let owners = try await rows(
        BillingReference.organizations(subscription: subscription, customer: customer), deadline
      ) { try $0.decode(UUID.self) }
      guard let organization = owners.first else {
        return Attempt(status: .parked, reason: "no organization is known for the subscription")
      }
      guard owners.count == 1 else {
        return Attempt(status: .failed, reason: "several organizations have the customer")
      }
      return try await send(
        [.billing(command)], of: event, to: OrganizationID(organization), circumstances)
    }
  }

  /// What happened to a payment that is no purchase's (yet). Payments of subscriptions are refunded and disputed too, and
  /// newer versions of Stripe's API do not say with these events that a payment was an invoice's. Another event may have
  /// told it; Stripe knows it.
  private func withoutPurchase(
    _ payment: String, _ circumstances: Circumstances
  ) async throws -> Attempt {
    let deadline = circumstances.deadline
    let invoices = try await rows(StripeEventTable.invoices(of: payment), deadline) {
      try $0.decode(String.self)
    }
    guard invoices.isEmpty else {
      return Attempt(status: .ignored, reason: StripeEventMeaning.ofInvoice)
    }
    var waiting = Attempt(status: .parked, reason: "no purchase is known for the payment")
    // The purchase's own event is usually not far.
    guard let client = settings.client, payment.hasPrefix("pi_"),
      circumstances.isDryRun || 1...Self.mostQuestions ~= circumstances.attempts
    else { return waiting }
    do throws(StripeError) {
      if try await client.paysInvoice(payment, deadline: Self.readingDeadline(deadline)) {
        return Attempt(status: .ignored, reason: StripeEventMeaning.ofInvoice)
      }
    } catch {
      waiting.reason = "no purchase is known for the payment, and \(error)"
    }
    return waiting
  }

  /// Whose payment it was is asked so often at most: the answer does not change.
  private static let mostQuestions: Int32 = 5

  /// One answer of Stripe's must not use up the time of all other events.
  private static func readingDeadline(
    _ deadline: ContinuousClock.Instant
  ) -> ContinuousClock.Instant {
    min(deadline, .now + .seconds(4))
  }

  func rows<Value: Sendable>(
    _ query: Query, _ deadline: ContinuousClock.Instant,
    _ decode: @escaping @Sendable (Row) throws -> Value
  ) async throws -> [Value] {
    try await pool.withConnection(deadline: deadline) { session throws in
      try session.execute(query, deadline: deadline).map(decode)
    }
  }

  private func send(
    _ commands: [WorkspaceCommand], of event: StripeEvent, to organization: OrganizationID,
    _ circumstances: Circumstances
  ) async throws -> Attempt {
    let now = Timestamp.now
    for command in commands {
      do throws(CommandError) {
        _ = try await self.commands.handle(
          CommandRequest(
            commandID: Identifiers.next(at: now), organizationID: organization, command: command,
            actor: .system, occurredAt: now, origin: circumstances.origin,
            isDryRun: circumstances.isDryRun))
      } catch {
        switch error {
        case .rejected(.notFound(.creditPurchase)):
          return Attempt(
            status: .parked, reason: "no purchase is known for the payment",
            organization: organization)
        case .rejected(.notFound(.organization)):
          return Attempt(status: .failed, reason: "there is no organization \(organization)")
        case .rejected(.subscriptionUnclear):
          return try await readSubscription(of: event, for: organization, circumstances)
        case .rejected(let rejection):
          return Attempt(
            status: .failed, reason: "refused: \(rejection)", organization: organization)
        case .failed:
          return Attempt(
            status: .failed, reason: "the database refuses it", organization: organization)
        case .idempotencyKeyReused, .idempotencyKeyInUse, .premiseOutdated, .unavailable,
          .outcomeUnknown, .workspaceStopped:
          throw error
        }
      }
    }
    return Attempt(status: .applied, organization: organization)
  }

  /// Asks Stripe what a subscription is now, because of several updates in one second none can be told to be the last.
  ///
  /// What is read holds all updates of that second if it was read after the second: the event came to us within it or
  /// later, so a second after its arrival is late enough, whatever either clock says.
  private func readSubscription(
    of event: StripeEvent, for organization: OrganizationID, _ circumstances: Circumstances
  ) async throws -> Attempt {
    var waiting = Attempt(
      status: .received,
      reason: "of several updates in one second none is known to be the last: Stripe is asked",
      organization: organization, retryIn: .seconds(2))
    guard case .subscription(let told, _) = event.content, let client = settings.client,
      circumstances.age >= .seconds(2)
    else { return waiting }
    let command: BillingCommand
    do {
      let subscription = try await client.subscription(
        told.id, deadline: Self.readingDeadline(circumstances.deadline))
      command = try StripeEventMeaning.read(subscription, because: event, settings)
    } catch let error as StripeEventMeaning.Unusable {
      return Attempt(status: .failed, reason: error.reason, organization: organization)
    } catch let error as StripeError {
      if case .invalid = error {
        return Attempt(
          status: .failed, reason: "Stripe does not know the subscription",
          organization: organization)
      }
      waiting.reason = "of several updates in one second none is known to be the last, and \(error)"
      waiting.retryIn = Self.delay(
        after: circumstances.attempts, from: .seconds(5), to: .seconds(3600))
      return waiting
    }
    return try await send([.billing(command)], of: event, to: organization, circumstances)
  }
}
