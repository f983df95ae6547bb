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
    router.post("/v1/dev/tokens", use: createToken)
    router.get("/v1/dev/mailbox", use: mailbox)
  }

  private func createToken(request: Request, context: APIContext) async throws -> Reply {
    try QueryReader(request).finish()
    let payload = try DevelopmentTokenPayload(context.body)
    let token = try development.issuer.issue(
      email: payload.email.text, name: payload.name,
      at: Timestamp.now.seconds, lifetime: Self.tokenLifetime)
    return .json(DevelopmentTokenPayload.json(token: token).bytes())
  }

  private func mailbox(request: Request, context: APIContext) async throws -> Reply {
    try QueryReader(request).finish()
    return .json(development.mailbox.messages.mailboxJSON.bytes())
  }
}
