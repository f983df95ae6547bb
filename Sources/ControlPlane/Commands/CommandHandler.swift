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
  /// How long a batch may take to be carried out, a reconnection included, before its callers are told to come back.
  private static let patience: Duration = .seconds(3)
  /// How long one round trip may take. Less than the patience, so that an unknown outcome can still be resolved.
  private static let roundTrip: Duration = .milliseconds(1500)

  /// A smaller batch says nothing about who comes next.
  private static let worthGathering = 4

  private nonisolated let connection: Connection
  private nonisolated let queue = CommandQueue()
  private let writer: WorkspaceWriter
  /// How large the batch before was, and when it was carried out.
  private var last = (count: 0, start: ContinuousClock.now, end: ContinuousClock.now)

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    connection.executor.asUnownedSerialExecutor()
  }

  /// Takes over a connection; nobody else may use it. `observer` is told what was committed; `replica` names this
  /// process to the others.
  package init(
    connection: Connection, replica: UUID, plans: PlanCatalog, upgrades: PlanUpgrades,
    snapshots: SnapshotWriter, observer: any LogObserver, logger: Logger
  ) {
    self.connection = connection
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
    return try await command.result()
  }

  private func drain() {
    while true {
      gather()
      guard let commands = queue.takeBatch() else { return }
      let waiting = commands.filter { !$0.isAnswered }
      if waiting.isEmpty { continue }
      let start = ContinuousClock.now
      let count = carryOut(waiting)
      last = (count, start, .now)
    }
  }

  /// The callers of a large batch come back within moments. Waiting a fraction of what a commit takes lets them share
  /// the next one, with those who waited meanwhile, instead of taking turns.
  private func gather() {
    guard last.count >= Self.worthGathering else { return }
    let until = last.end + min((last.end - last.start) / 8, .microseconds(500))
    while ContinuousClock.now < until, queue.count < 2 * last.count { usleep(20) }
  }

  /// Answers every one of the commands, whatever happens to the connection.
  ///
  /// - Parameter isOpen: whether commands that arrive on the way may join.
  /// - Returns: how many there were, those that joined included.
  @discardableResult
  private func carryOut(_ commands: [PendingCommand], isOpen: Bool = true) -> Int {
    var commands = commands
    let giveUp = ContinuousClock.now + Self.patience
    var unresolved: UnresolvedBatch?
    repeat {
      do {
        try connection.withSessionOnThread(deadline: giveUp) { session in
          let deadline = min(giveUp, .now + Self.roundTrip)
          if let batch = unresolved {
            if try writer.resolve(batch, session, deadline: deadline) { return batch.answerAll() }
            unresolved = nil
          }
          try writer.execute(
            &commands, joinedFrom: isOpen ? queue : nil, session, deadline: deadline)
        }
        return commands.count
      } catch BatchFailure.unknown(let batch) {
        unresolved = batch
      } catch BatchFailure.poisoned(let reason) where commands.count == 1 {
        writer.log(BatchFailure.poisoned(reason: reason), "a command cannot be carried out")
        commands[0].answer(.failure(.failed(reason: reason)))
      } catch BatchFailure.poisoned {
        // One of them is poisonous: each by itself, only that one fails.
        for command in commands { carryOut([command], isOpen: false) }
        return commands.count
      } catch let error as PostgresError where error.kind == .diskFull || !error.isTransient {
        writer.log(error, "the database refuses to write")
        break
      } catch {
        writer.log(error, "a batch was not committed")
      }
    } while ContinuousClock.now < giveUp && commands.contains { !$0.isAnswered }
    if unresolved != nil { writer.forgetEverything() }
    for command in commands {
      command.answer(.failure(unresolved == nil ? .unavailable : .outcomeUnknown))
    }
    return commands.count
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
