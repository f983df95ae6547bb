import AsyncHTTPClient
import Gateway
import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1

/// `POST /v1/chat/completions`: who asks, may they, the upstream's answer, the evidence.
struct ChatRoute: Sendable {
  let gateway: GatewayClient
  let upstream: String
  let isBehindProxy: Bool

  /// As much of the body as decisions need.
  private struct Body: Decodable {
    let model: String
    let maxTokens: Int64?
  }

  private struct Reply: Decodable {
    struct Usage: Decodable {
      let promptTokens: Int64?
      let completionTokens: Int64?
    }

    let usage: Usage?
  }

  func respond(to request: Request, _ context: ClientContext) async throws -> Response {
    let start = ContinuousClock.now
    guard let bearer = request.headers[.authorization], bearer.hasPrefix("Bearer ") else {
      return problem(.unauthorized, "key", "An API key is required: Authorization: Bearer pk_…")
    }
    let key = gateway.verify(key: String(bearer.dropFirst(7)))
    switch key {
    case .valid: break
    case .malformed: return problem(.unauthorized, "key", "The API key is mistyped, or is none.")
    case .unknown: return problem(.unauthorized, "key", "The API key is unknown, or was revoked.")
    case .expired: return problem(.unauthorized, "key", "The API key has expired.")
    }
    let buffer = try await request.body.collect(upTo: 10 << 20)
    guard let body = Body(json: buffer), !body.model.isEmpty else {
      return problem(.badRequest, nil, "The body must be JSON with a model.")
    }
    let provider = HTTPField.Name("X-Provider").flatMap { request.headers[$0] } ?? "openai"
    guard
      let asked = GatewayRequest(
        key: key, address: context.clientAddress(request, isBehindProxy: isBehindProxy),
        provider: provider.lowercased(), model: body.model, tokens: body.maxTokens)
    else { return problem(.badRequest, nil, "The client's address is none.") }

    let decision = gateway.evaluate(asked)
    let response: Response
    var usage: Reply.Usage?
    if decision.isAllowed {
      do {
        (response, usage) = await forward(buffer, asked, try providerKey(asked))
      } catch {
        response = problem(
          .badGateway, "provider_key",
          "The project's key of \(asked.provider) cannot be used: \(error).")
      }
    } else {
      response = problem(
        .forbidden, decision.reason?.rawValue, "The request is blocked.", rule: decision.ruleID)
    }
    if var record = RequestRecord(asked, decision) {
      record.route = request.uri.path
      record.status = response.status.code
      record.tokensIn = usage?.promptTokens
      record.tokensOut = usage?.completionTokens
      record.latencyMilliseconds = Int64((ContinuousClock.now - start) / .milliseconds(1))
      gateway.record(record)
    }
    return response
  }

  private func providerKey(
    _ asked: GatewayRequest
  ) throws(GatewayClient.ProviderKeyFailure) -> String {
    guard let key = asked.key.key else { throw .absent }
    return try gateway.providerKey(of: key, provider: asked.provider)
  }

  private func forward(
    _ body: ByteBuffer, _ asked: GatewayRequest, _ key: String
  ) async -> (Response, Reply.Usage?) {
    var request = HTTPClientRequest(url: "\(upstream)/v1/chat/completions")
    request.method = .POST
    request.headers.add(name: "Content-Type", value: "application/json")
    request.headers.add(name: "Authorization", value: "Bearer \(key)")
    request.body = .bytes(body)
    do {
      let reply = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
      let body = try await reply.body.collect(upTo: 10 << 20)
      let usage = Reply(json: body)?.usage
      let type = reply.headers.first(name: "Content-Type") ?? "application/json"
      let response = Response(
        status: .init(code: Int(reply.status.code)), headers: [.contentType: type],
        body: .init(byteBuffer: body))
      return (response, usage)
    } catch {
      return (problem(.badGateway, nil, "The upstream does not answer."), nil)
    }
  }

  /// RFC 9457.
  private func problem(
    _ status: HTTPResponse.Status, _ reason: String?, _ detail: String, rule: String? = nil
  ) -> Response {
    struct Problem: Encodable {
      let type = "about:blank"
      let title: String
      let status: Int
      let detail: String
      let reason: String?
      let ruleId: String?
    }
    let problem = Problem(
      title: status.reasonPhrase, status: status.code, detail: detail, reason: reason, ruleId: rule)
    let headers: HTTPFields = status == .unauthorized ? [.wwwAuthenticate: "Bearer"] : [:]
    return
      (try? Response(
        problem, status: status, type: "application/problem+json", headers: headers))
      ?? Response(status: status)
  }
}
