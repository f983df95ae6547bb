import Cryptography
import Identity
import JSON
import Synchronization

/// The keys that alerts are signed with. Fetched when an alert names one that is not known, or when what is known is a
/// day old, and at most once a minute, whatever alerts name.
final class SecretScanningKeys: Sendable {
  enum Answer {
    case found(P256PublicKey)
    /// Nobody signs with it.
    case unknown
    /// It may be known to whoever publishes the keys, but they cannot be asked.
    case unavailable
  }

  private struct State {
    var keys: [String: P256PublicKey] = [:]
    /// The last success.
    var fetchedAt: ContinuousClock.Instant?
    var hasFailed = false
    /// The one fetch that runs, for which all wait who need one.
    var refresh: Task<Void, Never>?
    var coolDownEnd: ContinuousClock.Instant?
  }

  private static let coolDown = Duration.seconds(60)
  private static let lifetime = Duration.seconds(86_400)
  private static let most = 100

  private let url: String
  private let fetch: DocumentFetch
  private let now: @Sendable () -> ContinuousClock.Instant
  private let state = Mutex(State())

  init(
    _ configuration: SecretScanning,
    now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
  ) {
    url = configuration.keysURL
    fetch = configuration.fetch
    self.now = now
  }

  /// The key with this identifier.
  func key(named name: String) async -> Answer {
    let refresh = state.withLock { state in
      isCurrent(name, state) ? nil : startRefresh(&state)
    }
    await refresh?.value
    return state.withLock { state in
      if let key = state.keys[name] { return .found(key) }
      return state.fetchedAt == nil || state.hasFailed ? .unavailable : .unknown
    }
  }

  private func isCurrent(_ name: String, _ state: State) -> Bool {
    guard state.keys[name] != nil, let fetchedAt = state.fetchedAt else { return false }
    return now() < fetchedAt + Self.lifetime
  }

  /// To be called with the lock held, so that the task cannot end before it is stored.
  private func startRefresh(_ state: inout State) -> Task<Void, Never>? {
    if let running = state.refresh { return running }
    let now = now()
    if let end = state.coolDownEnd, now < end { return nil }
    state.coolDownEnd = now + Self.coolDown
    let refresh = Task { await self.refresh() }
    state.refresh = refresh
    return refresh
  }

  private func refresh() async {
    let keys: [String: P256PublicKey]?
    do { keys = Self.keys(in: try JSONValue.parse(await fetch(url))) } catch { keys = nil }
    state.withLock { state in
      state.refresh = nil
      state.hasFailed = keys == nil
      guard let keys else { return }
      state.keys = keys
      state.fetchedAt = now()
    }
  }

  /// Those that are of the one kind that alerts are signed with; nil when it is no such document.
  private static func keys(in document: JSONValue) -> [String: P256PublicKey]? {
    guard let list = document["public_keys"]?.array else { return nil }
    var keys: [String: P256PublicKey] = [:]
    for item in list.prefix(most) {
      guard let name = item["key_identifier"]?.string, let pem = item["key"]?.string else {
        return nil
      }
      if let key = try? P256PublicKey(pem: pem) { keys[name] = key }
    }
    return keys
  }
}
