package import Domain
import FoundationEssentials
import NIOCore
import NIOHTTP1
package import NIOPosix
package import NIOSSL
import Synchronization

/// One POST to an endpoint.
package struct WebhookRequest: Sendable {
  package let url: WebhookURL
  package let headers: [(name: String, value: String)]
  package let body: [UInt8]

  package init(url: WebhookURL, headers: [(name: String, value: String)], body: [UInt8]) {
    self.url = url
    self.headers = headers
    self.body = body
  }
}

/// What was answered.
package struct WebhookAnswer: Sendable, Equatable {
  package let status: Int
  /// At most the first KiB of the body, as it came.
  package let excerpt: [UInt8]
  /// The value of `Retry-After`, as it came.
  package let retryAfter: String?

  package init(status: Int, excerpt: [UInt8], retryAfter: String? = nil) {
    self.status = status
    self.excerpt = excerpt
    self.retryAfter = retryAfter
  }
}

/// Why nothing was answered. The texts are shown to members.
package enum WebhookFailure: Error, Equatable, Sendable, CustomStringConvertible {
  case urlRefused
  case hostNotFound
  /// Every address of the name is one that ``TargetPolicy`` does not allow.
  case targetRefused
  case connectionFailed
  case tlsFailed
  case connectionLost
  case malformedResponse
  case timeout
  /// By us, because the process ends.
  case cancelled

  package var description: String {
    switch self {
    case .urlRefused: "the URL is not one that webhooks are sent to"
    case .hostNotFound: "the host's name leads nowhere"
    case .targetRefused: "the host is not on the internet: its address is private or special"
    case .connectionFailed: "no connection could be made"
    case .tlsFailed: "the TLS handshake failed, or the certificate is not good for the host"
    case .connectionLost: "the connection was closed before an answer was complete"
    case .malformedResponse: "the answer was no HTTP/1.1"
    case .timeout: "there was no answer in time"
    case .cancelled: "the attempt was given up because the server stops"
    }
  }
}

