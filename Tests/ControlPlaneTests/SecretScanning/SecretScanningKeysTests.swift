import JSON
import Support
import Synchronization
import Testing

@testable import ControlPlane

/// How the keys of alerts are fetched and kept, on a clock of the test's own.
@Suite struct SecretScanningKeysTests {
  /// What is published, how often it was asked for, and what time it is.
  final class World: Sendable {
    private struct State {
      var document: String?
      var fetches = 0
      var now = ContinuousClock.now
    }

    private let state = Mutex(State())

    var fetches: Int { state.withLock { $0.fetches } }
    var now: ContinuousClock.Instant { state.withLock { $0.now } }

    func publish(_ signers: Signer...) { state.withLock { $0.document = Signer.document(signers) } }
    func publish(text: String?) { state.withLock { $0.document = text } }
    func pass(_ duration: Duration) { state.withLock { $0.now += duration } }

    func keys() throws -> SecretScanningKeys {
      let scanning = try SecretScanning { _ in
        try self.state.withLock { state in
          state.fetches += 1
          guard let document = state.document else { throw CancellationError() }
          return Array(document.utf8)
        }
      }
      return SecretScanningKeys(scanning) { self.now }
    }
  }

  static func outcome(_ keys: SecretScanningKeys, _ signer: Signer) async -> String {
    switch await keys.key(named: signer.identifier) {
    case .found: "found"
    case .unknown: "unknown"
    case .unavailable: "unavailable"
    }
  }

  @Test func `a key is fetched once and then known for a day`() async throws {
    let (world, signer) = (World(), Signer())
    let keys = try world.keys()
    world.publish(signer)
    for _ in 0..<3 { #expect(await Self.outcome(keys, signer) == "found") }
    #expect(world.fetches == 1)
    world.pass(.seconds(86_399))
    #expect(await Self.outcome(keys, signer) == "found")
    #expect(world.fetches == 1)
    // Withdrawn meanwhile: from the next day on nobody is believed under its name.
    world.publish(Signer())
    world.pass(.seconds(1))
    #expect(await Self.outcome(keys, signer) == "unknown")
    #expect(world.fetches == 2)
  }

  @Test func `a key that is new is fetched, but not more than once a minute`() async throws {
    let (world, old, new) = (World(), Signer(), Signer())
    let keys = try world.keys()
    world.publish(old)
    #expect(await Self.outcome(keys, new) == "unknown")
    world.publish(old, new)
    for _ in 0..<50 { #expect(await Self.outcome(keys, new) == "unknown") }
    #expect(world.fetches == 1)
    world.pass(.seconds(60))
    #expect(await Self.outcome(keys, new) == "found")
    #expect(await Self.outcome(keys, old) == "found")
    #expect(world.fetches == 2)
  }

  @Test func `when they cannot be fetched the old ones stay, and others may yet be good`()
    async throws
  {
    let (world, old, new) = (World(), Signer(), Signer())
    let keys = try world.keys()
    #expect(await Self.outcome(keys, old) == "unavailable")
    world.publish(old)
    #expect(await Self.outcome(keys, old) == "unavailable")
    world.pass(.seconds(60))
    #expect(await Self.outcome(keys, old) == "found")
    for text in [nil, "", "{}", "[]", #"{"public_keys":[{}]}"#] {
      world.publish(text: text)
      world.pass(.seconds(86_400))
      #expect(await Self.outcome(keys, old) == "found")
      #expect(await Self.outcome(keys, new) == "unavailable")
    }
    #expect(world.fetches == 7)
  }

  @Test func `keys of other kinds are left out`() async throws {
    let (world, signer) = (World(), Signer())
    let keys = try world.keys()
    let pem = #"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"#
    let other = #"{"key_identifier":"rsa","key":"\#(pem)"},"#
    world.publish(text: Signer.document([signer]).replacing("[{", with: "[\(other){"))
    #expect(await Self.outcome(keys, signer) == "found")
  }

  @Test func `100 who ask at once share one fetch`() async throws {
    let (world, signer) = (World(), Signer())
    let keys = try world.keys()
    world.publish(signer)
    let outcomes = await withTaskGroup(of: String.self) { group in
      for _ in 0..<100 { group.addTask { await Self.outcome(keys, signer) } }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(Set(outcomes) == ["found"])
    #expect(world.fetches == 1)
  }
}
