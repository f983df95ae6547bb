import JSON
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Stands in for Stripe's REST API on this machine: checks every request as the API reference documents it, and answers as
/// Stripe does. It refuses what it does not know, so that a parameter that Stripe does not have is noticed.
///
/// Source: https://docs.stripe.com/api
package final class StripeStandIn: Sendable {
  /// Something that is done to the next request instead of answering it.
  package enum Fault: Sendable {
    case status(Int, headers: [String: String] = [:])
    /// The request was carried out, and the connection broke before the answer.
    case answerLost
    /// Nothing ever comes.
    case silence
    case text(String)
  }

  package struct Request: Sendable {
    package let method: String
    package let path: String
    package let headers: [String: String]
    package let parameters: [String: String]
  }

  package static let secretKey = "sk_test_standin"

  fileprivate struct State {
    var requests: [Request] = []
    var faults: [Fault] = []
    /// By idempotency key: what was asked, and what was answered.
    var answers: [String: (asked: String, answer: Answer)] = [:]
    var made = 0
    var prices: [String: String] = [:]
    /// By id: the object as it is read.
    var subscriptions: [String: JSONValue] = [:]
    /// Payment intents that were made for invoices.
    var invoiced: Set<String> = []
  }

  fileprivate struct Answer {
    var status = 200
    let body: String
    var headers: [String: String] = [:]
  }

  fileprivate let state = Mutex(State())
  private let channel: any Channel
  package let url: String

  /// - Parameter prices: by lookup key.
  package init(prices: [String: String] = [:]) async throws {
    let reference = Mutex<StripeStandIn?>(nil)
    let shared = SharedReference(reference: reference)
    channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline()
          try channel.pipeline.syncOperations.addHandler(Handler(shared))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    url = "http://127.0.0.1:\(channel.localAddress?.port ?? 0)"
    state.withLock { $0.prices = prices }
    shared.set(self)
  }

  package var requests: [Request] { state.withLock { $0.requests } }
  /// How many sessions there are: a repetition makes none.
  package var made: Int { state.withLock { $0.made } }

  /// Makes a subscription that can be read, or changes it.
  package func put(
    subscription id: String, customer: String = "cus_1", keys: [String],
    status: String = "active"
  ) {
    let object = JSONValue.object([
      "id": .string(id), "object": .string("subscription"), "customer": .string(customer),
      "status": .string(status), "items": StripeDelivery.items(keys), "metadata": .object([:]),
    ])
    state.withLock { $0.subscriptions[id] = object }
  }

  /// The payment was made for an invoice.
  package func invoice(_ paymentIntent: String) {
    _ = state.withLock { $0.invoiced.insert(paymentIntent) }
  }

  package func fail(_ faults: Fault...) { state.withLock { $0.faults += faults } }

  package func stop() async throws { try await channel.close() }

  // MARK: What Stripe does

  fileprivate func answer(_ request: Request, _ body: String) -> (Answer, Fault?) {
    state.withLock { state in
      state.requests.append(request)
      let fault = state.faults.isEmpty ? nil : state.faults.removeFirst()
      switch fault {
      case .status(let status, let headers):
        let type = status == 429 ? "invalid_request_error" : "api_error"
        return (
          Answer(
            status: status, body: #"{"error":{"type":"\#(type)","message":"Trouble"}}"#,
            headers: headers), nil
        )
      case .text(let text): return (Answer(body: text), nil)
      case .silence: return (Answer(body: ""), fault)
      case .answerLost, nil: return (Self.carryOut(request, body, &state), fault)
      }
    }
  }

  private static func carryOut(
    _ request: Request, _ body: String, _ state: inout State
  ) -> Answer {
    guard request.headers["authorization"] == "Bearer \(secretKey)" else {
      return error(401, "invalid_request_error", "Invalid API Key provided: sk_t****")
    }
    guard request.headers["stripe-version"]?.isEmpty == false else {
      return error(400, "invalid_request_error", "the test wants a pinned version")
    }
    if request.method == "GET" { return read(request, state) }
    guard request.method == "POST",
      request.headers["content-type"] == "application/x-www-form-urlencoded"
    else { return error(400, "invalid_request_error", "Invalid request") }
    guard let key = request.headers["idempotency-key"], 1...255 ~= key.utf8.count else {
      return error(400, "invalid_request_error", "the test wants an idempotency key")
    }
    let asked = "\(request.path)\n\(body)"
    if let known = state.answers[key] {
      guard known.asked == asked else {
        return error(
          400, "idempotency_error",
          "Keys for idempotent requests can only be used with the same parameters they were first used with."
        )
      }
      var answer = known.answer
      answer.headers["Idempotent-Replayed"] = "true"
      return answer
    }
    let answer =
      switch request.path {
      case "/v1/checkout/sessions": checkout(request.parameters, &state)
      case "/v1/billing_portal/sessions": portal(request.parameters, &state)
      default: error(404, "invalid_request_error", "Unrecognized request URL")
      }
    // What fails validation is not kept (https://docs.stripe.com/api/idempotent_requests).
    if answer.status == 200 { state.answers[key] = (asked, answer) }
    return answer
  }

  private static func read(_ request: Request, _ state: State) -> Answer {
    let prefix = "/v1/subscriptions/"
    if request.path.hasPrefix(prefix) {
      let id = String(request.path.dropFirst(prefix.count))
      guard let found = state.subscriptions[id] else {
        return error(
          404, "invalid_request_error", "No such subscription", "resource_missing", param: "id")
      }
      return Answer(body: String(decoding: found.canonicalBytes(), as: UTF8.self))
    }
    guard request.path == "/v1/invoice_payments" else { return prices(request, state) }
    if let unknown = unknown(
      request.parameters, ["payment[type]", "payment[payment_intent]", "limit"])
    {
      return error(400, "invalid_request_error", "unknown", "parameter_unknown", param: unknown)
    }
    guard request.parameters["payment[type]"] == "payment_intent",
      let payment = request.parameters["payment[payment_intent]"]
    else {
      return error(400, "invalid_request_error", "missing", "parameter_missing", param: "payment")
    }
    let found =
      state.invoiced.contains(payment)
      ? #"{"id":"inpay_1","object":"invoice_payment","invoice":"in_1","status":"paid"}"# : ""
    return Answer(
      body:
        #"{"object":"list","data":[\#(found)],"has_more":false,"url":"/v1/invoice_payments"}"#)
  }

  private static func prices(_ request: Request, _ state: State) -> Answer {
    guard request.path == "/v1/prices", let key = request.parameters["lookup_keys[]"] else {
      return error(404, "invalid_request_error", "Unrecognized request URL")
    }
    let price = state.prices[key].map { #"{"id":"\#($0)","object":"price","active":true}"# }
    return Answer(
      body: #"{"object":"list","data":[\#(price ?? "")],"has_more":false,"url":"/v1/prices"}"#)
  }

  private static func checkout(_ parameters: [String: String], _ state: inout State) -> Answer {
    let mode = parameters["mode"] ?? ""
    var known: Set = [
      "mode", "success_url", "cancel_url", "client_reference_id", "customer", "metadata[*]",
      "line_items[0][quantity]",
    ]
    switch mode {
    case "payment":
      known.formUnion([
        "customer_creation", "payment_intent_data[metadata][*]",
        "line_items[0][price_data][currency]", "line_items[0][price_data][unit_amount]",
        "line_items[0][price_data][product_data][name]",
      ])
    case "subscription":
      known.formUnion(["subscription_data[metadata][*]", "line_items[0][price]"])
    default: return error(400, "invalid_request_error", "mode", param: "mode")
    }
    if let unknown = unknown(parameters, known) {
      return error(400, "invalid_request_error", "unknown", "parameter_unknown", param: unknown)
    }
    var required = ["success_url", "line_items[0][quantity]"]
    required +=
      mode == "subscription"
      ? ["line_items[0][price]"]
      : [
        "line_items[0][price_data][currency]", "line_items[0][price_data][unit_amount]",
        "line_items[0][price_data][product_data][name]",
      ]
    for name in required where parameters[name]?.isEmpty != false {
      return error(400, "invalid_request_error", "missing", "parameter_missing", param: name)
    }
    if parameters["customer"] != nil, parameters["customer_creation"] != nil {
      return error(
        400, "invalid_request_error", "You may only specify one of these parameters",
        param: "customer_creation")
    }
    if let price = parameters["line_items[0][price]"], !price.hasPrefix("price_") {
      return error(
        400, "invalid_request_error", "No such price", "resource_missing",
        param: "line_items[0][price]")
    }
    guard parameters["client_reference_id"]?.utf8.count ?? 0 <= 200 else {
      return error(400, "invalid_request_error", "too long", param: "client_reference_id")
    }
    state.made += 1
    let id = "cs_test_\(state.made)"
    return Answer(
      body: """
        {"id":"\(id)","object":"checkout.session","mode":"\(mode)","status":"open",\
        "payment_status":"unpaid","url":"https://checkout.stripe.com/c/pay/\(id)"}
        """)
  }

  private static func portal(_ parameters: [String: String], _ state: inout State) -> Answer {
    if let unknown = unknown(parameters, ["customer", "return_url"]) {
      return error(400, "invalid_request_error", "unknown", "parameter_unknown", param: unknown)
    }
    guard let customer = parameters["customer"], customer.hasPrefix("cus_") else {
      return error(
        400, "invalid_request_error", "No such customer", "resource_missing", param: "customer")
    }
    state.made += 1
    return Answer(
      body: """
        {"id":"bps_\(state.made)","object":"billing_portal.session","customer":"\(customer)",\
        "url":"https://billing.stripe.com/p/session/\(state.made)"}
        """)
  }

  private static func unknown(_ parameters: [String: String], _ known: Set<String>) -> String? {
    parameters.keys.sorted().first { name in
      guard !known.contains(name) else { return false }
      guard let open = name.lastIndex(of: "["), name.hasSuffix("]") else { return true }
      return !known.contains("\(name[..<open])[*]")
    }
  }

  private static func error(
    _ status: Int, _ type: String, _ message: String, _ code: String? = nil, param: String? = nil
  ) -> Answer {
    var error = JSONObject()
    error.set("type", type)
    error.set("message", message)
    error.set("code", code)
    error.set("param", param)
    var body = JSONObject()
    body.set("error", error)
    return Answer(status: status, body: String(decoding: body.bytes(), as: UTF8.self))
  }
}

/// The connections exist before the stand-in is complete.
private final class SharedReference: Sendable {
  private let reference: Mutex<StripeStandIn?>

  init(reference: consuming Mutex<StripeStandIn?>) { self.reference = reference }

  var standIn: StripeStandIn? { reference.withLock { $0 } }

  func set(_ standIn: StripeStandIn) { reference.withLock { $0 = standIn } }
}

/// Collects one request at a time and answers it.
private final class Handler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let reference: SharedReference
  private var head: HTTPRequestHead?
  private var body = ""

  init(_ reference: SharedReference) { self.reference = reference }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head):
      self.head = head
      body = ""
    case .body(let part): body += String(buffer: part)
    case .end: if let head { answer(head, context) }
    }
  }

  private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    guard let standIn = reference.standIn else { return context.close(promise: nil) }
    let parts = head.uri.split(separator: "?", maxSplits: 1)
    let fields = head.headers.map { ($0.name.lowercased(), $0.value) }
    let request = StripeStandIn.Request(
      method: head.method.rawValue, path: String(parts[0]),
      headers: Dictionary(fields) { "\($0), \($1)" },
      parameters: Self.parameters(head.method == .GET ? String(parts.last ?? "") : body))
    let (answer, fault) = standIn.answer(request, body)
    switch fault {
    case .silence: return
    case .answerLost: return context.close(promise: nil)
    case .status, .text, nil: break
    }
    var headers: HTTPHeaders = [
      "Content-Type": "application/json", "Content-Length": "\(answer.body.utf8.count)",
    ]
    for (name, value) in answer.headers { headers.add(name: name, value: value) }
    let status = HTTPResponseStatus(statusCode: answer.status)
    context.write(
      wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))),
      promise: nil)
    context.write(
      wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: answer.body)))), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
  }

  private static func parameters(_ text: String) -> [String: String] {
    let pairs = text.split(separator: "&").map { pair in
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let texts = parts.map {
        decode(String($0.replacing("+", with: " "))) ?? "(not percent-encoded)"
      }
      return (texts[0], texts.count == 2 ? texts[1] : "")
    }
    // Twice is once too often.
    return Dictionary(pairs) { "\($0), \($1)" }
  }

  private static func decode(_ text: String) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = String(decoding: rest.prefix(2), as: UTF8.self)
      guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else { return nil }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
