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
    guard case .dispute(let dispute, isClosed: false) = disputed.content else {
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
    #expect(subscription.price?.lookupKey == "signalbox_plus")
    #expect(subscription.price?.id == "price_EXAMPLEplus")
    #expect(subscription.metadata["organization_id"] == "org_01jdexamp1e0000000000000rg")
    #expect(event.content.subject == "sub_EXAMPLE")
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
