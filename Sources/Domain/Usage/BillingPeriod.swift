/// A calendar month of UTC, in which a plan's included requests are counted.
package struct BillingPeriod: Hashable, Comparable, Sendable {
  /// Months since January of the year 0.
  private let months: Int64

  private init(months: Int64) {
    self.months = months
  }

  /// The one in which something happens.
  package init(containing time: Timestamp) {
    let day = time.microseconds.floorDivided(by: 86_400_000_000).quotient
    let date = CivilDate(daysSinceEpoch: day)
    months = date.year * 12 + date.month - 1
  }

  /// Its first moment.
  package var start: Timestamp {
    let year = months.floorDivided(by: 12)
    return Timestamp(
      microseconds: InternetTime.daysSinceEpoch(year.quotient, year.remainder + 1, 1)
        * 86_400_000_000)
  }

  /// The first moment of the next one.
  package var end: Timestamp { next.start }

  package var next: BillingPeriod { BillingPeriod(months: months + 1) }

  package static func < (left: BillingPeriod, right: BillingPeriod) -> Bool {
    left.months < right.months
  }
}

extension BillingPeriod: LosslessStringConvertible, Codable, CodingKeyRepresentable {
  /// Year and month as in ISO 8601, e.g. `2026-11`.
  package var description: String { String(start.rfc3339.prefix(7)) }

  /// Reads what ``description`` writes; nil for anything else.
  package init?(_ description: String) {
    guard description.utf8.count == 7,
      let time = Timestamp(rfc3339: "\(description)-01T00:00:00Z")
    else { return nil }
    self.init(containing: time)
  }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let period = Self(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "not a month such as 2026-11")
    }
    self = period
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }

  package var codingKey: any CodingKey { TextCodingKey(stringValue: description) }

  package init?(codingKey: some CodingKey) {
    self.init(codingKey.stringValue)
  }
}
