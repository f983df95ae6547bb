/// An instant, in microseconds since 1970-01-01 00:00:00 UTC: `timestamptz`'s own resolution.
package struct TimestampTZ: Sendable, Hashable, Comparable {
  package var microsecondsSinceUnixEpoch: Int64

  package init(microsecondsSinceUnixEpoch: Int64) {
    self.microsecondsSinceUnixEpoch = microsecondsSinceUnixEpoch
  }

  package static func < (left: TimestampTZ, right: TimestampTZ) -> Bool {
    left.microsecondsSinceUnixEpoch < right.microsecondsSinceUnixEpoch
  }

  /// 2000-01-01 00:00:00 UTC, PostgreSQL's zero, in microseconds since the Unix epoch.
  static let postgresEpoch: Int64 = 946_684_800_000_000
}