/// Sends webhooks, and nowhere that they must not be sent. A name is resolved here, its addresses are filtered, and the
/// connection goes to the very address that was looked at: nothing resolves the name a second time. Redirects are answers like
/// any other, proxies are not asked, bodies are not inflated.
package struct WebhookClient: Sendable {
  /// For one attempt, from the name to the head of the answer.
  package static let timeLimit: Duration = .seconds(15)
  /// For one address of a name that has several.
  private static let connectLimit: TimeAmount = .seconds(5)
  private static let mostAddresses = 3

  private let policy: TargetPolicy
  private let resolver: any HostResolver
  private let tls: TLSContext
  private let group: MultiThreadedEventLoopGroup
  private let timeLimit: Duration

  /// - Parameter tls: nil to believe those whom the system's certificate authorities vouch for.
  package init(
    policy: TargetPolicy, resolver: any HostResolver = SystemResolver(),
    tls: TLSConfiguration? = nil, group: MultiThreadedEventLoopGroup = .singleton,
    timeLimit: Duration = Self.timeLimit
  ) {
    self.policy = policy
    self.resolver = resolver
    self.group = group
    self.timeLimit = timeLimit
    self.tls = TLSContext(tls ?? .makeClientConfiguration())
  }

  /// Sends one request, by the connection of the one before if it can still be used.
  ///
  /// - Parameter connection: what stays open afterwards, to the same place only.
  package func send(
    _ request: WebhookRequest, over connection: inout WebhookConnection?
  ) async throws(WebhookFailure) -> WebhookAnswer {
    let deadline = ContinuousClock.now + timeLimit
    if let open = connection {
      connection = nil
      if open.isGood(for: request.url) {
        do throws(WebhookFailure) {
          return try await exchange(request, open, deadline, &connection)
        } catch {
          // Whoever keeps connections open may close them at any time: that is no failure of this request's.
          guard error == .connectionLost, !Task.isCancelled else { throw error }
        }
      } else {
        open.close()
      }
    }
    let opened = try await connect(to: request.url, deadline)
    return try await exchange(request, opened, deadline, &connection)
  }

  private func exchange(
    _ request: WebhookRequest, _ open: WebhookConnection, _ deadline: ContinuousClock.Instant,
    _ kept: inout WebhookConnection?
  ) async throws(WebhookFailure) -> WebhookAnswer {
    let (answer, isReusable) = try await open.exchange(request, deadline: deadline)
    if isReusable { kept = open }
    return answer
  }

  private func connect(
    to url: WebhookURL, _ deadline: ContinuousClock.Instant
  ) async throws(WebhookFailure) -> WebhookConnection {
    do throws(WebhookURL.Refusal) { try policy.check(url) } catch {
      throw error == .target ? .targetRefused : .urlRefused
    }
    let allowed = try await addresses(of: url.host, deadline).filter(policy.allows)
    guard !allowed.isEmpty else { throw .targetRefused }
    var failure = WebhookFailure.connectionFailed
    for address in allowed.prefix(Self.mostAddresses) {
      let left = deadline - .now
      guard left > .zero else { throw .timeout }
      do {
        let channel = try await open(
          address, url, within: min(Self.connectLimit, TimeAmount(left)), deadline)
        return WebhookConnection(channel, url)
      } catch {
        if Task.isCancelled { throw .cancelled }
        failure = WebhookFailure(error, otherwise: .connectionFailed)
        // Another address of the same host would not know better.
        if failure != .connectionFailed { throw failure }
      }
    }
    throw failure
  }

  private func addresses(
    of host: WebhookURL.Host, _ deadline: ContinuousClock.Instant
  ) async throws(WebhookFailure) -> [IPAddress] {
    guard case .name(let name) = host else {
      if case .address(let address) = host { return [address] }
      return []
    }
    let resolver = resolver
    // The system's resolver cannot be interrupted; it is left alone instead.
    let found = await first(by: deadline) { () -> Result<[IPAddress], HostNotFound> in
      do throws(HostNotFound) {
        return .success(try await resolver.addresses(of: name))
      } catch {
        return .failure(error)
      }
    }
    switch found {
    case nil: throw Task.isCancelled ? .cancelled : .timeout
    case .failure?: throw .hostNotFound
    case .success(let addresses)?: return addresses
    }
  }

  private func open(
    _ address: IPAddress, _ url: WebhookURL, within time: TimeAmount,
    _ deadline: ContinuousClock.Instant
  ) async throws -> any Channel {
    let tls = url.isSecure ? try tls.get() : nil
    // Without a name, the certificate has to be good for the address.
    let serverName: String? = if case .name(let name) = url.host { name } else { nil }
    let eventLoop = group.next()
    let ready = eventLoop.makePromise(of: Void.self)
    let timer = eventLoop.scheduleTask(in: TimeAmount(deadline - .now)) {
      ready.fail(WebhookFailure.timeout)
    }
    defer { timer.cancel() }
    let opening = ClientBootstrap(group: eventLoop)
      .connectTimeout(time)
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          if let tls {
            try pipeline.addHandler(
              NIOSSLClientHandler(context: tls, serverHostname: serverName))
          }
          try pipeline.addHTTPClientHandlers()
          try pipeline.addHandler(WebhookExchangeHandler(ready: ready, waitsForTLS: tls != nil))
        }
      }
      .connect(to: try SocketAddress(ipAddress: "\(address)", port: Int(url.port)))
    opening.cascadeFailure(to: ready)
    let channel = try await opening.get()
    do {
      // A certificate that is no good is found out before anything is sent.
      try await withTaskCancellationHandler {
        try await ready.futureResult.get()
      } onCancel: {
        channel.close(promise: nil)
      }
      return channel
    } catch {
      channel.close(promise: nil)
      throw error
    }
  }
}

/// Made when it is first needed, and once: it reads all of the system's certificate authorities.
private final class TLSContext: Sendable {
  private let configuration: TLSConfiguration
  private let context = Mutex<NIOSSLContext?>(nil)

  init(_ configuration: TLSConfiguration) {
    var configuration = configuration
    configuration.applicationProtocols = ["http/1.1"]
    self.configuration = configuration
  }

  /// - Throws: `NIOSSLError` when the system has none.
  func get() throws -> NIOSSLContext {
    try context.withLock { context in
      if let context { return context }
      let made = try NIOSSLContext(configuration: configuration)
      context = made
      return made
    }
  }
}

extension WebhookFailure {
  /// What an error means that happened on a connection.
  init(_ error: any Error, otherwise other: WebhookFailure) {
    self =
      switch error {
      case let error as WebhookFailure: error
      case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError: .tlsFailed
      case is HTTPParserError: .malformedResponse
      default: other
      }
  }
}

/// What a body returns, unless time or the task ends before: then nil, and the body goes on alone.
private func first<Value: Sendable>(
  by deadline: ContinuousClock.Instant, _ body: @escaping @Sendable () async -> Value
) async -> Value? {
  let (values, continuation) = AsyncStream.makeStream(of: Value?.self)
  let work = Task {
    continuation.yield(await body())
    continuation.finish()
  }
  let timer = Task {
    try? await Task.sleep(until: deadline, clock: .continuous)
    continuation.finish()
  }
  defer {
    work.cancel()
    timer.cancel()
  }
  for await value in values { return value }
  return nil
}
