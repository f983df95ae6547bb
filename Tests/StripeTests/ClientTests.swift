import Support
import Testing

@testable import Stripe

/// The client against a stand-in that checks requests as Stripe documents them.
@Suite struct ClientTests {
  static func with(
    key: String = StripeStandIn.secretKey,
    _ body: (StripeClient, StripeStandIn) async throws -> Void
  ) async throws {
    let standIn = try await StripeStandIn(prices: ["signalbox_plus": "price_plus"])
    let client = try StripeClient(
      secretKey: key, baseURL: standIn.url, pause: .milliseconds(5))
    let result: Result<Void, any Error>
    do { result = .success(try await body(client, standIn)) } catch { result = .failure(error) }
    try await standIn.stop()
    try result.get()
  }

  static let credits = CheckoutRequest(
    item: .product(name: "15 credits", amount: 1500, currency: "usd"), organization: "org_1",
    metadata: [("package", "credits_15")], customer: nil,
    successURL: "https://example.com/ok?a=1&b={CHECKOUT_SESSION_ID}",
    cancelURL: "https://example.com/ö +%")

  static var soon: ContinuousClock.Instant { .now + .seconds(5) }

  static func error(_ body: () async throws -> StripeSession) async -> StripeError? {
    do {
      _ = try await body()
      return nil
    } catch { return error as? StripeError }
  }

