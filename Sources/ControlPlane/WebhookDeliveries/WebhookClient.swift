package import Domain
import FoundationEssentials
import NIOCore
import NIOHTTP1
package import NIOPosix
package import NIOSSL

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
  private let tls: NIOSSLContext
  private let group: MultiThreadedEventLoopGroup
  private let timeLimit: Duration

  /// - Parameter tls: nil to believe those whom the system's certificate authorities vouch for.
  /// - Throws: `NIOSSLError` when the system has none.
  package init(
    policy: TargetPolicy, resolver: any HostResolver = SystemResolver(),
    tls: TLSConfiguration? = nil, group: MultiThreadedEventLoopGroup = .singleton,
    timeLimit: Duration = Self.timeLimit
  ) throws {
    self.policy = policy
    self.resolver = resolver
    self.group = group
    self.timeLimit = timeLimit
    var configuration = tls ?? .makeClientConfiguration()
    configuration.applicationProtocols = ["http/1.1"]
    self.tls = try NIOSSLContext(configuration: configuration)
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
        return WebhookConnection(
          try await open(address, url, within: min(Self.connectLimit, TimeAmount(left))), url)
      } catch is ChannelError {
        failure = ContinuousClock.now >= deadline ? .timeout : .connectionFailed
      } catch {
        failure = .connectionFailed
      }
      if Task.isCancelled { throw .cancelled }
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
    _ address: IPAddress, _ url: WebhookURL, within time: TimeAmount
  ) async throws -> any Channel {
    let (tls, isSecure) = (tls, url.isSecure)
    // Without a name, the certificate has to be good for the address.
    let serverName: String? = if case .name(let name) = url.host { name } else { nil }
    return try await ClientBootstrap(group: group)
      .connectTimeout(time)
      .channelOption(.socketOption(.tcp_nodelay), value: 1)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          if isSecure {
            try pipeline.addHandler(
              NIOSSLClientHandler(context: tls, serverHostname: serverName))
          }
          try pipeline.addHTTPClientHandlers()
          try pipeline.addHandler(WebhookExchangeHandler())
        }
      }
      .connect(to: SocketAddress(ipAddress: "\(address)", port: Int(url.port)))
      .get()
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
