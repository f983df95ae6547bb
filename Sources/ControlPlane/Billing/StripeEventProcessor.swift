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
  /// - Parameter attempts: how often that was done before.
  /// - Throws: ``PostgresError`` or ``CommandError`` when it could not be carried out now.
  func attempt(
    _ event: StripeEvent, from origin: CommandOrigin = CommandOrigin(), attempts: Int32,
    age: Duration = .zero, deadline: ContinuousClock.Instant
  ) async throws -> StripeEventRow.Status {
    let result: Attempt
    do {
      result = try await carryOut(event, from: origin, isDryRun: false, deadline: deadline)
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
    return try await settle(event, result, attempts, age, deadline)
  }

  /// What would become of an event.
  ///
  /// - Throws: ``PostgresError`` or ``CommandError``.
  func rehearse(
    _ event: StripeEvent, deadline: ContinuousClock.Instant
  ) async throws -> (StripeEventRow.Status, reason: String?) {
    let attempt = try await carryOut(
      event, from: CommandOrigin(), isDryRun: true, deadline: deadline)
    return (attempt.status, attempt.reason)
  }

  private struct Attempt {
    var status: StripeEventRow.Status
    var reason: String?
    var organization: OrganizationID?
  }

  private func settle(
    _ event: StripeEvent, _ attempt: Attempt, _ attempts: Int32, _ age: Duration,
    _ deadline: ContinuousClock.Instant
  ) async throws -> StripeEventRow.Status {
    var attempt = attempt
    var delay: Duration?
    if attempt.status == .parked {
      if age < Self.patience {
        delay = Self.delay(after: attempts, from: .seconds(60), to: .seconds(21_600))
      } else {
        attempt.status = .failed
        attempt.reason = "\(attempt.reason ?? "nothing came"), for 30 days"
      }
    }
    var queries = [
      StripeEventTable.settle(
        event.id, attempt.status, of: attempt.organization, because: attempt.reason,
        retryIn: delay)
    ]
    let subject = attempt.status == .applied ? event.content.awaitedSubject : nil
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

  // MARK: Commands

  private func meaning(of event: StripeEvent) -> StripeEventMeaning {
    StripeEventMeaning(event, settings, purchaseID: CreditPurchaseID(Identifiers.next()))
  }

  private func carryOut(
    _ event: StripeEvent, from origin: CommandOrigin, isDryRun: Bool,
    deadline: ContinuousClock.Instant
  ) async throws -> Attempt {
    switch meaning(of: event) {
    case .nothing(let reason): return Attempt(status: .ignored, reason: reason)
    case .impossible(let reason): return Attempt(status: .failed, reason: reason)
    case .commands(let commands, let organization):
      return try await send(commands, to: organization, origin, isDryRun)
    case .ofPayment(let command, let currency):
      let owners = try await rows(CreditPurchaseTable.owner(of: command.paymentID), deadline) {
        try $0.decode((UUID, String).self)
      }
      guard let (organization, expected) = owners.first else {
        return Attempt(status: .parked, reason: "no purchase is known for the payment")
      }
      guard currency == expected else {
        return Attempt(
          status: .failed, reason: "it is in \(currency), and the purchase in \(expected)")
      }
      return try await send(
        [.credits(command)], to: OrganizationID(organization), origin, isDryRun)
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
        [.billing(command)], to: OrganizationID(organization), origin, isDryRun)
    }
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
    _ commands: [WorkspaceCommand], to organization: OrganizationID, _ origin: CommandOrigin,
    _ isDryRun: Bool
  ) async throws(CommandError) -> Attempt {
    let now = Timestamp.now
    for command in commands {
      do throws(CommandError) {
        _ = try await self.commands.handle(
          CommandRequest(
            commandID: Identifiers.next(at: now), organizationID: organization, command: command,
            actor: .system, occurredAt: now, origin: origin, isDryRun: isDryRun))
      } catch {
        switch error {
        case .rejected(.notFound(.creditPurchase)):
          return Attempt(
            status: .parked, reason: "no purchase is known for the payment",
            organization: organization)
        case .rejected(.notFound(.organization)):
          return Attempt(status: .failed, reason: "there is no organization \(organization)")
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

  /// Doubles with each try.
  private static func delay(after attempts: Int32, from first: Duration, to most: Duration)
    -> Duration
  {
    min(most, first * (1 << min(attempts, 12)))
  }
}

extension StripeEvent.Content {
  /// What others wait for that this makes known.
  fileprivate var awaitedSubject: String? {
    if case .checkout = self { subject } else { nil }
  }
}