  @Test func `a checkout is asked for as Stripe documents it`() async throws {
    try await Self.with { client, standIn in
      let session = try await client.checkout(
        Self.credits, idempotencyKey: "key-1", deadline: Self.soon)
      #expect(session.url == "https://checkout.stripe.com/c/pay/cs_test_1")
      #expect(!session.isReplay)
      let request = try #require(standIn.requests.first)
      #expect(request.headers["authorization"] == "Bearer \(StripeStandIn.secretKey)")
      #expect(request.headers["stripe-version"] == "2025-03-31.basil")
      #expect(
        request.parameters == [
          "mode": "payment", "client_reference_id": "org_1",
          "success_url": Self.credits.successURL, "cancel_url": Self.credits.cancelURL,
          "customer_creation": "always", "metadata[organization_id]": "org_1",
          "metadata[package]": "credits_15",
          "payment_intent_data[metadata][organization_id]": "org_1",
          "payment_intent_data[metadata][package]": "credits_15",
          "line_items[0][quantity]": "1", "line_items[0][price_data][currency]": "usd",
          "line_items[0][price_data][unit_amount]": "1500",
          "line_items[0][price_data][product_data][name]": "15 credits",
        ])
    }
  }

  @Test func `subscriptions, the portal and prices are asked for as Stripe documents it`()
    async throws
  {
    try await Self.with { client, standIn in
      let price = try await client.price(lookupKey: "signalbox_plus", deadline: Self.soon)
      #expect(price == "price_plus")
      #expect(try await client.price(lookupKey: "other", deadline: Self.soon) == nil)
      let request = CheckoutRequest(
        item: .subscription(price: "price_plus"), organization: "org_1", customer: "cus_1",
        successURL: "https://example.com/", cancelURL: "https://example.com/")
      _ = try await client.checkout(request, idempotencyKey: "key-1", deadline: Self.soon)
      let parameters = try #require(standIn.requests.last).parameters
      #expect(parameters["subscription_data[metadata][organization_id]"] == "org_1")
      #expect(parameters["customer"] == "cus_1")
      let portal = try await client.portal(
        customer: "cus_1", returnURL: "https://example.com/", idempotencyKey: "key-2",
        deadline: Self.soon)
      #expect(portal.url.hasPrefix("https://billing.stripe.com/"))
    }
  }

  @Test func `a subscription and an invoice's payment are read as Stripe documents it`()
    async throws
  {
    try await Self.with { client, standIn in
      standIn.put(subscription: "sub_1", keys: ["seats", "signalbox_plus"], status: "past_due")
      let subscription = try await client.subscription("sub_1", deadline: Self.soon)
      #expect((subscription.id, subscription.status) == ("sub_1", "past_due"))
      #expect(subscription.prices.all.map(\.lookupKey) == ["seats", "signalbox_plus"])
      let request = try #require(standIn.requests.last)
      #expect((request.method, request.path) == ("GET", "/v1/subscriptions/sub_1"))
      #expect(try await !client.paysInvoice("pi_1", deadline: Self.soon))
      standIn.invoice("pi_1")
      #expect(try await client.paysInvoice("pi_1", deadline: Self.soon))
      await #expect(throws: StripeError.invalid(code: "resource_missing", param: "id")) {
        try await client.subscription("sub_2", deadline: Self.soon)
      }
      let asked = standIn.requests.count
      for id in ["..", "sub_1/../../v1/charges", "sub_?x=1", "prices", ""] {
        await #expect(throws: StripeError.self) {
          try await client.subscription(id, deadline: Self.soon)
        }
      }
      #expect(standIn.requests.count == asked, "no request is made with an id that is none")
    }
  }

  @Test(arguments: [
    [StripeStandIn.Fault.status(500)], [.status(503), .status(502)], [.status(409)],
    [.status(429), .answerLost], [.answerLost], [.answerLost, .answerLost],
    [.status(400, headers: ["Stripe-Should-Retry": "true"])],
  ])
  func `what Stripe could not answer is sent again, and makes one session`(
    faults: [StripeStandIn.Fault]
  ) async throws {
    try await Self.with { client, standIn in
      for fault in faults { standIn.fail(fault) }
      let session = try await client.checkout(
        Self.credits, idempotencyKey: "key-1", deadline: Self.soon)
      #expect(session.id == "cs_test_1")
      #expect(standIn.made == 1)
      #expect(standIn.requests.count == faults.count + 1)
      #expect(Set(standIn.requests.map { $0.headers["idempotency-key"] }) == ["key-1"])
    }
  }

  @Test func `what Stripe refuses is not sent again`() async throws {
    try await Self.with { client, standIn in
      standIn.fail(.status(500, headers: ["Stripe-Should-Retry": "false"]))
      let failed = await Self.error {
        try await client.checkout(Self.credits, idempotencyKey: "key-1", deadline: Self.soon)
      }
      #expect(failed == .failed(status: 500))
      let invalid = await Self.error {
        try await client.portal(
          customer: "nobody", returnURL: "https://example.com/", idempotencyKey: "key-2",
          deadline: Self.soon)
      }
      #expect(invalid == .invalid(code: "resource_missing", param: "customer"))
      _ = try await client.checkout(Self.credits, idempotencyKey: "key-3", deadline: Self.soon)
      let reused = await Self.error {
        try await client.portal(
          customer: "cus_1", returnURL: "https://example.com/", idempotencyKey: "key-3",
          deadline: Self.soon)
      }
      #expect(reused == .keyReused)
      let again = try await client.checkout(
        Self.credits, idempotencyKey: "key-3", deadline: Self.soon)
      #expect(again.isReplay)
      #expect(standIn.requests.count == 5)
    }
  }

  @Test func `a key that Stripe does not know is told, and never repeated`() async throws {
    try await Self.with(key: "sk_test_wrong") { client, _ in
      let error = await Self.error {
        try await client.checkout(Self.credits, idempotencyKey: "key-1", deadline: Self.soon)
      }
      #expect(error == .keyRefused)
      #expect(!"\(String(reflecting: error))".contains("sk_test"))
    }
  }

  @Test func `a Stripe that is silent, or away, or something else, is told in time`() async throws {
    try await Self.with { client, standIn in
      standIn.fail(.silence)
      let start = ContinuousClock.now
      let silent = await Self.error {
        try await client.checkout(
          Self.credits, idempotencyKey: "key-1", deadline: .now + .milliseconds(300))
      }
      guard case .unreachable = silent else { return #expect(Bool(false), "\(silent as Any)") }
      #expect(ContinuousClock.now - start < .seconds(2))
      for text in ["<html>", "[]", "{}", #"{"id":"cs_1","url":"javascript:alert(1)"}"#, ""] {
        standIn.fail(.text(text))
        let error = await Self.error {
          try await client.checkout(Self.credits, idempotencyKey: "key-2", deadline: Self.soon)
        }
        #expect(error != nil, "\(text)")
      }
      let away = try StripeClient(
        secretKey: "sk_test_1", baseURL: "http://127.0.0.1:9", pause: .milliseconds(5))
      let error = await Self.error {
        try await away.checkout(Self.credits, idempotencyKey: "key-1", deadline: Self.soon)
      }
      guard case .unreachable = error else { return #expect(Bool(false), "\(error as Any)") }
    }
  }

  @Test(arguments: [
    "http://api.stripe.com", "https://", "ftp://api.stripe.com", "https://a:b@api.stripe.com",
    "https://api.stripe.com/v1", "https://api.stripe.com?x", "https://api.stripe.com#x", "",
    "http://127.0.0.1.example.com", "https://api.stripe.com/ ",
  ])
  func `the secret key is sent to no other kind of place`(url: String) {
    #expect(throws: StripeSettingsError.baseURL) {
      try StripeClient(secretKey: "sk_test_1", baseURL: url)
    }
  }

  @Test(arguments: ["", "sk test", "sk_test\r\nHost: evil", "sk_tëst"])
  func `what cannot be a secret key is refused before it is sent`(key: String) {
    #expect(throws: StripeSettingsError.secretKey) { try StripeClient(secretKey: key) }
  }
}
