import Domain
import FoundationEssentials
import Logging
import Postgres
import Stripe

/// Takes what Stripe tells, once, whatever order it comes in, and whoever dies meanwhile.
///
/// 1. The event is written to `stripe_events`, and committed, before anything is tried: from then on it cannot get lost.
/// 2. What it asks for is carried out by commands. The workspace's state knows payments with what happened to them, so a
///    command that is repeated, by whomever, changes nothing.
/// 3. What became of it is written down. An event that asks for something about a payment that nobody knows is parked.
/// 4. Whoever makes a payment known tries those that wait for it.
///
/// No event is left waiting (decision 0013): one that waits was committed (1) before its command was refused (2), and it
/// was refused because the log did not have the payment yet. Whoever appended the payment looks for those that wait
/// afterwards (4), and so finds it. Whoever dies in between leaves an event that is `received`, and is tried again.
struct StripeEventProcessor: Sendable {
  /// Stripe tries for three days, payments by bank transfer take a week or two.
  static let patience = Duration.seconds(30 * 86_400)

  let pool: Pool
  let commands: CommandHandler
  let settings: StripeSettings
  let logger: Logger

  /// Takes a delivery.
  ///
  /// - Throws: ``PostgresError`` or ``CommandError`` when it could not be carried out now; it will be.
  func receive(
    _ event: StripeEvent, from origin: CommandOrigin, deadline: ContinuousClock.Instant
  ) async throws -> StripeEventRow.Status {
    let organization = meaning(of: event).organization
    let known = try await pool.withConnection(deadline: deadline) { session throws in
      try session.pipeline(
        [
          StripeEventTable.insert(event, of: organization), StripeEventTable.status(of: event.id),
        ], deadline: deadline)[1][0].decode(StripeEventRow.Status.self)
    }
    guard !known.isFinished else { return known }
    return try await attempt(event, from: origin, attempts: 0, deadline: deadline)
  }

  /// Tries an event that is written down already.
  ///
  /// - Parameters:
  ///   - attempts: how often that was done before.
  ///   - age: how long ago it came.
  ///   - isAskedFor: a person asks for it, who knows that something has changed: it is not given up for its age.
  /// - Throws: ``PostgresError`` or ``CommandError`` when it could not be carried out now.
  func attempt(
    _ event: StripeEvent, from origin: CommandOrigin = CommandOrigin(), attempts: Int32,
    age: Duration = .zero, isAskedFor: Bool = false, deadline: ContinuousClock.Instant
  ) async throws -> StripeEventRow.Status {
    let result: Attempt
    do {
      result = try await carryOut(
        event, Circumstances(origin: origin, attempts: attempts, age: age, deadline: deadline))
    } catch {
      let delay = Self.delay(after: attempts, from: .seconds(5), to: .seconds(3600))
      // The lease ends by itself, if the database is away.
      _ = try? await pool.withConnection(deadline: deadline) { session in
        try session.execute(
          StripeEventTable.settle(
            event.id, .received, of: nil, because: "could not be tried", retryIn: delay),
          deadline: deadline
        ).count
      }
      throw error
    }
    return try await settle(event, result, attempts, isAskedFor ? .zero : age, deadline)
  }

  /// What would become of an event.
  ///
  /// - Throws: ``PostgresError`` or ``CommandError``.
  func rehearse(
    _ event: StripeEvent, deadline: ContinuousClock.Instant
  ) async throws -> (StripeEventRow.Status, reason: String?) {
    let attempt = try await carryOut(
      event, Circumstances(age: Self.patience, isDryRun: true, deadline: deadline))
    return (attempt.status, attempt.reason)
  }

  /// What surrounds a try.
  private struct Circumstances {
    var origin = CommandOrigin()
    var attempts: Int32 = 0
    /// How long ago the event came.
    var age: Duration
    var isDryRun = false
    let deadline: ContinuousClock.Instant
  }

  private struct Attempt {
    var status: StripeEventRow.Status
    var reason: String?
    var organization: OrganizationID?
    /// When it is tried again, if not at the usual time.
    var retryIn: Duration?
  }

  private func settle(
    _ event: StripeEvent, _ attempt: Attempt, _ attempts: Int32, _ age: Duration,
    _ deadline: ContinuousClock.Instant
  ) async throws -> StripeEventRow.Status {
    var attempt = attempt
    var delay: Duration?
    if !attempt.status.isFinished {
      if age < Self.patience {
        delay =
          attempt.retryIn ?? Self.delay(after: attempts, from: .seconds(60), to: .seconds(21_600))
      } else {
        attempt.status = try await statusWhenGivenUp(event, deadline)
        attempt.reason = "\(attempt.reason ?? "nothing came"), for 30 days"
      }
    }
    var queries = [
      StripeEventTable.settle(
        event.id, attempt.status, of: attempt.organization, because: attempt.reason,
        retryIn: delay)
    ]
    let subject = event.content.awaitedSubject(after: attempt.status)
    if let subject {
      queries.append(StripeEventTable.takeWaiting(for: subject, besides: event.id))
    }
    let statements = queries
    let waiting = try await pool.withConnection(deadline: deadline) { session throws in
      try session.pipeline(statements, deadline: deadline).dropFirst().flatMap { rows throws in
        try rows.map { row throws in try StoredStripeEvent(row) }
      }
    }
    for stored in waiting {
      do {
        _ = try await self.attempt(
          stored.event(), attempts: stored.attempts, age: stored.age, deadline: deadline)
      } catch {
        // It stays due, and is tried again by itself.
        logger.debug("a Stripe event waits on", metadata: ["error": "\(error)"])
      }
    }
    return attempt.status
  }

  /// What becomes of an event that has waited in vain. Refunds and disputes of payments for something else wait so, and
  /// there is nothing to do about them. If a purchase of the payment is told, and could not be carried out, they matter as
  /// soon as it can: then somebody has to see to it.
  private func statusWhenGivenUp(
    _ event: StripeEvent, _ deadline: ContinuousClock.Instant
  ) async throws -> StripeEventRow.Status {
    guard event.content.isAboutPayment, let subject = event.content.subject else { return .failed }
    let open = try await rows(StripeEventTable.openCheckouts(about: subject), deadline) {
      try $0.decode(String.self)
    }
    return open.isEmpty ? .ignored : .failed
  }

  // MARK: Commands

  private func meaning(of event: StripeEvent) -> StripeEventMeaning {
    StripeEventMeaning(event, settings, purchaseID: CreditPurchaseID(Identifiers.next()))
  }

  private func carryOut(
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

  private func rows<Value: Sendable>(
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

  /// Doubles with each try.
  private static func delay(after attempts: Int32, from first: Duration, to most: Duration)
    -> Duration
  {
    min(most, first * (1 << min(attempts, 12)))
  }
}

extension StripeEvent.Content {
  /// What others wait for that this makes known.
  fileprivate func awaitedSubject(after status: StripeEventRow.Status) -> String? {
    switch self {
    case .checkout: status == .applied ? subject : nil
    // It says of which payments nothing has to be done.
    case .invoicePayment: subject
    case .refund, .singleRefund, .dispute, .subscription, .other, .unreadable: nil
    }
  }

  /// Whether it says what happened to a payment after it was made.
  fileprivate var isAboutPayment: Bool {
    switch self {
    case .refund, .singleRefund, .dispute: true
    case .checkout, .invoicePayment, .subscription, .other, .unreadable: false
    }
  }
}
