import JSON
import Support
import Testing

@testable import Stripe

/// The payloads in `fixtures/stripe`, written after Stripe's API reference, in two of its versions.
@Suite struct EventReadingTests {
  static let files = Result { try Repository.list("fixtures/stripe") }

  static func event(_ name: String) throws -> StripeEvent {
    try StripeEvent(JSONValue.parse(Repository.read("fixtures/stripe/\(name).json")))
  }

  static let versions = ["2022-08-01", "2025-03-31"]

  @Test func `what is kept holds nothing personal, and is read like what came`() throws {
    let files = try Self.files.get()
    #expect(files.count > 20)
    for file in files {
      let event = try Self.event(String(file.dropLast(5)))
      let kept = String(decoding: event.payload.bytes(), as: UTF8.self)
      for personal in [
        "Erika", "erika", "Muster", "Berlin", "10115", "4242", "+49", "192.0.2.7", "print",
        "Too expensive", "receipt",
      ] {
        #expect(!kept.contains(personal), "\(file): \(personal)")
      }
      let again = try StripeEvent(JSONValue.parse(event.payload.bytes()))
      #expect(again.content == event.content, "\(file)")
      #expect(again.payload == event.payload, "\(file)")
      #expect((again.id, again.type, again.created) == (event.id, event.type, event.created))
      if case .unreadable(let reason) = event.content { Issue.record("\(file): \(reason)") }
      #expect((event.content == .other) == file.hasPrefix("invoice."), "\(file)")
    }
  }

  @Test(arguments: versions)
  func `a paid checkout says who bought what for how much`(version: String) throws {
    let event = try Self.event("checkout.session.completed-paid.\(version)")
    guard case .checkout(let session, .completed) = event.content else {
      return #expect(Bool(false), "\(event.content)")
    }
    #expect(session.paymentStatus == .paid)
    #expect(session.reference == "org_01jdexamp1e0000000000000rg")
    #expect(session.metadata["package"] == "credits_15")
    #expect(session.metadata["note"] == nil)
    #expect(session.paymentID == "pi_EXAMPLE")
    #expect((session.amount, session.currency) == (1500, "usd"))
    #expect(session.customer == "cus_EXAMPLE")
    #expect(event.content.subject == "pi_EXAMPLE")
  }

  @Test(arguments: versions)
  func `refunds and disputes say which payment, and how much of it`(version: String) throws {
    let refunded = try Self.event("charge.refunded-partly.\(version)")
    guard case .refund(let refund) = refunded.content else {
      return #expect(Bool(false), "\(refunded.content)")
    }
    #expect((refund.paymentID, refund.refunded, refund.amount) == ("pi_EXAMPLE", 500, 1500))
    #expect(!refund.isOfInvoice)
    let disputed = try Self.event("charge.dispute.created.\(version)")
    guard case .dispute(let dispute, .created) = disputed.content else {
      return #expect(Bool(false), "\(disputed.content)")
    }
    #expect((dispute.paymentID, dispute.amount) == ("pi_EXAMPLE", 1500))
    #expect(!dispute.isInquiry)
    #expect(dispute.status == "needs_response")
  }

  @Test(arguments: versions)
  func `a subscription says its customer, status and price`(version: String) throws {
    let event = try Self.event("customer.subscription.created.\(version)")
    guard case .subscription(let subscription, .created) = event.content else {
      return #expect(Bool(false), "\(event.content)")
    }
    #expect(subscription.status == "active")
    #expect(subscription.prices.all.map(\.lookupKey) == ["signalbox_plus"])
    #expect(subscription.prices.all.map(\.id) == ["price_EXAMPLEplus"])
    #expect(subscription.prices.isWhole)
    #expect(subscription.metadata["organization_id"] == "org_01jdexamp1e0000000000000rg")
    #expect(event.content.subject == "sub_EXAMPLE")
  }

