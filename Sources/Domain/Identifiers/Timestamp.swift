/// An instant as microseconds since the Unix epoch, UTC: exact, comparable, without floating point.
package struct Timestamp: Hashable, Comparable, Sendable, Codable {
  /// Microseconds since 1970-01-01T00:00:00Z; negative before it.
  package let microseconds: Int64

  /// The instant that many microseconds after the Unix epoch.
  package init(microseconds: Int64) {
    self.microseconds = microseconds
  }

  /// So many microseconds later.
  package func advanced(by microseconds: Int64) -> Timestamp {
    Timestamp(microseconds: self.microseconds + microseconds)
  }

  package static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.microseconds < right.microseconds
  }

  package init(from decoder: any Decoder) throws {
    microseconds = try decoder.singleValueContainer().decode(Int64.self)
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(microseconds)
  }

  /// RFC 3339 in UTC with six fractional digits, e.g. `2026-11-24T10:55:02.123456Z`. Years 0000 to 9999.
  package var rfc3339: String {
    let second = microseconds.floorDivided(by: 1_000_000)
    let day = second.quotient.floorDivided(by: 86_400)
    let date = CivilDate(daysSinceEpoch: day.quotient)
    return String(unsafeUninitializedCapacity: 27) { buffer in
      var index = 0
      func write(_ value: Int64, digits: Int, then separator: Unicode.Scalar) {
        var value = value
        for offset in stride(from: digits - 1, through: 0, by: -1) {
          buffer[index + offset] = UInt8(ascii: "0") + UInt8(value % 10)
          value /= 10
        }
        buffer[index + digits] = UInt8(ascii: separator)
        index += digits + 1
      }
      write(date.year, digits: 4, then: "-")
      write(date.month, digits: 2, then: "-")
      write(date.day, digits: 2, then: "T")
      write(day.remainder / 3600, digits: 2, then: ":")
      write(day.remainder / 60 % 60, digits: 2, then: ":")
      write(day.remainder % 60, digits: 2, then: ".")
      write(second.remainder, digits: 6, then: "Z")
      return index
    }
  }
}

/// A day of the proleptic Gregorian calendar, by Howard Hinnant's `civil_from_days` (chrono-compatible low-level date algorithms).
struct CivilDate {
  let year: Int64
  let month: Int64
  let day: Int64

  init(daysSinceEpoch: Int64) {
    let (era, dayOfEra) = (daysSinceEpoch + 719_468).floorDivided(by: 146_097)
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }
}

extension Int64 {
  func floorDivided(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }
}
