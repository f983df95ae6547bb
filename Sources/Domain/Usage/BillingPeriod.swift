/// A calendar month of UTC in the years 0001 to 9999, in which a plan's included requests are counted.
package struct BillingPeriod: Hashable, Comparable, Sendable {
  /// Months since January of the year 0.
  private let months: Int64

  private init(months: Int64) {
    self.months = months
  }

  /// The one in which something happens.
  package init(containing time: Timestamp) {
    let date = CivilDate(daysSinceEpoch: time.days)
    months = date.year * 12 + date.month - 1
  }

  /// Its first moment.
  package var start: Timestamp { Self.firstMoment(ofMonth: months) }

  /// The first moment of the next one. Of the last month of all it is the last moment that there is.
  package var end: Timestamp { Self.firstMoment(ofMonth: months + 1) }

  private static func firstMoment(ofMonth months: Int64) -> Timestamp {
    let year = months.floorDivided(by: 12)
    return Timestamp(
      clampingSeconds: InternetTime.daysSinceEpoch(year.quotient, year.remainder + 1, 1) * 86_400)
  }

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
