import JSON

/// Reads single members of one of Stripe's objects, and keeps those that were read: what nobody asked for is not stored.
final class MemberReader {
  private let value: JSONValue
  private(set) var kept = JSONObject()

  init(_ value: JSONValue) {
    self.value = value
  }

  /// Whether there is such a member. What it holds may turn out to be unreadable: that it was there is kept in any case.
  func has(_ name: String) -> Bool {
    guard value[name] != nil else { return false }
    kept.set(key: name, JSONValue.null)
    return true
  }

  /// An id, or a name that a program made. Stripe writes an id alone, or the whole object where it was asked to expand it.
  func identifier(_ name: String) -> String? {
    guard let member = value[name], let text = member.string ?? member["id"]?.string else {
      return nil
    }
    let identifier = Identifier.orPlaceholder(text)
    kept.set(key: name, identifier)
    return identifier
  }

  func requiredIdentifier(_ name: String) throws(UnreadableMember) -> String {
    guard let text = identifier(name) else { throw UnreadableMember(name, "is missing") }
    return text
  }

  /// More than any payment can have: Stripe takes amounts of up to twelve digits.
  static let largestAmount: Int64 = 999_999_999_999

  /// An amount in the currency's smallest unit.
  func amount(_ name: String) throws(UnreadableMember) -> Int64 {
    guard let number = value[name]?.wholeNumber else {
      throw UnreadableMember(name, "is missing, or no integer")
    }
    kept.set(key: name, number)
    guard number >= 0 else { throw UnreadableMember(name, "is negative") }
    guard number <= Self.largestAmount else {
      throw UnreadableMember(name, "is more than any payment can be")
    }
    return number
  }

  /// Those of the object's metadata that have these names.
  func metadata(_ names: [String]) -> [String: String] {
    var found: [String: String] = [:]
    var object = JSONObject()
    for name in names {
      guard let text = value["metadata"]?[name]?.string, !text.isEmpty else { continue }
      let identifier = Identifier.orPlaceholder(text)
      found[name] = identifier
      object.set(key: name, identifier)
    }
    if !object.isEmpty { kept.set("metadata", object) }
    return found
  }

  /// The prices of the items of a list, as Stripe writes the items of a subscription.
  ///
  /// - Returns: nil when there is no such list.
  func prices(_ name: String) -> Subscription.Prices? {
    guard let list = value[name], let items = list["data"]?.array else { return nil }
    var data = JSONArray()
    var prices: [Subscription.Price] = []
    for item in items.prefix(Self.mostItems) {
      guard let price = item["price"], let id = price["id"]?.string ?? price.string else {
        continue
      }
      let found = Subscription.Price(
        id: Identifier.orPlaceholder(id),
        lookupKey: price["lookup_key"]?.string.map(Identifier.orPlaceholder))
      prices.append(found)
      data.append(found.item)
    }
    let isWhole = prices.count == items.count && list["has_more"]?.bool != true
    var kept = JSONObject()
    kept.set("data", data)
    // What is kept must be read like what came.
    if !isWhole { kept.set("has_more", true) }
    self.kept.set(key: name, kept)
    return Subscription.Prices(all: prices, isWhole: isWhole)
  }

  /// An id that stands one level deeper, e.g. the payment of an invoice's payment.
  func identifier(_ name: String, _ inner: String) -> String? {
    guard let member = value[name]?[inner], let text = member.string ?? member["id"]?.string else {
      return nil
    }
    let identifier = Identifier.orPlaceholder(text)
    var object = JSONObject()
    object.set(key: inner, identifier)
    kept.set(key: name, object)
    return identifier
  }

  /// Stripe's own limit is 20.
  private static let mostItems = 100
}

extension Subscription.Price {
  /// As Stripe writes it within an item.
  fileprivate var item: JSONObject {
    var price = JSONObject()
    price.set("id", id)
    price.set("lookup_key", lookupKey)
    var item = JSONObject()
    item.set("price", price)
    return item
  }
}

extension JSONValue {
  /// A number without a fraction, however it is written: `15` and `15.0` are the same in JSON.
  var wholeNumber: Int64? {
    switch self {
    case .integer(let number): number
    case .real(let number): Int64(exactly: number)
    case .null, .bool, .string, .array, .object: nil
    }
  }
}

/// A member that an event of its type has, and this one has not, or not so.
struct UnreadableMember: Error {
  let reason: String

  init(_ name: String, _ what: String) {
    reason = "data.object.\(name) \(what)"
  }
}

/// Texts that programs made. Whatever else stands in their place may be something personal, and is not kept.
enum Identifier {
  static let placeholder = "?"

  static func exactly(_ text: String) -> String? {
    let isIdentifier =
      1...255 ~= text.utf8.count
      && text.utf8.allSatisfy {
        switch $0 {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"),
          UInt8(ascii: "."):
          true
        default: false
        }
      }
    return isIdentifier ? text : nil
  }

  static func orPlaceholder(_ text: String) -> String { exactly(text) ?? placeholder }
}
