import Domain
import EventStore
import FoundationEssentials
import JSON
import Logging
import Postgres

/// Why a batch did not simply succeed. Any other error says that nothing was committed.
enum BatchFailure: Error {
  /// One of its commands cannot be carried out, and it took the others with it: rolled back, connection in order.
  case poisoned(reason: String)
  /// The connection was lost after COMMIT may have been sent.
  case unknown(UnresolvedBatch)
}

/// A batch of which nobody knows yet whether it was committed.
struct UnresolvedBatch {
  fileprivate let firstEvent: RecordedEvent?
  fileprivate let batch: CommandBatch

  /// Those that the batch went on without.
  var postponed: [CommandBatch.Postponed] { batch.postponed }

  func answerAll() {
    for (command, answer) in batch.answers { command.answer(answer) }
  }
}

/// Decides batches of commands on cached states and writes what follows. Confined to the writing connection's thread.
final class WorkspaceWriter {
  private var states: WorkspaceStates
  private var eventIDs = EventIDGenerator()
  private let replica: UUID
  private let plans: PlanCatalog
  private let upgrades: PlanUpgrades
  private let snapshots: SnapshotWriter
  private let observer: any LogObserver
  private let logger: Logger

  init(
    replica: UUID, plans: PlanCatalog, upgrades: PlanUpgrades, snapshots: SnapshotWriter,
    observer: any LogObserver,
    logger: Logger
  ) {
    states = WorkspaceStates(logger: logger)
    self.replica = replica
    self.plans = plans
    self.upgrades = upgrades
    self.snapshots = snapshots
    self.observer = observer
    self.logger = logger
  }

  func log(_ error: any Error, _ message: Logger.Message) {
    logger.error(message, metadata: ["error": "\(error)"])
  }

  /// After an outcome that nobody could find out: cached states may be behind the log or ahead of it.
  func forgetEverything() {
    states.removeAll()
  }

  /// Takes over what was loaded beside the writer.
  ///
  /// - Returns: why the workspace takes no commands; nil when it does.
  func adopt(_ result: Result<StoredWorkspace, any Error>, as id: OrganizationID) -> CommandError? {
    switch result {
    case .success(let stored):
      states.adopt(stored, as: id)
      return nil
    case .failure(let error as PostgresError):
      log(error, "a workspace was not loaded")
      return .unavailable
    case .failure(let error):
      states.stop(id, error)
      return .workspaceStopped(reason: states.stopReason(id))
    }
  }

  /// One transaction in two round trips, then the answers.
  ///
  /// - Parameters:
  ///   - commands: those that arrived while the head was being locked are added, if they need nothing that was not read.
  ///   - queue: where they arrive; nil when nobody may join.
  /// - Returns: commands that were not carried out because something has to come first. They are not among `commands` any
  ///   more.
  /// - Throws: ``BatchFailure``, or ``PostgresError`` when nothing was sent to be committed.
  func execute(
    _ commands: inout [PendingCommand], joinedFrom queue: CommandQueue?, _ session: Session,
    deadline: ContinuousClock.Instant
  ) throws -> [CommandBatch.Postponed] {
    // 1. Lock the head; learn what others appended, which replies are stored, which slugs are taken.
    var batch = try open(commands, session, deadline)
    if let queue {
      commands += queue.take(atMost: CommandQueue.batchLimit - commands.count) { request in
        request.idempotency == nil && request.command.claimedSlug == nil
          && request.command.usageReports.isEmpty
          && states.contains(request.organizationID)
      }
    }
    // 2. Decide and fold in memory, in the order of arrival: each sees the effects of those before it.
    do {
      let isAlone = commands.count == 1
      for command in commands { try decide(command, isAlone: isAlone, in: &batch) }
    } catch {
      // A decider and the fold disagree. What was folded in so far belongs to no command that can be answered.
      states.remove(batch.touchedWorkspaces)
      _ = try session.execute("ROLLBACK", deadline: deadline)
      throw BatchFailure.poisoned(reason: "\(error)")
    }
    try conclude(batch, session, deadline)
    let postponed = Set(batch.postponed.map { ObjectIdentifier($0.command) })
    if !postponed.isEmpty { commands.removeAll { postponed.contains(ObjectIdentifier($0)) } }
    return batch.postponed
  }

