import AsyncHTTPClient
import Cryptography
import FoundationEssentials
import JSON
import NIOCore
import NIOHTTP1

/// Asks Stripe's REST API for what a customer's browser is sent to (Checkout sessions, and sessions of the customer portal),
/// and for what an event leaves open.
///
/// Every request that makes something carries an `Idempotency-Key`, so that one whose answer got lost is simply sent again.
/// The secret key goes to the base URL and nowhere else: redirects are not followed, and no error repeats it.
///
/// Source: https://docs.stripe.com/api
package struct StripeClient: Sendable {
  /// The version whose replies are read here: https://docs.stripe.com/api/versioning
  package static let apiVersion = "2025-03-31.basil"
  package static let standardBaseURL = "https://api.stripe.com"

  private static let largestReply = 1 << 20
  private static let connectTime = Duration.seconds(2)

  private let secretKey: String
  private let baseURL: String
  private let attempts: Int
  /// Before the second attempt; doubled before each further one.
  private let pause: Duration

  /// - Parameters:
  ///   - secretKey: `sk_…` or a restricted `rk_…`.
  ///   - baseURL: https, or http of this machine, without a path.
  ///   - attempts: how often a request is sent in all while Stripe cannot answer it.
  /// - Throws: ``StripeSettingsError``.
  package init(
    secretKey: String, baseURL: String = standardBaseURL, attempts: Int = 3,
    pause: Duration = .milliseconds(200)
  ) throws(StripeSettingsError) {
    guard !secretKey.isEmpty, secretKey.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
      throw .secretKey
    }
    guard Self.isBase(baseURL) else { throw .baseURL }
    self.secretKey = secretKey
    self.baseURL = baseURL.hasSuffix("/") ? String(baseURL.dropLast()) : baseURL
    self.attempts = attempts
    self.pause = pause
  }

  private static func isBase(_ text: String) -> Bool {
    guard text.utf8.allSatisfy({ 0x21...0x7E ~= $0 }),
      let url = URL(string: text, encodingInvalidCharacters: false), let host = url.host(),
      !host.isEmpty, url.user() == nil, url.query() == nil, url.fragment() == nil,
      ["", "/"].contains(url.path())
    else { return false }
    let isLocal = ["localhost", "127.0.0.1", "::1", "[::1]"].contains(host)
    return url.scheme == "https" || url.scheme == "http" && isLocal
  }

  /// Makes something.
  ///
  /// - Parameters:
  ///   - path: below `/v1`.
  ///   - idempotencyKey: up to 255 characters; Stripe keeps what it answered for a day.
  ///   - deadline: for all attempts together.
  /// - Throws: ``StripeError``.
  func post(
    _ path: String, _ form: FormBody, idempotencyKey: String, deadline: ContinuousClock.Instant
  ) async throws(StripeError) -> Answer {
    var request = request("\(baseURL)/v1/\(path)")
    request.method = .POST
    request.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
    request.headers.add(name: "Idempotency-Key", value: idempotencyKey)
    request.body = .bytes(form.bytes)
    return try await send(request, deadline)
  }

  /// Reads something.
  ///
  /// - Throws: ``StripeError``.
  func get(
    _ path: String, _ query: FormBody, deadline: ContinuousClock.Instant
  ) async throws(StripeError) -> Answer {
    let query = query.bytes.isEmpty ? "" : "?" + String(decoding: query.bytes, as: UTF8.self)
    return try await send(request("\(baseURL)/v1/\(path)\(query)"), deadline)
  }

  /// What a request led to.
  struct Answer: Sendable {
    let body: JSONValue
    /// Whether it is what an earlier request with the same key was answered.
    let isReplay: Bool
  }

  private func request(_ url: String) -> HTTPClientRequest {
    var request = HTTPClientRequest(url: url)
    request.headers.add(name: "Authorization", value: "Bearer \(secretKey)")
    request.headers.add(name: "Stripe-Version", value: Self.apiVersion)
    request.headers.add(name: "Accept", value: "application/json")
    request.headers.add(name: "User-Agent", value: "signalbox")
    return request
  }

  /// One client for each: people go to a checkout now and then.
  private func send(
    _ request: HTTPClientRequest, _ deadline: ContinuousClock.Instant
  ) async throws(StripeError) -> Answer {
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
    configuration.timeout.connect = TimeAmount(Self.connectTime)
    configuration.httpVersion = .http1Only
    configuration.connectionPool.retryConnectionEstablishment = false
    do {
      let result = try await HTTPClient.withHTTPClient(configuration: configuration) { client in
        await attempt(request, with: client, deadline)
      }
      return try result.get()
    } catch let error as StripeError {
      throw error
    } catch {
      // Ending the client failed; whether the answer was good is not known any more.
      throw .unreachable(reason: "the connection could not be closed")
    }
  }

  /// Sends it until there is an answer that sending it again would not change.
  private func attempt(
    _ request: HTTPClientRequest, with client: HTTPClient, _ deadline: ContinuousClock.Instant
  ) async -> Result<Answer, StripeError> {
    var pause = pause
    for number in 1... {
      let (result, mayRetry) = await once(request, with: client, deadline)
      let jitter = Duration.milliseconds(Int64.random(in: 0...50))
      guard mayRetry, number < attempts, .now + pause + jitter < deadline else { return result }
      do { try await Task.sleep(for: pause + jitter) } catch { return result }
      pause *= 2
    }
    preconditionFailure("the loop has no end")
  }

  private func once(
    _ request: HTTPClientRequest, with client: HTTPClient, _ deadline: ContinuousClock.Instant
  ) async -> (Result<Answer, StripeError>, mayRetry: Bool) {
    let left = deadline - .now
    guard left > .zero else { return (.failure(.unreachable(reason: "no time is left")), false) }
    do {
      let limit = NIODeadline.now() + TimeAmount(left)
      let response = try await client.execute(request, deadline: limit)
      let body = try await withDeadline(deadline) {
        try await response.body.collect(upTo: Self.largestReply)
      }
      return read(response.status, response.headers, Array(body.readableBytesView))
    } catch {
      return (.failure(.unreachable(reason: Self.reason(error))), !Task.isCancelled)
    }
  }

  private func read(
    _ status: HTTPResponseStatus, _ headers: HTTPHeaders, _ body: [UInt8]
  ) -> (Result<Answer, StripeError>, mayRetry: Bool) {
    let value: JSONValue
    do throws(JSONSyntaxError) {
      value = try JSONValue.parse(body)
    } catch {
      // A proxy in between, for instance; what it says is nobody's contract.
      value = .null
    }
    if status == .ok, value.object != nil {
      let isReplay = headers.first(name: "Idempotent-Replayed") == "true"
      return (.success(Answer(body: value, isReplay: isReplay)), false)
    }
    let error = StripeError(status: status.code, body: value)
    // Stripe knows best; where it says nothing, what its own libraries send again.
    let mayRetry =
      switch headers.first(name: "Stripe-Should-Retry") {
      case "true": true
      case "false": false
      default: status.code == 409 || status.code == 429 || status.code >= 500
      }
    return (.failure(error), mayRetry)
  }

  /// The client's own errors have no more than a name; others could repeat what was sent.
  private static func reason(_ error: any Error) -> String {
    if let error = error as? HTTPClientError { return error.description }
    return "\(type(of: error))"
  }
}

/// The client's deadline ends with the head of the response.
private func withDeadline<Value: Sendable>(
  _ deadline: ContinuousClock.Instant, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    defer { group.cancelAll() }
    group.addTask { try await body() }
    group.addTask {
      try await Task.sleep(until: deadline, clock: .continuous)
      throw HTTPClientError.deadlineExceeded
    }
    guard let value = try await group.next() else { throw HTTPClientError.deadlineExceeded }
    return value
  }
}
