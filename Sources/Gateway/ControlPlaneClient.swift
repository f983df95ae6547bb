import AsyncHTTPClient
import Compression
import FoundationEssentials
import JSON
import NIOCore
import NIOHTTP1
import NIOHTTPCompression
import Synchronization

/// The requests that a gateway makes.
struct ControlPlaneClient: Sendable {
  /// Why a request came to nothing, in words that hold no secret.
  struct Failure: Error, Equatable, CustomStringConvertible {
    let description: String
    /// Of the reply, if there was one.
    var status: UInt?
  }

  private let http: HTTPClient
  private let replicas: Replicas
  private let token: String
  private let timing: Timing
  private let compatibility = Compatibility()

  /// What control planes were found not to know, because they are older.
  private final class Compatibility: Sendable {
    let takesZstd = Atomic<Bool>(true)
  }

  /// What is smaller is not worth compressing.
  private static let leastCompressed = 1024

  init(http: HTTPClient, configuration: GatewayConfiguration) {
    self.http = http
    replicas = Replicas(configuration.controlPlanes)
    token = configuration.token
    timing = configuration.timing
  }

  /// A client that notices when nothing arrives any more, and takes the token nowhere else.
  static func httpClient(_ timing: Timing) -> HTTPClient {
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow,
      timeout: .init(connect: TimeAmount(timing.connect), read: TimeAmount(timing.silence)),
      decompression: .enabled(limit: .size(largestSnapshot)))
    configuration.httpVersion = .http1Only
    // When to try again is decided here.
    configuration.connectionPool.retryConnectionEstablishment = false
    return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  /// A document for many times what is planned for.
  static let largestSnapshot = 1 << 30

  /// The whole configuration.
  ///
  /// - Parameter tag: of one that is of no use.
  /// - Returns: the configuration, and its tag; nil when it is still the one with that tag.
  func snapshot(unless tag: String? = nil) async throws -> (bytes: [UInt8], tag: String?)? {
    var request = self.request("snapshot")
    request.headers.add(name: "Accept", value: "application/json")
    request.headers.add(name: "Accept-Encoding", value: "zstd, gzip;q=0.9")
    if let tag { request.headers.add(name: "If-None-Match", value: tag) }
    let response = try await send(request)
    if tag != nil, response.status == .notModified { return nil }
    guard response.status == .ok else { throw failure(response, "snapshot") }
    let body = try await response.body.collect(upTo: Self.largestSnapshot)
    let newTag = response.headers.first(name: "ETag")
    // The client below inflates gzip, and knows no zstd.
    guard response.headers.first(name: "Content-Encoding")?.lowercased() == "zstd" else {
      return (Array(body.readableBytesView), newTag)
    }
    do {
      let bytes = try body.withUnsafeReadableBytes {
        try Zstd.inflate($0, limit: Self.largestSnapshot)
      }
      return (bytes, newTag)
    } catch {
      throw Failure(description: "snapshot: the zstd is \(error)")
    }
  }

  /// What happens after a position, as it happens.
  ///
  /// - Returns: also which replica tells it, for ``leave(_:)`` when it tells no more.
  func stream(after position: Int64) async throws -> (HTTPClientResponse.Body, replica: Int) {
    var request = self.request("stream")
    request.headers.add(name: "Accept", value: "text/event-stream")
    request.headers.add(name: "Cache-Control", value: "no-store")
    request.headers.add(name: "Last-Event-ID", value: "\(position)")
    let replica = replicas.current
    let response = try await send(request, to: replica)
    guard response.status == .ok else { throw failure(response, "stream") }
    let type = response.headers.first(name: "Content-Type") ?? ""
    guard type.lowercased().hasPrefix("text/event-stream") else {
      throw Failure(description: "the stream is not text/event-stream")
    }
    return (response.body, replica)
  }

  /// Goes on with the next replica, unless somebody did already.
  func leave(_ replica: Int) { replicas.leave(replica) }

  func acknowledge(_ body: JSONObject) async throws {
    let response = try await post(body.bytes(), to: "ack")
    guard 200..<300 ~= response.status.code else { throw failure(response, "ack") }
    _ = try await response.body.collect(upTo: 1 << 16)
  }

  /// - Returns: status and body, whatever they are.
  func sendEvidence(_ body: [UInt8]) async throws -> (status: UInt, body: [UInt8]) {
    var response = try await postCompressed(body, to: "request-logs")
    if response.status == .unsupportedMediaType,
      compatibility.takesZstd.exchange(false, ordering: .relaxed)
    {
      response = try await postCompressed(body, to: "request-logs")
    }
    let body = try await response.body.collect(upTo: 16 << 20)
    return (response.status.code, Array(body.readableBytesView))
  }

  private func postCompressed(
    _ body: [UInt8], to name: String
  ) async throws -> HTTPClientResponse {
    guard body.count >= Self.leastCompressed else { return try await post(body, to: name) }
    let coding: ContentCoding = compatibility.takesZstd.load(ordering: .relaxed) ? .zstd : .gzip
    return try await post(coding.deflate(body), coding, to: name)
  }

  private func post(
    _ body: [UInt8], _ coding: ContentCoding? = nil, to name: String
  ) async throws -> HTTPClientResponse {
    var request = self.request(name)
    request.method = .POST
    if let coding { request.headers.add(name: "Content-Encoding", value: coding.rawValue) }
    request.headers.add(name: "Content-Type", value: "application/json")
    request.body = .bytes(body)
    return try await send(request)
  }

  private func request(_ name: String) -> HTTPClientRequest {
    var request = HTTPClientRequest(url: "/v1/dataplane/\(name)")
    request.headers.add(name: "Authorization", value: "Bearer \(token)")
    request.headers.add(name: "User-Agent", value: "signalbox-gateway")
    return request
  }

  private func send(
    _ request: HTTPClientRequest, to replica: Int? = nil
  ) async throws -> HTTPClientResponse {
    let replica = replica ?? replicas.current
    var request = request
    request.url = replicas.base(replica) + request.url
    do {
      let response = try await http.execute(request, timeout: TimeAmount(timing.reply))
      if response.status.code >= 500 { leave(replica) }
      return response
    } catch {
      // Whoever gave up waiting says nothing about the replica.
      if !Task.isCancelled { leave(replica) }
      throw error
    }
  }

  private func failure(_ response: HTTPClientResponse, _ name: String) -> Failure {
    let code = response.status.code
    let reason =
      switch code {
      case 401, 403: "the gateway token is not accepted"
      default: response.status.reasonPhrase
      }
    return Failure(description: "\(name): \(code), \(reason)", status: code)
  }
}