  /// The second round trip and what follows it.
  ///
  /// - Throws: as ``execute(_:joinedFrom:_:deadline:)``.
  private func conclude(
    _ batch: CommandBatch, _ session: Session, _ deadline: ContinuousClock.Instant
  ) throws {
    // 3. Append, write the rows that were touched, commit.
    try commit(batch, session, deadline)
    // 4. Answer: what was rendered on the way is true now.
    if let first = batch.events.first {
      states.moveOn(to: batch.position)
      observer.learn(batch.events, after: first.position - 1, upTo: batch.position)
    }
    observer.appendEnded()
    for (command, answer) in batch.answers { command.answer(answer) }
    // 5. The replies are on their way: what is driven from the log is woken, once.
    if !batch.events.isEmpty {
      observer.committed(batch.events, changingConfiguration: batch.changesConfiguration)
      saveSnapshots(of: batch.touchedWorkspaces)
    }
    states.trim()
  }

  // MARK: Large changes

  /// What a large change is prepared from: the state that it is decided on. Takes a short transaction.
  ///
  /// - Returns: nil when the command has to be carried out like any other one, because it will be answered without being
  ///   decided, or refused.
  /// - Throws: ``PostgresError``.
  func draft(
    _ request: CommandRequest, _ session: Session, deadline: ContinuousClock.Instant
  ) throws -> LargeChangeDraft? {
    let batch = try open([PendingCommand(request)], session, deadline)
    _ = try session.execute("ROLLBACK", deadline: deadline)
    guard isAcceptable(request, batch), let entry = states.use(request.organizationID),
      request.isByPlatform || entry.workspace.admits(request.actor, for: request.command)
    else { return nil }
    return LargeChangeDraft(
      request: request, base: entry.head, workspace: entry.workspace, plans: plans,
      upgrades: upgrades)
  }

  /// Appends a large change whose rows are written in the session's open transaction, and commits it.
  ///
  /// - Throws: ``OutdatedDraft`` when something has changed since it was prepared; else as
  ///   ``execute(_:joinedFrom:_:deadline:)``.
  func finish(
    _ change: PreparedChange, _ command: PendingCommand, _ session: Session,
    deadline: ContinuousClock.Instant
  ) throws {
    let request = command.request
    var batch = try open([command], session, deadline, isContinued: true)
    guard isAcceptable(request, batch), let entry = states.use(request.organizationID),
      entry.head == change.base, command.take()
    else {
      _ = try session.execute("ROLLBACK", deadline: deadline)
      throw OutdatedDraft()
    }
    let id = request.organizationID
    for part in change.parts {
      let recorded = unrecorded(part.event, of: request)
        .recorded(
          payload: part.payload, organizationID: id.uuid, after: entry.head,
          position: batch.position + 1)
      entry.advance(past: recorded)
      batch.append(
        recorded, part.event.entity(in: id), origin: request.origin, difference: part.difference)
    }
    entry.workspace = change.workspace
    batch.noteRowsWritten(of: id)
    batch.append(configurationPatch: change.configurationPatch, of: id)
    let outcome = CommandOutcome(
      change.reply, body: change.body, position: change.parts.isEmpty ? nil : batch.position)
    if let claim = request.idempotency {
      batch.append(IdempotencyRecord(claim: claim, outcome, at: request.occurredAt))
    }
    batch.answer(command, .success(.outcome(outcome)))
    try conclude(batch, session, deadline)
  }

  /// Whether a command is decided at all: no stored reply answers it, and what its caller's right rests on still holds.
  private func isAcceptable(_ request: CommandRequest, _ batch: CommandBatch) -> Bool {
    request.premises.allSatisfy(observer.holds)
      && request.idempotency.flatMap { batch.storedReplies[$0.id] } == nil
      && !states.isUnloaded(request.organizationID)
  }

  /// Whether a batch whose COMMIT was not answered is in the log. Holding the head's lock, its transaction has ended.
  func resolve(
    _ unresolved: UnresolvedBatch, _ session: Session, deadline: ContinuousClock.Instant
  ) throws(PostgresError) -> Bool {
    guard let event = unresolved.firstEvent else { return false }
    let results = try session.pipeline(
      ["BEGIN", EventLog.lockHead, EventLog.eventID(at: event.position), "COMMIT"],
      deadline: deadline)
    return try results[2].first?.decode(UUID.self) == event.eventID
  }

  // MARK: 1. Open

