import ConfigurationFeed
import Cryptography
import FoundationEssentials
import Gateway
import JSON
import Logging
import Support
import Testing

/// What a gateway is given to reach the control plane.
struct GatewayCredentials: Sendable {
  let token: String
  let pepper: [UInt8]

  init(_ platformAdmin: TestClient) async throws {
    let made = try await platformAdmin.post("/v1/platform/gateway-tokens", #"{"name":"edge"}"#)
    token = try #require(try made.json["token"]?.string, "\(made.text)")
    pepper = try #require(Base64URL.decode(try made.json["api_key_pepper"]?.string ?? ""))
  }
}

/// A gateway made of the library, in this process, that runs until it is stopped.
struct RunningGateway: Sendable {
  let client: GatewayClient
  /// Where it saves its configuration.
  let path: String
  private let running: Task<Void, any Error>

  /// What opens the provider keys of servers with ``settings``.
  private static let keys = "2:\(Base64URL.encode([UInt8](repeating: 2, count: 32)))"
  /// The environment of a server whose provider keys gateways open.
  static let settings = ["SIGNALBOX_PROVIDER_KEYS_KEK": keys]

  /// - Parameter ports: of the control plane's replicas, in the order in which they are tried.
  init(
    _ name: String, _ credentials: GatewayCredentials, ports: [UInt16], directory: String
  ) throws {
    path = "\(directory)/\(name).json"
    var configuration = GatewayConfiguration(
      controlPlanes: ports.map { "http://127.0.0.1:\($0)" }, token: credentials.token, name: name,
      apiKeyPepper: credentials.pepper, snapshotPath: path, keyEncryptionKeys: Self.keys)
    configuration.timing.backoff = Backoff(base: .milliseconds(20), most: .milliseconds(200))
    configuration.timing.acknowledgement = .milliseconds(50)
    configuration.timing.evidence = .milliseconds(50)
    var logger = Logger(label: name)
    logger.logLevel = .critical
    let client = try GatewayClient(configuration, logger: logger)
    self.client = client
    running = Task { try await client.run() }
  }

  /// Waits until it runs this position of the log, or a newer one, and is told that there is no more.
  func catchUp(to position: Int64, within patience: Duration = .seconds(20)) async throws {
    try await eventually("a gateway runs position \(position)", within: patience) {
      (client.status.position ?? 0) >= position && !client.status.isStale
    }
  }

  /// Ends it in good order.
  ///
  /// - Returns: the configuration that it ran.
  @discardableResult
  func stop() async throws -> ConfigurationDocument {
    running.cancel()
    try await running.value
    return try ConfigurationDocument(parsing: Array(Data(contentsOf: URL(filePath: path))))
  }

  /// Ends it, whatever becomes of it.
  func cancel() { running.cancel() }

  /// What becomes of a request with a key.
  func decide(
    _ key: String, model: String = "gpt-4o", address: String? = "192.0.2.1"
  ) throws -> GatewayDecision {
    client.evaluate(try request(key, model: model, address: address))
  }

  func request(
    _ key: String, model: String = "gpt-4o", address: String? = "192.0.2.1"
  ) throws -> GatewayRequest {
    try #require(
      GatewayRequest(
        key: client.verify(key: key), address: address, provider: "openai", model: model))
  }

  /// Decides about a request and keeps evidence of it.
  ///
  /// - Returns: the record's id.
  func decideAndRecord(_ key: String) throws -> String {
    let request = try request(key)
    let record = try #require(RequestRecord(request, client.evaluate(request)))
    client.record(record)
    return record.id
  }
}

extension TestClient {
  /// The platform's administrator, at a server.
  init(_ server: ServerProcess) {
    self.init(http: HTTPClient(port: Int(server.port)), token: ServerProcess.token)
  }
}

extension HTTPReply {
  /// Where in the log the change is.
  var position: Int64 {
    get throws { try #require(self["signalbox-position"].flatMap { Int64($0) }, "\(text)") }
  }
}

/// Waits until something is so.
func eventually(
  _ what: Comment, within patience: Duration = .seconds(20),
  at location: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
  let end = ContinuousClock.now + patience
  while try await !condition() {
    try #require(ContinuousClock.now < end, what, sourceLocation: location)
    try await Task.sleep(for: .milliseconds(10))
  }
}