  @Test(arguments: [
    ("charge.dispute.updated-escalated", Dispute.Step.updated(from: "warning_needs_response")),
    ("charge.dispute.funds_withdrawn", .withdrawn),
    ("charge.dispute.funds_reinstated", .reinstated),
  ])
  func `a dispute's events say where its money goes`(name: String, step: Dispute.Step) throws {
    guard case .dispute(let dispute, let found) = try Self.event("\(name).2025-03-31").content
    else {
      return #expect(Bool(false))
    }
    #expect(found == step)
    #expect((dispute.id, dispute.paymentID, dispute.amount) == ("du_EXAMPLE", "pi_EXAMPLE", 1500))
  }

  @Test(arguments: [
    ("refund.created.2025-03-31", false), ("refund.failed.2025-03-31", true),
    ("charge.refund.updated-failed.2022-08-01", true),
  ])
  func `a single refund says whether it has failed`(name: String, hasFailed: Bool) throws {
    guard case .singleRefund(let refund) = try Self.event(name).content else {
      return #expect(Bool(false))
    }
    #expect((refund.id, refund.paymentID, refund.amount) == ("re_EXAMPLE", "pi_EXAMPLE", 500))
    #expect(refund.hasFailed == hasFailed)
  }

  @Test func `the payment of an invoice says which payment it was`() throws {
    let event = try Self.event("invoice_payment.paid.2025-03-31")
    #expect(event.content.subject == "pi_EXAMPLEinvoice")
    guard case .invoicePayment(let payment) = event.content else { return #expect(Bool(false)) }
    #expect(payment.invoice == "in_EXAMPLE")
  }

  @Test func `an update says what the subscription was before, as far as it says it`() throws {
    func subscription(_ name: String) throws -> Subscription {
      guard
        case .subscription(let subscription, .updated) = try Self.event("\(name).2025-03-31")
          .content
      else { throw Malformed() }
      return subscription
    }
    let addon = try subscription("customer.subscription.updated-addon")
    #expect(addon.prices.all.map(\.lookupKey) == ["extra_seats", "signalbox_business"])
    let business = try subscription("customer.subscription.updated-business")
    // The items changed, and their former prices are not told.
    #expect(business.conditionBefore == nil)
    // The add-on was added to what the former event left.
    #expect(addon.conditionBefore == business.condition)
    #expect(addon.condition != business.condition)
    let unpaid = try subscription("customer.subscription.updated-unpaid")
    #expect(unpaid.conditionBefore != nil && unpaid.conditionBefore != unpaid.condition)
  }

  private struct Malformed: Error {}

  @Test(arguments: ["amount", "amount_refunded"])
  func `an amount that no payment can have is not read`(name: String) throws {
    for number in [
      "1000000000000", "9223372036854775807", "9007199254740993.0", "1e300", "-9223372036854775808",
    ] {
      var members = ["amount": "5", "amount_refunded": "5"]
      members[name] = number
      let text = """
        {"id":"evt_1","type":"charge.refunded","created":1,"data":{"object":{"id":"ch_1",\
        "currency":"usd","amount":\(members["amount"] ?? ""),\
        "amount_refunded":\(members["amount_refunded"] ?? "")}}}
        """
      let event = try StripeEvent(JSONValue.parse(Array(text.utf8)))
      guard case .unreadable(let reason) = event.content else {
        return #expect(Bool(false), "\(number)")
      }
      #expect(reason.contains("data.object.\(name) "), "\(reason)")
    }
  }

  @Test func `a number is what it says, however it is written`() throws {
    let text = #"""
      {"id":"evt_1","type":"charge.refunded","created":1.0,"data":{"object":{"id":"ch_1",
      "payment_intent":"pi_1","amount":1500.0,"amount_refunded":5e2,"currency":"usd"}}}
      """#
    let event = try StripeEvent(JSONValue.parse(Array(text.utf8)))
    guard case .refund(let refund) = event.content else {
      return #expect(Bool(false), "\(event.content)")
    }
    #expect((event.created, refund.amount, refund.refunded) == (1, 1500, 500))
  }

  @Test func `where an object was expanded its id is read`() throws {
    let text = #"""
      {"id":"evt_1","type":"charge.dispute.created","created":1,"data":{"object":{"id":"du_1",
      "payment_intent":{"id":"pi_1","object":"payment_intent","receipt_email":"a@b.c"},
      "amount":5,"currency":"usd","status":"lost"}}}
      """#
    let event = try StripeEvent(JSONValue.parse(Array(text.utf8)))
    #expect(event.content.subject == "pi_1")
    #expect(!String(decoding: event.payload.bytes(), as: UTF8.self).contains("a@b.c"))
  }

  @Test(arguments: [
    (#"{"data":{}}"#, "id is missing"),
    (#"{"id":"ch_1","amount":-1,"amount_refunded":0,"currency":"usd"}"#, "amount is negative"),
    (#"{"id":"ch_1","amount":1.5,"amount_refunded":0,"currency":"usd"}"#, "no integer"),
    (#"{"id":"ch_1","amount":5,"amount_refunded":6,"currency":"usd"}"#, "more than the amount"),
    (#"{"id":"ch_1","amount":5,"amount_refunded":5}"#, "currency is missing"),
    (#"[]"#, "id is missing"), (#""Erika""#, "id is missing"), (#"null"#, "id is missing"),
  ])
  func `an object that lacks what it must have is kept with the reason`(
    object: String, reason: String
  ) throws {
    let text = #"{"id":"evt_1","type":"charge.refunded","created":1,"data":{"object":\#(object)}}"#
    let event = try StripeEvent(JSONValue.parse(Array(text.utf8)))
    guard case .unreadable(let found) = event.content else {
      return #expect(Bool(false), "\(event.content)")
    }
    #expect(found.contains(reason), "\(found)")
    #expect(!found.contains("Erika"))
  }

  @Test func `what stands where an id should is not kept`() throws {
    let text = #"""
      {"id":"evt_1","type":"checkout.session.completed","created":1,"data":{"object":{"id":"cs_1",
      "mode":"payment","payment_status":"paid","payment_intent":"pi_1","amount_total":1500,
      "currency":"usd","client_reference_id":"Erika Mustermann",
      "metadata":{"package":"erika@example.com"}}}}
      """#
    let event = try StripeEvent(JSONValue.parse(Array(text.utf8)))
    let kept = String(decoding: event.payload.bytes(), as: UTF8.self)
    #expect(!kept.lowercased().contains("erika"), "\(kept)")
    guard case .checkout(let session, _) = event.content else {
      return #expect(Bool(false), "\(event.content)")
    }
    #expect(session.reference == "?")
    #expect(session.metadata["package"] == "?")
  }

  @Test(arguments: [
    ("[]", ""), ("{}", "/id"), (#"{"id":1}"#, "/id"), (#"{"id":"","type":"a"}"#, "/id"),
    (#"{"id":"evt 1","type":"a","created":1}"#, "/id"),
    (#"{"id":"\u0000","type":"a","created":1}"#, "/id"), (#"{"id":"evt_1"}"#, "/type"),
    (#"{"id":"evt_1","type":"a b","created":1}"#, "/type"),
    (#"{"id":"evt_1","type":"a"}"#, "/created"),
    (#"{"id":"evt_1","type":"a","created":"now"}"#, "/created"),
    (#"{"id":"evt_1","type":"a","created":-1}"#, "/created"),
    (#"{"id":"evt_1","type":"a","created":9223372036854775807}"#, "/created"),
  ])
  func `what is no event is told with its place`(text: String, pointer: String) throws {
    let value = try JSONValue.parse(Array(text.utf8))
    do throws(StripeEvent.Malformed) {
      _ = try StripeEvent(value)
      Issue.record("\(text) was read")
    } catch {
      #expect(error.pointer == pointer)
    }
  }
}