  /// - Parameter isContinued: whether the session is in a transaction already, which holds rows of a ``PreparedChange``.
  private func open(
    _ commands: [PendingCommand], _ session: Session, _ deadline: ContinuousClock.Instant,
    isContinued: Bool = false
  ) throws -> CommandBatch {
    let requests = commands.map(\.request)
    let ids = Set(requests.map(\.organizationID))
    let claims = requests.compactMap { $0.idempotency?.id }
    let slugs = requests.compactMap(\.command.claimedSlug)
    let reports = requests.flatMap { $0.command.usageReports.map(\.id) }

    // The first statement of a transaction that is continued does nothing.
    var reading = Pipeline([isContinued ? "SELECT 1" : "BEGIN", EventLog.lockHead])
    let replies = claims.isEmpty ? nil : reading.add(IdempotencyRecord.find(claims))
    let holders = slugs.isEmpty ? nil : reading.add(OrganizationSlugTable.holders(of: slugs))
    let uncounted =
      reports.isEmpty
      ? nil
      : reading.add(UsageReportTable.uncounted(reports, of: ids.map(\.uuid)))
    let reload = states.addQueries(for: ids, to: &reading)
    let results = try session.pipeline(reading.queries, deadline: deadline)

    if let revocation = try Revocation(results[1][0], by: replica) {
      _ = try session.execute("ROLLBACK", deadline: deadline)
      if isContinued { throw OutdatedDraft() }
      try revocation.carryOut(session, deadline: deadline)
      return try open(commands, session, deadline)
    }
    let head = try results[1][0].decode(Int64.self)
    let start = states.position
    let news = try states.advance(to: head, results, reload, session, deadline)
    try states.load(ids, session, deadline)
    observer.learn(news, after: start ?? 0, upTo: head)
    // Whoever has the lock knows what became of everything before.
    observer.appendEnded()

    var batch = CommandBatch(position: head)
    if let replies {
      for row in results[replies] { batch.add(try IdempotencyRecord(row)) }
    }
    if let holders {
      for row in results[holders] {
        let (slug, id) = try row.decode((String, UUID).self)
        batch.add(slug: slug, heldBy: OrganizationID(id))
      }
    }
    if let uncounted {
      for row in results[uncounted] { batch.add(uncountedReport: try row.decode(UUID.self)) }
    }
    return batch
  }

  // MARK: 2. Decide

  /// - Parameter isAlone: whether the batch has no other command.
  private func decide(
    _ command: PendingCommand, isAlone: Bool, in batch: inout CommandBatch
  ) throws {
    guard command.take() else { return }
    let request = command.request
    do {
      guard request.premises.allSatisfy(observer.holds) else { throw CommandError.premiseOutdated }
      guard batch.areUncounted(request.command.usageReports) else {
        throw CommandError.premiseOutdated
      }
      if let claim = request.idempotency, let stored = batch.storedReplies[claim.id] {
        guard stored.claim.requestHash == claim.requestHash else {
          throw CommandError.idempotencyKeyReused
        }
        return batch.answer(command, .success(.outcome(stored.outcome)))
      }
      if states.isUnloaded(request.organizationID) { return batch.postpone(command, .unloaded) }
      guard let entry = states.use(request.organizationID) else {
        throw CommandError.workspaceStopped(reason: states.stopReason(request.organizationID))
      }
      // What appends nothing passes no row security, and its answer tells the state nevertheless.
      guard request.isByPlatform || entry.workspace.admits(request.actor, for: request.command)
      else { throw CommandError.rejected(.notFound(.organization)) }
      let events = try decide(request, on: entry.workspace, batch)
      let weight = Self.weight(of: events)
      if !isAlone, weight > FairQueue<PendingCommand>.Limits.batch.alone {
        // It asked for little and changes much. The others do not wait for it.
        return batch.postpone(command, .large(weight: weight))
      }
      let answer =
        request.isDryRun
        ? try rehearse(request, events, on: entry.workspace)
        : try carryOut(request, events, on: entry, &batch)
      batch.answer(command, .success(answer))
    } catch let error as CommandError {
      batch.answer(command, .failure(error))
    }
  }

  private func decide(
    _ request: CommandRequest, on workspace: Workspace, _ batch: CommandBatch
  ) throws(CommandError) -> [WorkspaceEvent] {
    do throws(Rejection) {
      try request.expected?.check(
        request.command.entity(in: request.organizationID), in: workspace)
      if let slug = request.command.claimedSlug,
        !batch.isSlugFree(slug, for: request.organizationID)
      {
        throw .slugTaken(slug)
      }
      return try workspace.decide(
        request.command,
        in: CommandContext(
          actor: request.actor, time: request.occurredAt, plans: plans, upgrades: upgrades,
          isByPlatform: request.isByPlatform))
    } catch {
      throw .rejected(error)
    }
  }

