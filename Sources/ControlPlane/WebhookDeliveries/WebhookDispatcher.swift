import Domain
import EventStore
import FoundationEssentials
import Logging
import Synchronization

/// Turns what happens into deliveries, on every replica, by what the endpoints' cursors say. That this process knows how far it
/// has read only saves it from looking at all of them each time. A workspace that cannot be dispatched is set aside
/// (``JobAttempts``), and holds no other one back.
final class WebhookDispatcher: Sendable {
  /// What happens at once is looked at together.
  private static let pause: Duration = .milliseconds(10)
  /// Nobody has to be notified for something to be delivered.
  private static let tick: Duration = .seconds(1)
  /// How often all endpoints are looked at.
  private static let fullInterval: Duration = .seconds(60)
  private static let workspacesAtOnce = 100
  /// How long a workspace that could not be dispatched waits for the next attempt.
  private static let retryPause: Duration = .seconds(2)
  /// In one replay; the rest follows when all are looked at.
  private static let mostSteps = 50

  private let store: WebhookStore
  private let attempts: JobAttempts
  /// Raised when something was appended to the log.
  private let log: BroadcastSignal
  /// Raised when there may be something to send.
  private let work: BroadcastSignal
  private let logger: Logger
  /// Workspaces whose endpoints have made room for more.
  private let asked = Mutex<Set<UUID>>([])
  /// Workspaces that could not be dispatched, and when they are tried again.
  private let later = Mutex<[UUID: ContinuousClock.Instant]>([:])
  private let wakeUp = BroadcastSignal()

  init(
    store: WebhookStore, attempts: JobAttempts, log: BroadcastSignal, work: BroadcastSignal,
    logger: Logger
  ) {
    self.store = store
    self.attempts = attempts
    self.log = log
    self.work = work
    self.logger = logger
  }

  /// Looks at a workspace again soon: an endpoint of it has sent all that was waiting.
  func look(at organization: UUID) {
    asked.withLock { _ = $0.insert(organization) }
    wakeUp.raise()
  }

  /// Goes on until it is cancelled.
  func run() async {
    await withDiscardingTaskGroup { group in
      group.addTask { await self.wakeUp.follow(self.log, atLeastEvery: Self.tick) }
      group.addTask { await self.follow() }
    }
  }

  private func follow() async {
    var position: Int64 = 0
    var nextFull = ContinuousClock.now
    while !Task.isCancelled {
      let seen = wakeUp.count
      do {
        if ContinuousClock.now >= nextFull {
          // Before looking: what is appended meanwhile is looked at again.
          position = try await store.head()
          try await dispatchAll()
          nextFull = .now + Self.fullInterval
        }
        let (end, workspaces) = try await store.workspacesWithNews(after: position)
        let asked = asked.withLock { asked in
          defer { asked = [] }
          return asked.union(takeDue())
        }
        if !asked.isEmpty || !workspaces.isEmpty { try await dispatch(asked.union(workspaces)) }
        position = end
      } catch {
        // What was not looked at is looked at again.
        nextFull = .now
        if !Task.isCancelled {
          logger.warning("webhooks wait for the database", metadata: ["error": "\(error)"])
          try? await Task.sleep(for: Self.tick)
        }
      }
      try? await Task.sleep(for: Self.pause)
      await wakeUp.wait(after: seen)
    }
  }

  private func dispatchAll() async throws {
    var last: UUID?
    repeat {
      let page = try await store.workspaces(after: last, limit: Int64(Self.workspacesAtOnce))
      try await dispatch(Set(page))
      last = page.count < Self.workspacesAtOnce ? nil : page.last
    } while last != nil
  }

  private func dispatch(_ organizations: Set<UUID>) async throws {
    var left = organizations
    while !left.isEmpty, !Task.isCancelled {
      let part = left.prefix(Self.workspacesAtOnce).map {
        JobItem(.webhookDispatch, OrganizationID($0))
      }
      left.subtract(part.compactMap(\.organizationID?.uuid))
      let unfinished = Mutex<Set<UUID>>([])
      let rest = try await attempts.work(on: part) { items in
        let step = try await self.step(items)
        unfinished.withLock { $0.formUnion(step) }
        return [:]
      }
      left.formUnion(unfinished.withLock { $0 })
      later.withLock { later in
        for item in rest.again {
          guard let organization = item.organizationID else { continue }
          later[organization.uuid] = .now + Self.retryPause
        }
      }
    }
  }

  /// Makes deliveries of some workspaces in one transaction.
  ///
  /// - Returns: those that have more events to look at.
  private func step(_ items: [JobItem]) async throws -> Set<UUID> {
    let step = try await store.dispatch(items.compactMap(\.organizationID?.uuid))
    if step.isNews { work.raise() }
    return step.unfinished
  }

  private func takeDue() -> Set<UUID> {
    let now = ContinuousClock.now
    return later.withLock { later in
      let due = later.filter { $0.value <= now }
      for organization in due.keys { later[organization] = nil }
      return Set(due.keys)
    }
  }

  /// Makes deliveries of a workspace that is set aside.
  ///
  /// - Throws: when that still fails.
  func replay(_ item: JobItem) async throws {
    for _ in 0..<Self.mostSteps {
      if try await step([item]).isEmpty { return }
    }
  }
}
