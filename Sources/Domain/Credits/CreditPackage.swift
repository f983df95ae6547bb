/// So many log units as they are sold together. A log unit is one request behind the month's included ones.
package struct CreditPackage: Hashable, Sendable {
  /// The contract's name, e.g. `credits_15`: it is stored with every purchase.
  package let name: String
  /// As advertised.
  package let credits: Int64
  package let logUnits: Int64
  /// Micro-USD.
  package let price: Int64

  /// What is for sale, from the smallest to the largest.
  package static let all = [
    CreditPackage(credits: 15, logUnits: 100_000),
    CreditPackage(credits: 30, logUnits: 200_000),
    CreditPackage(credits: 45, logUnits: 300_000),
  ]

  /// The one with this name.
  package static func named(_ name: String) -> CreditPackage? {
    all.first { $0.name == name }
  }

  /// A credit costs a dollar.
  private init(credits: Int64, logUnits: Int64) {
    name = "credits_\(credits)"
    self.credits = credits
    self.logUnits = logUnits
    price = credits * 1_000_000
  }
}
