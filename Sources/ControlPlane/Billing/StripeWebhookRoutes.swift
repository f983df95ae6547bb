import Domain
import HTTPTypes
import Hummingbird
import JSON
import Stripe

/// `POST /v1/webhooks/stripe`: Stripe tells what happened. There only when the endpoint's secrets are known.
///
/// The signature over the raw body is the authentication. What is not signed leaves nothing but a number.
struct StripeWebhookRoutes: RouteGroup {
  static let path = "/v1/webhooks/stripe"
  private static let largestBody = 256 << 10

  private let services: Services
  private let processor: StripeEventProcessor
  private let signature: StripeSignature
  private let refused: [StripeSignature.Refusal: Counter]
  private let taken: [StripeEventRow.Status: Counter]

  init(
    services: Services, processor: StripeEventProcessor, signature: StripeSignature,
    metrics: Metrics
  ) {
    self.services = services
    self.processor = processor
    self.signature = signature
    refused = Dictionary(
      uniqueKeysWithValues: StripeSignature.Refusal.allCases.map {
        (
          $0,
          metrics.counter(
            "signalbox_stripe_refused_total", "Deliveries without a valid signature.",
            ["reason": $0.rawValue])
        )
      })
    taken = Dictionary(
      uniqueKeysWithValues: StripeEventRow.Status.allCases.map {
        (
          $0,
          metrics.counter(
            "signalbox_stripe_deliveries_total", "Signed deliveries, by what became of them.",
            ["status": $0.rawValue])
        )
      })
  }

  func add(to router: APIRouter) {
    router.takes(BodyRules(maximum: Self.largestBody, isWithoutToken: true), at: Self.path)
    router.post("\(Self.path)", use: receive)
  }

  private func receive(request: Request, context: APIContext) async throws -> Reply {
    try authenticate(request, context)
    try QueryReader(request).finish()
    let value = try JSONValue.parse(Array(context.body.readableBytesView))
    let event: StripeEvent
    do throws(StripeEvent.Malformed) {
      event = try StripeEvent(value)
    } catch {
      throw Problem.invalid([.init(.pointer(error.pointer), "format", error.reason)])
    }
    let origin = CommandOrigin(
      requestID: context.requestID, address: context.exchange.clientAddress,
      userAgent: context.exchange.userAgent)
    let status = try await processor.receive(event, from: origin, deadline: context.deadline)
    taken[status]?.add()
    var reply = JSONObject()
    reply.set("id", event.id)
    reply.set("status", status.rawValue)
    return .json(reply.bytes())
  }

  /// Stripe is never made to wait for what others at its address did: only who fails is counted.
  ///
  /// - Throws: a ``Problem`` of 400; 429 when the caller's address failed too often.
  private func authenticate(_ request: Request, _ context: APIContext) throws(Problem) {
    do throws(StripeSignature.Refusal) {
      try signature.verify(
        request.headers[values: .stripeSignature], body: context.body.readableBytesView,
        now: Timestamp.now.seconds)
    } catch {
      refused[error]?.add()
      try context.exchange.require(
        services.limiter.failedAttempt(address: context.exchange.clientAddress))
      throw Problem(.signatureInvalid)
    }
  }
}

extension HTTPField.Name {
  fileprivate static let stripeSignature = Self("Stripe-Signature")!
}
