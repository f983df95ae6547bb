import Cryptography

/// What is read of a subscription: https://docs.stripe.com/api/subscriptions/object
///
/// `current_period_end` is not read: since 2025-03-31 it stands with the items, and nothing here depends on it.
package struct Subscription: Equatable, Sendable {
  package enum Step: Sendable {
    case created, updated, deleted
  }

  package struct Price: Equatable, Sendable {
    package let id: String
    package let lookupKey: String?
  }

  /// The prices of its items: of a plan, and of what is sold beside it.
  package struct Prices: Equatable, Sendable {
    package let all: [Price]
    /// Whether every item is among them.
    package let isWhole: Bool
  }

  package let id: String
  package let customer: String
  package let status: String
  package let prices: Prices
  package let metadata: [String: String]
  /// A fingerprint of what decides about the plan: the status, and the prices of all items.
  package let condition: String
  /// The condition that an update ended; nil when the event does not say it.
  package let conditionBefore: String?

  /// - Parameter previous: the event's `previous_attributes`, which have the former values of what changed; nil when there
  ///   are none.
  init(_ reader: MemberReader, previous: MemberReader?) throws(UnreadableMember) {
    id = try reader.requiredIdentifier("id")
    customer = try reader.requiredIdentifier("customer")
    status = try reader.requiredIdentifier("status")
    prices = reader.prices("items") ?? Prices(all: [], isWhole: false)
    metadata = reader.metadata(["organization_id"])
    condition = Self.condition(status, prices)
    guard let previous else {
      conditionBefore = nil
      return
    }
    let formerStatus = previous.has("status") ? previous.identifier("status") : status
    let formerPrices = previous.has("items") ? previous.prices("items") : prices
    guard let formerStatus, let formerPrices, formerPrices.isWhole, prices.isWhole else {
      conditionBefore = nil
      return
    }
    conditionBefore = Self.condition(formerStatus, formerPrices)
  }

  /// Two subscriptions with the same condition pay for the same.
  private static func condition(_ status: String, _ prices: Prices) -> String {
    let text = ([status] + prices.all.map(\.id).sorted()).joined(separator: " ")
    let digits = Array("0123456789abcdef".utf8)
    let hex = SHA256.hash(Array(text.utf8)).bytes.prefix(16)
      .flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    return String(decoding: hex, as: UTF8.self)
  }
}
