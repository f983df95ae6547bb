import Domain
import FoundationEssentials
import Logging
import Postgres
import Stripe
import Synchronization

/// Takes what Stripe tells, once, whatever order it comes in, and whoever dies meanwhile.
///
/// 1. The event is written to `stripe_events`, and committed, before anything is tried: from then on it cannot get lost.
/// 2. What it asks for is carried out by commands. The workspace's state knows payments with what happened to them, so a
///    command that is repeated, by whomever, changes nothing.
/// 3. What became of it is written down. An event that asks for something about a payment that nobody knows is parked.
/// 4. Whoever makes a payment known tries those that wait for it.
///
/// Each try is noted before it is made (``JobAttempts``). An event that cannot be read, or that ends the process three
/// times, becomes a dead letter.
///
/// No event is left waiting (decision 0013): one that waits was committed (1) before its command was refused (2), and it
/// was refused because the log did not have the payment yet. Whoever appended the payment looks for those that wait
/// afterwards (4), and so finds it. Whoever dies in between leaves an event that is `received`, and is tried again.
struct StripeEventProcessor: Sendable {
  /// Stripe tries for three days, payments by bank transfer take a week or two.
  static let patience = Duration.seconds(30 * 86_400)

  let pool: Pool
  let commands: CommandHandler
  let attempts: JobAttempts
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
    return try await attempt(
      Try(
        id: event.id, organization: organization, attempts: 0, age: .zero, origin: origin,
        deadline: deadline
      ) { event })
  }

  /// One try of an event that is written down already.
  struct Try: Sendable {
    let id: String
    let organization: OrganizationID?
    /// How often it was tried before.
    let attempts: Int32
    /// How long ago it came.
    let age: Duration
    var origin = CommandOrigin()
    /// A person asks for it, who knows that something has changed: it is not given up for its age, and is tried although
    /// it is set aside.
    var isAskedFor = false
    let deadline: ContinuousClock.Instant
    /// Throws when what is stored cannot be read.
    let event: @Sendable () throws -> StripeEvent

    var item: JobItem { JobItem(.stripeEvent, id, of: organization) }
  }

  /// Tries an event, and then those that it makes possible.
  ///
  /// - Throws: ``PostgresError`` or ``CommandError`` when it could not be carried out now.
  func attempt(_ next: Try) async throws -> StripeEventRow.Status {
    let found = Mutex<Outcome?>(nil)
    let perform: @Sendable () async throws -> Void = {
      let outcome = try await self.perform(next)
      found.withLock { $0 = outcome }
    }
    let isSetAside: Bool
    var isPostponed = false
    if next.isAskedFor,
      let outcome = try await attempts.replay(
        .item(next.item),
        { _ in
          try await perform()
          return .done
        })
    {
      isSetAside = outcome != .done
    } else {
      let rest = try await attempts.work(on: [next.item]) { _ in
        try await perform()
        return [:]
      }
      isSetAside = !rest.setAside.isEmpty
      isPostponed = !rest.again.isEmpty && found.withLock { $0 == nil }
    }
    if isSetAside {
      try await write([StripeEventTable.setAside(next.id)], next.deadline)
      return .failed
    }
    if isPostponed {
      // Another process may have it in hand, or had when it died.
      try await write([StripeEventTable.postpone(next.id)], next.deadline)
    }
    let (status, waiting) = found.withLock { $0 } ?? (.received, [])
    for stored in waiting {
      do {
        _ = try await attempt(stored.next(deadline: next.deadline))
      } catch {
        // It stays due, and is tried again by itself.
        logger.debug("a Stripe event waits on", metadata: ["error": "\(error)"])
      }
    }
    return status
  }

  /// What became of a try, and the events that it makes possible.
  typealias Outcome = (status: StripeEventRow.Status, waiting: [StoredStripeEvent])

  /// Makes one try, which is noted already.
  ///
  /// - Throws: when it could not be carried out now, or cannot be at all.
  func perform(_ next: Try) async throws -> Outcome {
    let result: Attempt
    let event: StripeEvent
    do {
      event = try next.event()
      result = try await carryOut(
        event,
        Circumstances(
          origin: next.origin, attempts: next.attempts, age: next.age, deadline: next.deadline))
    } catch {
      let delay = Self.delay(after: next.attempts, from: .seconds(5), to: .seconds(3600))
      // The lease ends by itself, if the database is away.
      _ = try? await write(
        [
          StripeEventTable.settle(
            next.id, .received, of: nil, because: "could not be tried", retryIn: delay)
        ], next.deadline)
      throw error
    }
    return try await settle(
      event, result, next.attempts, next.isAskedFor ? .zero : next.age, next.deadline)
  }

  @discardableResult
  private func write(
    _ statements: [Query], _ deadline: ContinuousClock.Instant
  ) async throws -> Int {
    try await pool.withConnection(deadline: deadline) { session in
      try session.pipeline(statements, deadline: deadline).count
    }
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
  struct Circumstances {
    var origin = CommandOrigin()
    var attempts: Int32 = 0
    /// How long ago the event came.
    var age: Duration
    var isDryRun = false
    let deadline: ContinuousClock.Instant
  }

  struct Attempt {
    var status: StripeEventRow.Status
    var reason: String?
    var organization: OrganizationID?
    /// When it is tried again, if not at the usual time.
    var retryIn: Duration?
  }

  private func settle(
    _ event: StripeEvent, _ attempt: Attempt, _ attempts: Int32, _ age: Duration,
    _ deadline: ContinuousClock.Instant
  ) async throws -> Outcome {
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
    return (attempt.status, waiting)
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

  // MARK: Set aside

  /// Tries an event again that is set aside.
  ///
  /// - Throws: when it still cannot be carried out; then it stays a dead letter.
  func replay(_ item: JobItem) async throws {
    let deadline = ContinuousClock.now + .seconds(5)
    let found = try await rows(StripeEventTable.findStored(item.key), deadline) {
      try StoredStripeEvent($0)
    }
    guard var next = found.first?.next(deadline: deadline) else { return }
    next.isAskedFor = true
    // What it makes possible is in hand for a while, and is tried again by itself.
    do {
      _ = try await perform(next)
    } catch {
      try await write([StripeEventTable.setAside(item.key)], deadline)
      throw error
    }
  }

  // MARK: Commands

  func meaning(of event: StripeEvent) -> StripeEventMeaning {
    StripeEventMeaning(event, settings, purchaseID: CreditPurchaseID(Identifiers.next()))
  }

  /// Doubles with each try.
  static func delay(after attempts: Int32, from first: Duration, to most: Duration)
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

extension StoredStripeEvent {
  /// The next try.
  func next(deadline: ContinuousClock.Instant) -> StripeEventProcessor.Try {
    StripeEventProcessor.Try(
      id: id, organization: organizationID, attempts: attempts, age: age, deadline: deadline
    ) { try event() }
  }
}
