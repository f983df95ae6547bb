import ConfigurationFeed
import Cryptography
import Domain
import FoundationEssentials
import Glibc
import JSON
import Logging
import Testing

@testable import Gateway

/// SplitMix64: the same numbers on every run, so that a failure can be looked into.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  mutating func chance(_ one: Int) -> Bool { Int.random(in: 0..<one, using: &self) == 0 }
}

extension TypeID {
  /// One of few, by its number.
  static func number(_ number: UInt8) -> Self {
    Self(UUID(uuid: (1, 0x93, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, number)))
  }
}

let organization1 = OrganizationID.number(1)
let project1 = ProjectID.number(1)
let project2 = ProjectID.number(2)
let pepper = [UInt8](repeating: 7, count: 32)

/// A key as the control plane makes them.
func apiKey(_ number: Int, prefix: String = "pk_live_") -> String {
  let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  let digits = String(number)
  let body = String(repeating: "k", count: 30 - digits.count) + digits
  var sum = CRC32.checksum(Array(body.utf8))
  var checksum = ""
  for _ in 0..<6 {
    checksum = String(alphabet[Int(sum % 62)]) + checksum
    sum /= 62
  }
  return prefix + body + checksum
}

func hash(_ key: String) -> String {
  Base64URL.encode(HMACSHA256(key: pepper).authenticationCode(for: key.utf8))
}

func configuredKey(_ number: Int, expiresAt: Timestamp? = nil) -> ConfiguredAPIKey {
  ConfiguredAPIKey(hash: hash(apiKey(number)), expiresAt: expiresAt)
}

/// One organization with one project, whose key is number 1.
func sample(
  at position: Int64,
  _ change: (inout ConfiguredProject, inout ConfiguredOrganization) -> Void = { _, _ in }
) throws -> ConfigurationDocument {
  var project = ConfiguredProject(environment: .live, apiKeys: ["key_1": configuredKey(1)])
  var organization = ConfiguredOrganization(plan: .plus)
  change(&project, &organization)
  var document = ConfigurationDocument()
  try document.set(organization1, to: organization.json(with: [project1: project]), at: position)
  return document
}

/// A change of the sample's project.
func projectPatch(_ patch: String) -> String {
  #"{"organizations":{"\#(organization1)":{"projects":{"\#(project1)":\#(patch)}}}}"#
}

let panicOn = projectPatch(#"{"panic_mode":{"since":"2026-01-01T00:00:00Z"}}"#)
let panicOff = projectPatch(#"{"panic_mode":null}"#)

func sampleRequest(_ key: KeyVerification) -> GatewayRequest { request(key) }

func request(
  _ key: KeyVerification, provider: String = "openai", model: String = "gpt-4o",
  address: String? = "192.0.2.1", country: String? = "DE", tokens: Int64? = nil,
  time: Date = Date()
) -> GatewayRequest {
  guard
    let request = GatewayRequest(
      key: key, address: address, country: country, provider: provider, model: model,
      tokens: tokens, time: time)
  else { fatalError("the address is none") }
  return request
}

extension GatewayClient {
  /// What becomes of a request with a key.
  func decide(_ number: Int = 1) -> GatewayDecision {
    evaluate(request(verify(key: apiKey(number))))
  }
}

/// Waits until something is so.
func eventually(
  _ what: Comment, within limit: Duration = .seconds(10),
  sourceLocation: SourceLocation = #_sourceLocation, _ condition: () throws -> Bool
) async throws {
  let end = ContinuousClock.now + limit
  while try !condition() {
    guard ContinuousClock.now < end else {
      Issue.record(what, sourceLocation: sourceLocation)
      throw CancellationError()
    }
    try await Task.sleep(for: .milliseconds(5))
  }
}

/// A file's name in a directory that is removed afterwards.
func withTemporaryPath<Result>(_ body: (String) async throws -> Result) async throws -> Result {
  var template = Array("/tmp/gateway-test-XXXXXX".utf8CString)
  guard let directory = mkdtemp(&template).map({ String(cString: $0) }) else {
    fatalError("mkdtemp")
  }
  defer {
    unlink("\(directory)/snapshot.json")
    unlink("\(directory)/snapshot.json.new")
    rmdir(directory)
  }
  return try await body("\(directory)/snapshot.json")
}

/// A gateway that runs while a test does, with little patience.
func withGateway<Result>(
  _ url: String, or other: String? = nil, path: String? = nil, token: String = StandIn.token,
  capacity: Int = 100_000,
  _ change: (inout Timing) -> Void = { _ in },
  _ body: (GatewayClient) async throws -> Result
) async throws -> Result {
  var configuration = GatewayConfiguration(
    controlPlanes: [url] + (other.map { [$0] } ?? []), token: token, name: "test-1",
    apiKeyPepper: pepper, snapshotPath: path,
    evidenceCapacity: capacity)
  configuration.timing.backoff = Backoff(base: .milliseconds(5), most: .milliseconds(50))
  configuration.timing.acknowledgement = .milliseconds(20)
  configuration.timing.evidence = .milliseconds(20)
  configuration.timing.save = .milliseconds(20)
  change(&configuration.timing)
  var logger = Logger(label: "test")
  logger.logLevel = .critical
  let gateway = try GatewayClient(configuration, logger: logger)
  let running = Task { try await gateway.run() }
  let result: Result
  do {
    result = try await body(gateway)
  } catch {
    running.cancel()
    try await running.value
    throw error
  }
  running.cancel()
  try await running.value
  return result
}

func withStandIn<Result>(_ body: (StandIn) async throws -> Result) async throws -> Result {
  let standIn = StandIn()
  try await standIn.start()
  do {
    let result = try await body(standIn)
    try await standIn.stop()
    return result
  } catch {
    try? await standIn.stop()
    throw error
  }
}
