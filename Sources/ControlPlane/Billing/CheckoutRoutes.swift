import Cryptography
import Domain
import HTTPTypes
import Hummingbird
import JSON
import Logging
import Postgres
import Stripe

/// Where a browser is sent to buy credits, to subscribe to a plan, and to look after both: pages of Stripe's. Nothing changes
/// here by that; what comes of it is told by Stripe's events.
struct CheckoutRoutes: RouteGroup {
  let services: Services
  let settings: StripeSettings
  let logger: Logger

  func add(to router: APIRouter) {
    let organization = "/v1/organizations/{organization}"
    router.post("\(organization)/credits/checkout", use: buyCredits)
    router.post("\(organization)/plan/checkout", use: subscribe)
    router.post("\(organization)/billing/portal", use: portal)
  }

  private func buyCredits(request: Request, context: APIContext) async throws -> Reply {
    let caller = try await Buyer(request, context, services)
    let payload = try CreditsCheckoutPayload(context.body)
    try caller.requireOpen()
    let package = payload.package
    let session = CheckoutRequest(
      item: .product(
        name: "\(package.credits) credits (\(package.logUnits) requests)", amount: package.cents,
        currency: "usd"),
      organization: "\(caller.organizationID)", metadata: [("package", package.name)],
      customer: caller.billing.customerID, successURL: payload.pages.success,
      cancelURL: payload.pages.cancel)
    return try await reply(to: caller) { client throws(StripeError) in
      try await client.checkout(
        session, idempotencyKey: caller.idempotencyKey, deadline: context.deadline)
    }
  }

  private func subscribe(request: Request, context: APIContext) async throws -> Reply {
    let caller = try await Buyer(request, context, services)
    let payload = try PlanCheckoutPayload(context.body)
    try caller.requireOpen()
    guard caller.billing.subscriptionID == nil else { throw Problem(.alreadySubscribed) }
    return try await reply(to: caller) { client throws(StripeError) in
      let price = try await price(of: payload.tier, client, context.deadline)
      let session = CheckoutRequest(
        item: .subscription(price: price), organization: "\(caller.organizationID)",
        customer: caller.billing.customerID, successURL: payload.pages.success,
        cancelURL: payload.pages.cancel)
      return try await client.checkout(
        session, idempotencyKey: caller.idempotencyKey, deadline: context.deadline)
    }
  }

  private func portal(request: Request, context: APIContext) async throws -> Reply {
    let caller = try await Buyer(request, context, services)
    let payload = try BillingPortalPayload(context.body)
    guard let customer = caller.billing.customerID else { throw Problem(.noBillingCustomer) }
    return try await reply(to: caller) { client throws(StripeError) in
      try await client.portal(
        customer: customer, returnURL: payload.returnURL, idempotencyKey: caller.idempotencyKey,
        deadline: context.deadline)
    }
  }

  private func price(
    of tier: PlanTier, _ client: StripeClient, _ deadline: ContinuousClock.Instant
  ) async throws(StripeError) -> String {
    if let price = settings.prices[tier] { return price }
    let key = StripeSettings.lookupKey(of: tier)
    guard let price = try await client.price(lookupKey: key, deadline: deadline) else {
      throw .invalid(code: "resource_missing", param: "lookup_keys[]")
    }
    return price
  }

  private func reply(
    to caller: Buyer, _ session: (StripeClient) async throws(StripeError) -> StripeSession
  ) async throws -> Reply {
    guard let client = settings.client else {
      throw Problem.unavailable(.billingNotConfigured, retryAfter: 3600)
    }
    if caller.isDryRun {
      var object = JSONObject()
      object.set("dry_run", true)
      object.set("events", JSONArray())
      object.set("resource", nil as String?)
      return .json(object.bytes())
    }
    do throws(StripeError) {
      let made = try await session(client)
      var reply = Reply.json(made.json.bytes())
      if made.isReplay { reply.headers[.idempotencyReplayed] = "true" }
      // Whoever has the URL of a portal is its customer.
      reply.headers[.cacheControl] = "no-store"
      return reply
    } catch {
      switch error {
      case .keyReused: throw Problem(.idempotencyKeyReused)
      case .keyRefused, .invalid:
        logger.error("Stripe refuses a session", metadata: ["error": "\(error)"])
        throw Problem.unavailable(.billingNotConfigured, retryAfter: 3600)
      case .busy, .failed, .unreachable, .unexpected:
        logger.warning("Stripe makes no session", metadata: ["error": "\(error)"])
        throw Problem.unavailable(.billingUnavailable, retryAfter: 5)
      }
    }
  }
}

/// Who wants to buy something, for which organization.
private struct Buyer {
  let organizationID: OrganizationID
  let billing: BillingReference
  let isDryRun: Bool
  /// What Stripe knows the request by: the same for its repetitions, and nobody else's.
  let idempotencyKey: String
  private let isArchived: Bool

  /// - Throws: a ``Problem`` of 400, 401, 403, 404 or 422.
  init(_ request: Request, _ context: APIContext, _ services: Services) async throws {
    let member = try await services.authorizer.member(request, context, may: .billingWrite)
    let query = QueryReader(request)
    isDryRun = query.dryRun()
    try query.finish()
    organizationID = member.organizationID
    let keys = HMACSHA256(key: services.hasher.derivedKey(for: "stripe-requests"))
    let name =
      try IdempotencyKey.read(request.headers).map {
        member.principal.id.place + member.organizationID.uuid.place + Array($0.value.utf8)
      } ?? SecureRandom.bytes(32)
    idempotencyKey = "signalbox-" + Base64URL.encode(keys.authenticationCode(for: name))
    let rows = try await member.reads.rows(BillingReference.find(member.organizationID))
    guard let row = rows.first else { throw Problem(.notFound) }
    let (customerID, subscriptionID, isArchived) = try row.decode((String?, String?, Bool).self)
    billing = BillingReference(customerID: customerID, subscriptionID: subscriptionID)
    self.isArchived = isArchived
  }

  /// Nothing is sold to what is archived; what was sold can still be looked after.
  func requireOpen() throws(Problem) {
    if isArchived { throw Rejection.archived(.organization).problem }
  }
}
