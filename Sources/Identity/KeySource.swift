import Logging
import Synchronization

/// Knows the keys of one issuer: fetches them when they are first needed, again and again in the background, and at
/// once when a token names a key that is not known.
final class KeySource: Sendable {
  private struct State {
    var keys: KeySet?
    /// Counts the changes of `keys`.
    var generation: UInt64 = 0
    /// The one fetch that runs, for which all wait who need one. True when it succeeded.
    var refresh: Task<Bool, Never>?
    /// Since the last success.
    var failures = 0
    /// Until then tokens cause no fetch, whatever key they name.
    var coolDownEnd: ContinuousClock.Instant?
  }

  private enum Step {
    case found(VerificationKey, generation: UInt64)
    case wait(Task<Bool, Never>)
    case fail(IdentityError)
  }

  /// What an issuer has to bear when somebody sends us made-up names of keys.
  private static let coolDown = Duration.seconds(30)

  let provider: IdentityProvider
  private let logger: Logger
  private let now: @Sendable () -> ContinuousClock.Instant
  private let fetch: DocumentFetch
  private let state = Mutex(State())

  init(
    provider: IdentityProvider, logger: Logger,
    now: @escaping @Sendable () -> ContinuousClock.Instant, fetch: @escaping DocumentFetch
  ) {
    self.provider = provider
    self.logger = logger
    self.now = now
    self.fetch = fetch
  }

  /// The one key of that name, and the generation of the set that it is in.
  ///
  /// - Throws: `refused` when there is none, `unavailable` when no keys are known.
  func key(
    named name: String
  ) async throws(IdentityError) -> (key: VerificationKey, generation: UInt64) {
    var step = state.withLock { self.step(to: name, mayFetch: true, &$0) }
    if case .wait(let refresh) = step {
      _ = await refresh.value
      step = state.withLock { self.step(to: name, mayFetch: false, &$0) }
    }
    switch step {
    case .found(let key, let generation): return (key, generation)
    case .fail(let error): throw error
    case .wait: throw .unavailable
    }
  }

  /// Whether a key that was in the set of that generation is still in the newest one.
  func contains(_ key: VerificationKey.ID, asOf generation: UInt64) -> Bool {
    state.withLock { $0.generation == generation || $0.keys?.ids.contains(key) == true }
  }

  /// Fetches at intervals until its task is cancelled, which also cancels a fetch that is running.
  func keepFresh(every interval: Duration) async {
    while !Task.isCancelled {
      let refresh = state.withLock { $0.refresh ?? startRefresh(&$0) }
      let succeeded = await withTaskCancellationHandler {
        await refresh.value
      } onCancel: {
        refresh.cancel()
      }
      let failures = state.withLock { $0.failures }
      let pause = succeeded ? interval : min(interval, Self.backoff(after: failures))
      try? await Task.sleep(for: pause)
    }
  }

  private func step(to name: String, mayFetch: Bool, _ state: inout State) -> Step {
    if let key = state.keys?[name] { return .found(key, generation: state.generation) }
    if mayFetch, let refresh = refreshForToken(&state) { return .wait(refresh) }
    guard state.keys != nil else { return .fail(.unavailable) }
    return .fail(.refused(reason: "kid does not name exactly one key of the issuer"))
  }

  private func refreshForToken(_ state: inout State) -> Task<Bool, Never>? {
    if let running = state.refresh { return running }
    if state.keys != nil && !provider.keys.canChange { return nil }
    let now = now()
    if let end = state.coolDownEnd, now < end { return nil }
    // The first fetch does not count: the next token may bring a key that was added since.
    if state.keys != nil { state.coolDownEnd = now + Self.coolDown }
    return startRefresh(&state)
  }

  /// To be called with the lock held, so that the task cannot end before it is stored.
  private func startRefresh(_ state: inout State) -> Task<Bool, Never> {
    let refresh = Task { await self.refresh() }
    state.refresh = refresh
    return refresh
  }

  private func refresh() async -> Bool {
    do {
      let keys = try await provider.keySet(fetchedBy: fetch)
      state.withLock { state in
        if state.keys == nil { state.coolDownEnd = nil }
        if state.keys?.ids != keys.ids { state.generation += 1 }
        state.keys = keys
        state.failures = 0
        state.refresh = nil
      }
      return true
    } catch {
      state.withLock { state in
        state.failures += 1
        if state.keys == nil { state.coolDownEnd = now() + Self.backoff(after: state.failures) }
        state.refresh = nil
      }
      logger.warning(
        "The keys of an issuer could not be fetched.",
        metadata: ["issuer": "\(provider.issuer)", "error": "\(error)"])
      return false
    }
  }

  /// Doubles from half a second or one up to the cool-down; the jitter keeps replicas out of step.
  private static func backoff(after failures: Int) -> Duration {
    let delay = min(.seconds(1 << max(0, min(failures - 1, 5))), coolDown)
    return delay / 2 + delay / 2 * Double.random(in: 0..<1)
  }
}
