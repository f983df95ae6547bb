/// An instant in the years 0001 to 9999, UTC, in whole microseconds: exact, comparable, without floating point.
///
/// RFC 3339 writes years with four digits, so an instant outside them could be held but never shown. There is none: reading
/// refuses it, and arithmetic stops at the first and the last instant.
package struct Timestamp: Hashable, Comparable, Sendable, Codable {
  /// Microseconds since 1970-01-01T00:00:00Z; negative before it.
  package let microseconds: Int64

  /// 1970-01-01T00:00:00Z, for where there is no time to tell.
  package static let epoch = Timestamp(clamping: 0)
  /// 0001-01-01T00:00:00.000000Z.
  package static let earliest = Timestamp(clamping: .min)
  /// 9999-12-31T23:59:59.999999Z.
  package static let latest = Timestamp(clamping: .max)

  private static let range: ClosedRange<Int64> =
    -62_135_596_800_000_000...253_402_300_799_999_999

  /// The instant that many microseconds after the Unix epoch; nil outside the years 0001 to 9999.
  package init?(microseconds: Int64) {
    guard Self.range.contains(microseconds) else { return nil }
    self.microseconds = microseconds
  }

  /// The instant that many microseconds after the Unix epoch, or else the nearest one that can be held.
  package init(clamping microseconds: Int64) {
    self.microseconds = min(max(microseconds, Self.range.lowerBound), Self.range.upperBound)
  }

  /// The instant that many seconds after the Unix epoch, or else the nearest one that can be held.
  package init(clampingSeconds seconds: Int64) {
    self.init(clamping: seconds *| Self.microsecondsPerSecond)
  }

  /// Whole seconds since the Unix epoch, rounded down.
  package var seconds: Int64 { microseconds.floorDivided(by: Self.microsecondsPerSecond).quotient }

  /// Whole days since the Unix epoch, rounded down.
  package var days: Int64 { seconds.floorDivided(by: 86_400).quotient }

  /// So many microseconds later, but never later than ``latest`` or earlier than ``earliest``.
  package func advanced(by microseconds: Int64) -> Timestamp {
    Timestamp(clamping: self.microseconds +| microseconds)
  }

  /// So many seconds later, but never later than ``latest`` or earlier than ``earliest``.
  package func advanced(bySeconds seconds: Int64) -> Timestamp {
    advanced(by: seconds *| Self.microsecondsPerSecond)
  }

  /// Microseconds since another instant. The difference of two instants always fits.
  package func microseconds(since other: Timestamp) -> Int64 {
    microseconds - other.microseconds
  }

  package static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.microseconds < right.microseconds
  }

  /// - Throws: `DecodingError` outside the years 0001 to 9999.
  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let time = Timestamp(microseconds: try container.decode(Int64.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "not an instant in the years 0001 to 9999")
    }
    self = time
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(microseconds)
  }

  private static let microsecondsPerSecond: Int64 = 1_000_000

  /// RFC 3339 in UTC with six fractional digits, e.g. `2026-11-24T10:55:02.123456Z`.
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
