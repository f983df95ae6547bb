import AsyncHTTPClient
import FoundationEssentials
import Gateway
import HTTPTypes
import Hummingbird
import Logging
import ServiceLifecycle

/// A whole AI gateway, as small as it can be: it knows the callers by their API keys, decides about their requests by the
/// configuration of a Signalbox control plane, hands what passes to an upstream, and reports evidence.
///
/// Configured by the environment: see `ops/gateways.md`.
@main
enum ExampleGateway {
  static func main() async throws {
    let environment = ProcessInfo.processInfo.environment
    let logger = Logger(label: "example-gateway")
    let gateway = try GatewayClient(GatewayConfiguration(environment: environment), logger: logger)
    // So that it serves from the first moment, if it ever ran before.
    await gateway.load()

    let port = environment["GATEWAY_PORT"].flatMap { Int($0) } ?? 8090
    var services: [any Service] = [GatewayService(gateway: gateway)]
    let upstream: String
    if let url = environment["UPSTREAM_URL"] {
      upstream = url
    } else {
      upstream = "http://127.0.0.1:\(port + 1)"
      services.append(EchoUpstream.application(port: port + 1, logger: logger))
    }
    let chat = ChatRoute(
      gateway: gateway, upstream: upstream,
      isBehindProxy: environment["GATEWAY_BEHIND_PROXY"] == "true")

    let router = Router(context: ClientContext.self)
    router.post("/v1/chat/completions") { try await chat.respond(to: $0, $1) }
    router.get("/livez") { _, _ in HTTPResponse.Status.ok }
    router.get("/readyz") { _, _ -> HTTPResponse.Status in
      gateway.status.position == nil ? .serviceUnavailable : .ok
    }
    router.get("/status") { _, _ in try Response(Report(gateway.status, gateway.metrics)) }
    let server = Application(
      router: router,
      configuration: .init(
        address: .hostname(environment["GATEWAY_HOST"] ?? "127.0.0.1", port: port),
        serverName: nil),
      services: services, logger: logger)
    try await server.runService()
  }
}

/// Ends the gateway with the server, after its last evidence.
struct GatewayService: Service {
  let gateway: GatewayClient

  func run() async throws {
    try await cancelWhenGracefulShutdown { try await gateway.run() }
  }
}

/// What `GET /status` tells those who operate the gateway.
struct Report: Encodable {
  let position: Int64?
  let isConnected: Bool
  let isStale: Bool
  let since: Date
  let lastError: String?
  let decisionsAllowed: Int
  let decisionsBlocked: Int
  let changesApplied: Int
  let changesRefused: Int
  let evidenceDelivered: Int
  let evidenceDropped: Int

  init(_ status: GatewayStatus, _ metrics: GatewayMetrics) {
    position = status.position
    isConnected = status.isConnected
    isStale = status.isStale
    since = status.since
    lastError = status.lastError
    decisionsAllowed = metrics.decisionsAllowed
    decisionsBlocked = metrics.decisionsBlocked
    changesApplied = metrics.changesApplied
    changesRefused = metrics.changesRefused
    evidenceDelivered = metrics.evidenceDelivered
    evidenceDropped = metrics.evidenceDropped
  }
}
