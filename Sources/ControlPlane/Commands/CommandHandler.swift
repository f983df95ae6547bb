package import Domain
package import EventStore
package import FoundationEssentials
import Glibc
package import Logging
package import Postgres

/// Carries out commands, all that wait in one transaction (group commit).
///
/// HTTP → ``CommandRequest`` → decide → events → log and tables → ``CommandOutcome``. It lives on the thread of the
/// connection that writes: from the first statement of a transaction to its last there is no hop, and nothing can
/// come between. The row lock on the log's head is the queue between replicas.
package actor CommandHandler {
  /// How long one round trip may take. Less than callers wait, so that an unknown outcome can still be resolved.
  private static let roundTrip: Duration = .milliseconds(1500)
  /// The same for a command that has a batch of its own because it writes thousands of rows.
  private static let longRoundTrip: Duration = .milliseconds(3000)

  /// A smaller batch says nothing about who comes next.
  private static let worthGathering = 4

  /// How often a large change is prepared before it is carried out like any other one, while everybody waits.
  private static let preparations = 2

  private nonisolated let connection: Connection
  private nonisolated let queue = CommandQueue()
  private let writer: WorkspaceWriter
  private let loader: WorkspaceLoader
  private let largeChanges: LargeChanges
  /// Commands that wait until their workspaces are loaded.
  private var loading: [OrganizationID: [PendingCommand]] = [:]
  /// How large the batch before was, and when it was carried out.
  private var last = (count: 0, start: ContinuousClock.now, end: ContinuousClock.now)

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    connection.executor.asUnownedSerialExecutor()
  }

  /// Takes over a connection; nobody else may use it. `observer` is told what was committed; `replica` names this
  /// process to the others.
  package init(
    connection: Connection, replica: UUID, plans: PlanCatalog, upgrades: PlanUpgrades,
    snapshots: SnapshotWriter, loader: WorkspaceLoader, largeChanges: LargeChanges,
    observer: any LogObserver, logger: Logger
  ) {
    self.connection = connection
    self.loader = loader
    self.largeChanges = largeChanges
    writer = WorkspaceWriter(
      replica: replica, plans: plans, upgrades: upgrades, snapshots: snapshots, observer: observer,
      logger: logger)
  }

  /// Carries out one command, together with those of others.
  ///
  /// - Throws: ``CommandError``. A cancelled task is answered at once: `unavailable` when the command was not
  ///   carried out and never will be, `outcomeUnknown` when it may have been.
  package nonisolated func handle(
    _ request: CommandRequest
  ) async throws(CommandError) -> CommandOutcome {
    // Once it waits, it may be carried out before its caller can say that they gave up.
    guard !Task.isCancelled else { throw .unavailable }
    if let claim = request.idempotency, !queue.reserve(claim.id) {
      throw .idempotencyKeyInUse
    }
    defer {
      if let claim = request.idempotency { queue.release(claim.id) }
    }
    let command = PendingCommand(request)
    if queue.append(command) {
      // At once: a task of its own would be scheduled on another thread first, only to hop to this actor's.
      Task.immediate { await self.drain() }
    }
    switch try await command.result() {
    case .outcome(let outcome): return outcome
    case .unrendered(let unrendered):
      return try await unrendered.rendered(on: largeChanges.threads)
    }
  }

  private func drain() {
    while true {
      gather()
      guard let work = queue.takeWork() else { return }
      let batch: FairQueue<PendingCommand>.Batch
      switch work {
      case .prepared(let change):
        finish(change)
        continue
      case .batch(let next): batch = next
      }
      let waiting = batch.elements.filter { !$0.isAnswered }
      if waiting.isEmpty { continue }
      if batch.isAlone, prepare(waiting[0]) { continue }
      let start = ContinuousClock.now
      let count = carryOut(
        waiting, isOpen: !batch.isAlone,
        roundTrip: batch.isAlone ? Self.longRoundTrip : Self.roundTrip)
      last = (count, start, .now)
    }
  }

  // MARK: Large changes

  /// Has a large change prepared beside the writer, so that other commands wait only while it is appended.
  ///
  /// - Parameter attempt: from 1.
  /// - Returns: false when it has to be carried out like any other one.
  private func prepare(_ command: PendingCommand, attempt: Int = 1) -> Bool {
    guard attempt <= Self.preparations, LargeChanges.canPrepare(command.request) else {
      return false
    }
    let deadline = min(command.request.deadline, .now + Self.roundTrip)
    let draft: LargeChangeDraft?
    do {
      draft = try connection.withSessionOnThread(deadline: deadline) { session in
        try writer.draft(command.request, session, deadline: deadline)
      }
    } catch {
      // The usual way tries again, and says what is the matter.
      return false
    }
    guard let draft else { return false }
    queue.begin(command)
    largeChanges.prepare(draft) { preparation in
      let change = LargeChange(command: command, attempt: attempt, preparation: preparation)
      if self.queue.append(change) { Task.immediate { await self.drain() } }
    }
    return true
  }

  /// Appends what was prepared, or does what is to be done instead.
  private func finish(_ change: LargeChange) {
    let command = change.command
    queue.endLargeChange()
    var unresolved: UnresolvedBatch?
    do {
      switch change.preparation {
      case .answered(let answer): return command.answer(answer)
      case .failed(let error): throw error
      case .written(let prepared, let handoff):
        let deadline = min(command.request.deadline, .now + Self.roundTrip)
        let isDone: Void? = try handoff.use { session in
          try writer.finish(prepared, command, session, deadline: deadline)
        }
        if isDone != nil { return }
      }
    } catch BatchFailure.unknown(let batch) {
      unresolved = batch
    } catch BatchFailure.poisoned(let reason) {
      writer.log(BatchFailure.poisoned(reason: reason), "a command cannot be carried out")
      return command.answer(.failure(.failed(reason: reason)))
    } catch is OutdatedDraft {
      // Another replica changed the workspace, or the right of who asks has changed.
    } catch {
      writer.log(error, "a large change was not prepared")
    }
    if unresolved == nil, command.isAnswered || prepare(command, attempt: change.attempt + 1) {
      return
    }
    carryOut([command], isOpen: false, roundTrip: Self.longRoundTrip, unresolved)
  }

  /// The callers of a large batch come back within moments. Waiting a fraction of what a commit takes lets them share
  /// the next one, with those who waited meanwhile, instead of taking turns.
  private func gather() {
    guard last.count >= Self.worthGathering else { return }
    let until = last.end + min((last.end - last.start) / 8, .microseconds(500))
    while ContinuousClock.now < until, queue.count < 2 * last.count { usleep(20) }
  }

  /// Answers every one of the commands, whatever happens to the connection, each by its own deadline if the database lets
  /// it. Those that turn out to need a batch of their own go back to the queue.
  ///
  /// - Parameters:
  ///   - isOpen: whether commands that arrive on the way may join.
  ///   - unresolved: an attempt before this one, whose outcome is unknown.
  /// - Returns: how many there were, those that joined included.
  @discardableResult
  private func carryOut(
    _ commands: [PendingCommand], isOpen: Bool, roundTrip: Duration,
    _ unresolved: UnresolvedBatch? = nil
  ) -> Int {
    var (commands, unresolved) = (commands, unresolved)
    while let giveUp = commands.lazy.filter({ !$0.isAnswered }).map(\.request.deadline).max(),
      giveUp > .now
    {
      do {
        try connection.withSessionOnThread(deadline: giveUp) { session in
          let deadline = min(giveUp, .now + roundTrip)
          if let batch = unresolved {
            if try writer.resolve(batch, session, deadline: deadline) {
              batch.answerAll()
              return putBack(batch.postponed)
            }
            unresolved = nil
          }
          putBack(
            try writer.execute(
              &commands, joinedFrom: isOpen ? queue : nil, session, deadline: deadline))
        }
        return commands.count
      } catch BatchFailure.unknown(let batch) {
        unresolved = batch
      } catch BatchFailure.poisoned(let reason) where commands.count == 1 {
        writer.log(BatchFailure.poisoned(reason: reason), "a command cannot be carried out")
        commands[0].answer(.failure(.failed(reason: reason)))
      } catch BatchFailure.poisoned {
        // One of them is poisonous: each by itself, only that one fails.
        for command in commands { carryOut([command], isOpen: false, roundTrip: roundTrip) }
        return commands.count
      } catch let error as PostgresError where error.kind == .diskFull || !error.isTransient {
        writer.log(error, "the database refuses to write")
        break
      } catch {
        writer.log(error, "a batch was not committed")
      }
      if unresolved == nil { refuseOverdue(commands) }
    }
    if unresolved != nil { writer.forgetEverything() }
    for command in commands {
      command.answer(.failure(unresolved == nil ? .unavailable : .outcomeUnknown))
    }
    return commands.count
  }

  /// Nothing was committed, and these are not tried again.
  private func refuseOverdue(_ commands: [PendingCommand]) {
    let now = ContinuousClock.now
    for command in commands where command.request.deadline <= now {
      command.answer(.failure(.unavailable))
    }
  }

  private func putBack(_ postponed: [CommandBatch.Postponed]) {
    for one in postponed {
      switch one.reason {
      case .large(let weight): queue.putBack(one.command, weight: weight)
      case .unloaded: loadFirst(one.command)
      }
    }
  }

  /// Has the command's workspace loaded while other commands go on; then it is queued again.
  private func loadFirst(_ command: PendingCommand) {
    let id = command.request.organizationID
    let isLoading = loading[id] != nil
    loading[id, default: []].append(command)
    guard !isLoading else { return }
    let loader = loader
    Task { self.loaded(id, await loader.load(id)) }
  }

  private func loaded(_ id: OrganizationID, _ result: Result<StoredWorkspace, any Error>) {
    let failure = writer.adopt(result, as: id)
    var mustDrain = false
    for command in loading.removeValue(forKey: id) ?? [] {
      if let failure {
        command.answer(.failure(failure))
      } else if !command.isAnswered, queue.append(command) {
        mustDrain = true
      }
    }
    if mustDrain { drain() }
  }
}

/// Follows what the writer learns about the log, on the writer's thread: must be quick.
package protocol LogObserver: Sendable {
  /// All events behind `start` up to `end`; nil when they were not read.
  func learn(_ events: [RecordedEvent]?, after start: Int64, upTo end: Int64)
  /// Whether nothing happened to a premise, up to what was learnt last.
  func holds(_ premise: Premise) -> Bool
  /// Something is about to be committed: others may see it before anybody here learns of it.
  func appendBegins()
  /// What this process committed has been learnt, and nothing is on its way.
  func appendEnded()
  /// Events that this process appended, and whether gateways are to be told of them.
  func committed(_ events: [RecordedEvent], changingConfiguration: Bool)
}
