package import JSON

/// A webhook's event, of which only the members are kept that are read here: no name, no address, no card.
///
/// What is kept has Stripe's own shape, so that an event is read in one way, whether it just came or was stored. Versions
/// of Stripe's API differ in members that are not read here, and what differs in those that are is told in `Content`.
///
/// Source: https://docs.stripe.com/api/events/object
package struct StripeEvent: Sendable {
  /// `evt_…`: the same for every delivery of the event.
  package let id: String
  package let type: String
  /// When it happened, in seconds since the epoch.
  package let created: Int64
  package let apiVersion: String?
  package let isLive: Bool
  package let content: Content
  /// What is kept of it.
  package let payload: JSONObject

  /// What it is about. Types of which nothing is read are `other`.
  package enum Content: Equatable, Sendable {
    case checkout(CheckoutSession, CheckoutSession.Step)
    case refund(Refund)
    case singleRefund(SingleRefund)
    case dispute(Dispute, Dispute.Step)
    case invoicePayment(InvoicePayment)
    case subscription(Subscription, Subscription.Step)
    case other
    /// A type that is read, but not like this: the reason names what is missing or wrong.
    case unreadable(reason: String)
  }

  /// It is no event, or not one that can be told from others.
  package struct Malformed: Error, Equatable, Sendable {
    /// A JSON pointer.
    package let pointer: String
    package let reason: String
  }

  /// Reads what came, or what was stored of it.
  ///
  /// - Throws: ``Malformed``.
  package init(_ value: JSONValue) throws(Malformed) {
    guard value.object != nil else { throw Malformed(pointer: "", reason: "must be an object") }
    guard let id = value["id"]?.string.flatMap(Identifier.exactly) else {
      throw Malformed(pointer: "/id", reason: "must be an event's id")
    }
    guard let type = value["type"]?.string.flatMap(Identifier.exactly) else {
      throw Malformed(pointer: "/type", reason: "must be an event's type")
    }
    guard let created = value["created"]?.wholeNumber, 0..<253_402_300_800 ~= created else {
      throw Malformed(pointer: "/created", reason: "must be a time in seconds since the epoch")
    }
    self.id = id
    self.type = type
    self.created = created
    apiVersion = value["api_version"]?.string.flatMap(Identifier.exactly)
    isLive = value["livemode"]?.bool ?? false
    let reader = MemberReader(value["data"]?["object"] ?? .null)
    let previous = value["data"]?["previous_attributes"].flatMap {
      $0.object == nil ? nil : MemberReader($0)
    }
    content = Content(type, reader, previous)
    var payload = JSONObject()
    payload.set("id", id)
    payload.set("type", type)
    payload.set("created", created)
    payload.set("api_version", apiVersion)
    payload.set("livemode", isLive)
    var data = JSONObject()
    data.set("object", reader.kept)
    if let previous { data.set("previous_attributes", previous.kept) }
    payload.set("data", data)
    self.payload = payload
  }
}

extension StripeEvent.Content {
  /// Reads the object of a type that means something here, and nothing of any other.
  fileprivate init(_ type: String, _ reader: MemberReader, _ previous: MemberReader?) {
    do throws(UnreadableMember) {
      self =
        switch type {
        case "checkout.session.completed": .checkout(try CheckoutSession(reader), .completed)
        case "checkout.session.async_payment_succeeded":
          .checkout(try CheckoutSession(reader), .paymentSucceeded)
        case "checkout.session.async_payment_failed":
          .checkout(try CheckoutSession(reader), .paymentFailed)
        case "charge.refunded": .refund(try Refund(reader))
        case "refund.created", "refund.updated", "refund.failed", "charge.refund.updated":
          .singleRefund(try SingleRefund(reader))
        case "charge.dispute.created": .dispute(try Dispute(reader), .created)
        case "charge.dispute.updated":
          .dispute(try Dispute(reader), .updated(from: previous?.identifier("status")))
        case "charge.dispute.closed": .dispute(try Dispute(reader), .closed)
        case "charge.dispute.funds_withdrawn": .dispute(try Dispute(reader), .withdrawn)
        case "charge.dispute.funds_reinstated": .dispute(try Dispute(reader), .reinstated)
        case "invoice_payment.paid": .invoicePayment(try InvoicePayment(reader))
        case "customer.subscription.created":
          .subscription(try Subscription(reader, previous: nil), .created)
        case "customer.subscription.updated":
          .subscription(try Subscription(reader, previous: previous), .updated)
        case "customer.subscription.deleted":
          .subscription(try Subscription(reader, previous: nil), .deleted)
        default: .other
        }
    } catch {
      self = .unreadable(reason: error.reason)
    }
  }

  /// The payment or subscription that it is about: events about the same one may wait for each other.
  package var subject: String? {
    switch self {
    case .checkout(let session, _): session.subject
    case .refund(let refund): refund.paymentID
    case .singleRefund(let refund): refund.paymentID
    case .invoicePayment(let payment): payment.paymentID
    case .dispute(let dispute, _): dispute.paymentID
    case .subscription(let subscription, _): subscription.id
    case .other, .unreadable: nil
    }
  }
}
