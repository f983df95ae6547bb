import EventStore
import FoundationEssentials
import Logging
import Synchronization

/// Turns what happens into deliveries, on every replica, by what the endpoints' cursors say. That this process knows how far it
/// has read only saves it from looking at all of them each time.
final class WebhookDispatcher: Sendable {
  /// What happens at once is looked at together.
  private static let pause: Duration = .milliseconds(10)
  /// Nobody has to be notified for something to be delivered.
  private static let tick: Duration = .seconds(1)
  /// How often all endpoints are looked at.
  private static let fullInterval: Duration = .seconds(60)
  private static let workspacesAtOnce = 100

  private let store: WebhookStore
  /// Raised when something was appended to the log.
  private let log: BroadcastSignal
  /// Raised when there may be something to send.
  private let work: BroadcastSignal
  private let logger: Logger
  /// Workspaces whose endpoints have made room for more.
  private let asked = Mutex<Set<UUID>>([])
  private let wakeUp = BroadcastSignal()

  init(store: WebhookStore, log: BroadcastSignal, work: BroadcastSignal, logger: Logger) {
    self.store = store
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
          return asked
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
      let part = Array(left.prefix(Self.workspacesAtOnce))
      let step = try await store.dispatch(part)
      left.subtract(part)
      left.formUnion(step.unfinished)
      if step.isNews { work.raise() }
    }
  }
}
