import JSON
import Logging
import Synchronization
import Testing

@testable import Identity

/// An issuer that publishes what the test says, counts how often it is asked, and can be down.
final class TestIssuer: Sendable {
  static let name = "https://id.example.com"
  static let now: Int64 = 1_900_000_000
  static let claims: [String: JSONValue?] = [
    "iss": .string(name), "sub": "user-1", "aud": "signalbox", "exp": .integer(now + 300),
    "iat": .integer(now), "email": "Ada@Example.com",
  ]

  struct IsDown: Error {}

  private struct State {
    var documents: [String: JSONValue] = [:]
    var isDown = false
    var fetches: [String] = []
    var delay = Duration.zero
    var time = ContinuousClock.now
  }

  private let state = Mutex(State())

  init(_ keys: [TestKey] = []) { publish(keys) }

  func publish(_ keys: [TestKey]) {
    publish(.object(["keys": .array(keys.map { .object($0.jwk) })]))
  }

  func publish(_ document: JSONValue, at url: String = "\(name)/keys") {
    state.withLock { $0.documents[url] = document }
  }

  func setDown(_ isDown: Bool) { state.withLock { $0.isDown = isDown } }

  /// How long it takes to answer.
  func setDelay(_ delay: Duration) { state.withLock { $0.delay = delay } }

  func advance(by duration: Duration) { state.withLock { $0.time += duration } }

  var fetches: [String] { state.withLock { $0.fetches } }

  var fetchCount: Int { fetches.count }

  func fetch(_ url: String) async throws -> [UInt8] {
    let (document, delay) = state.withLock { state in
      state.fetches.append(url)
      return (state.isDown ? nil : state.documents[url], state.delay)
    }
    try await Task.sleep(for: delay)
    guard let document else { throw IsDown() }
    return document.canonicalBytes()
  }

  static func provider(
    _ algorithms: Set<SignatureAlgorithm> = Set(SignatureAlgorithm.allCases),
    trustsEmail: Bool = false, tokenTypes: Set<String?> = [IdentityProvider.accessTokenType]
  ) throws -> IdentityProvider {
    try IdentityProvider(
      issuer: name, audiences: ["signalbox", "other"], jwksURL: "\(name)/keys",
      algorithms: algorithms, trustsEmail: trustsEmail, tokenTypes: tokenTypes)
  }

  func verifier(_ providers: [IdentityProvider]? = nil) throws -> IdentityVerifier {
    IdentityVerifier(
      providers: try providers ?? [Self.provider()],
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      now: { self.state.withLock { $0.time } }, fetch: { try await self.fetch($0) })
  }
}

/// Why a token is refused; records an issue when it is accepted, or when it is not even looked at.
func refusal(
  of token: String, by verifier: IdentityVerifier, at time: Int64 = TestIssuer.now,
  sourceLocation: SourceLocation = #_sourceLocation
) async -> String {
  do throws(IdentityError) {
    let identity = try await verifier.verify(token, at: time)
    Issue.record("accepted: \(identity)", sourceLocation: sourceLocation)
  } catch {
    if case .refused(let reason) = error { return reason }
    Issue.record("\(error)", sourceLocation: sourceLocation)
  }
  return ""
}
