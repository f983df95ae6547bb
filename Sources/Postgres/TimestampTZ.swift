/// An instant in the years 0001 to 9999, in microseconds since 1970-01-01 00:00:00 UTC: `timestamptz`'s own resolution.
///
/// `timestamptz` holds years from 4713 BC to 294276, and two infinities. None of these is ever written, and reading one is
/// an error of the row, like any other value that a column should not have.
package struct TimestampTZ: Sendable, Hashable, Comparable {
  package let microsecondsSinceUnixEpoch: Int64

  /// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z.
  package static let range: ClosedRange<Int64> =
    -62_135_596_800_000_000...253_402_300_799_999_999

  /// The instant so many microseconds after the Unix epoch, or else the nearest one that can be held.
  package init(clamping microsecondsSinceUnixEpoch: Int64) {
    self.microsecondsSinceUnixEpoch = min(
      max(microsecondsSinceUnixEpoch, Self.range.lowerBound), Self.range.upperBound)
  }

  package static func < (left: TimestampTZ, right: TimestampTZ) -> Bool {
    left.microsecondsSinceUnixEpoch < right.microsecondsSinceUnixEpoch
  }

  /// 2000-01-01 00:00:00 UTC, PostgreSQL's zero, in microseconds since the Unix epoch.
  static let postgresEpoch: Int64 = 946_684_800_000_000
}
