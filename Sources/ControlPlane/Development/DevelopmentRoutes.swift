import Domain
import Hummingbird
import Identity
import JSON
import Mail

/// `/v1/dev`: tokens for anybody, and the mail that would have been sent. There only when ``Development`` is asked for.
struct DevelopmentRoutes: RouteGroup {
  private static let tokenLifetime: Int64 = 86_400

  let development: Development

  func add(to router: APIRouter) {
    let tokens = "/v1/dev/tokens"
    router.takes(BodyRules(maximum: 64 << 10, isWithoutToken: true), at: tokens)
    router.post("\(tokens)", use: createToken)
    router.get("/v1/dev/mailbox", use: mailbox)
  }

  /// A page from elsewhere can have a browser call this server under a name of its own that leads here (DNS rebinding).
  /// Its requests say that name, and are refused.
  private func requireExpectedHost(_ request: Request) throws(Problem) {
    guard development.acceptsAnyHost || LocalHost.isLocal(authority: request.head.authority ?? "")
    else {
      throw Problem(
        .forbidden, "development endpoints answer requests to localhost only; Host names another")
    }
  }

  private func createToken(request: Request, context: APIContext) async throws -> Reply {
    try requireExpectedHost(request)
    try QueryReader(request).finish()
    let payload = try DevelopmentTokenPayload(context.body)
    let token = try development.issuer.issue(
      email: payload.email.text, name: payload.name,
      at: Timestamp.now.seconds, lifetime: Self.tokenLifetime)
    return .json(DevelopmentTokenPayload.json(token: token).bytes())
  }

  private func mailbox(request: Request, context: APIContext) async throws -> Reply {
    try requireExpectedHost(request)
    try QueryReader(request).finish()
    return .json(development.mailbox.messages.mailboxJSON.bytes())
  }
}