  /// Folds the events into the cached state in place, and gathers what is to be written.
  private func carryOut(
    _ request: CommandRequest, _ events: [WorkspaceEvent], on entry: WorkspaceCache.Entry,
    _ batch: inout CommandBatch
  ) throws -> CommandAnswer {
    let id = request.organizationID
    let formerSlug = entry.workspace.organization?.slug
    let existed = entry.workspace.version(of: request.command.entity(in: id)) != nil
    var change = ConfigurationChange(of: id, plans: plans)
    for event in events {
      let recorded = unrecorded(event, of: request)
        .recorded(
          payload: try CanonicalJSONEncoder().encode(event.payload), organizationID: id.uuid,
          after: entry.head, position: batch.position + 1)
      let before = entry.workspace.audited(event, in: id)
      change.note(event, before: entry.workspace)
      try entry.workspace.evolve(event, recorded.metadata())
      entry.advance(past: recorded)
      batch.append(
        recorded, event.entity(in: id), origin: request.origin,
        difference: AuditedDifference(from: before, to: entry.workspace.audited(event, in: id)))
      for entity in event.changedEntities(in: id) { batch.touch(entity, in: id) }
      if event.touchesOrganization { batch.touch(.organization(id), in: id) }
    }
    batch.append(configurationPatch: change.patch(after: entry.workspace).bytes, of: id)
    if let slug = entry.workspace.organization?.slug, slug != formerSlug {
      batch.claimSlug(slug, insteadOf: formerSlug, for: id)
    }
    batch.count(request.command.usageReports, of: id)
    let position = events.isEmpty ? nil : batch.position
    if request.idempotency == nil, isLarge(request, events) {
      return .unrendered(
        UnrenderedOutcome(
          request: request, workspace: entry.workspace, rehearsed: [], position: position,
          existed: existed))
    }
    let outcome = CommandOutcome(
      CommandReply(
        to: request.command, from: entry.workspace, in: id, at: request.occurredAt,
        existed: existed), position: position)
    if let claim = request.idempotency {
      batch.append(IdempotencyRecord(claim: claim, outcome, at: request.occurredAt))
    }
    return .outcome(outcome)
  }

  private func unrecorded(_ event: WorkspaceEvent, of request: CommandRequest) -> UnrecordedEvent {
    UnrecordedEvent(
      eventID: eventIDs.next(at: request.occurredAt), type: type(of: event.payload).type,
      schemaVersion: Int32(type(of: event.payload).schemaVersion),
      actorKind: request.actor.kind.rawValue, actorID: request.actor.id,
      requestID: request.origin.requestID, causationID: request.commandID,
      occurredAt: TimestampTZ(request.occurredAt))
  }

  /// What would happen; nothing is kept of it.
  private func rehearse(
    _ request: CommandRequest, _ events: [WorkspaceEvent], on workspace: Workspace
  ) throws -> CommandAnswer {
    let unrendered = UnrenderedOutcome(
      request: request, workspace: workspace, rehearsed: events, position: nil, existed: true)
    return isLarge(request, events)
      ? .unrendered(unrendered) : .outcome(try unrendered.rehearsal())
  }

  /// Whether writing down what the caller is told takes long: it names all that the command asked for.
  private func isLarge(_ request: CommandRequest, _ events: [WorkspaceEvent]) -> Bool {
    max(request.command.weight, Self.weight(of: events))
      > FairQueue<PendingCommand>.Limits.batch.alone
  }

  private static func weight(of events: [WorkspaceEvent]) -> Int {
    events.reduce(0) { $0 + $1.weight }
  }

  // MARK: 3. Commit

  private func commit(
    _ batch: CommandBatch, _ session: Session, _ deadline: ContinuousClock.Instant
  ) throws {
    guard !batch.writesNothing else {
      _ = try session.execute("COMMIT", deadline: deadline)
      return
    }
    observer.appendBegins()
    do {
      _ = try session.pipeline(
        batch.statements { states.peek($0)?.workspace }, deadline: deadline)
    } catch {
      // The states are ahead of the log now.
      states.remove(batch.touchedWorkspaces)
      if session.isBroken {
        throw BatchFailure.unknown(UnresolvedBatch(firstEvent: batch.events.first, batch: batch))
      }
      _ = try session.execute("ROLLBACK", deadline: deadline)
      throw error.isTransient ? error : BatchFailure.poisoned(reason: error.description)
    }
  }

  private func saveSnapshots(of workspaces: Set<OrganizationID>) {
    for id in workspaces {
      guard let entry = states.peek(id), snapshots.isDue(entry) else { continue }
      entry.snapshotVersion = entry.head.version
      entry.unsavedBytes = 0
      snapshots.save(entry.workspace, of: id, at: entry.head)
    }
  }
}
