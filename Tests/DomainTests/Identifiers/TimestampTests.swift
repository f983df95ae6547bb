import FoundationEssentials
import Support
import Testing

@testable import Domain

@Suite struct TimestampTests {
  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00.000000Z"),
      (-1, "1969-12-31T23:59:59.999999Z"),
      (1, "1970-01-01T00:00:00.000001Z"),
      (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
      (4_107_542_399_999_999, "2100-02-28T23:59:59.999999Z"),
      (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
      (1_795_517_702_123_456, "2026-11-24T10:55:02.123456Z"),
      (-62_135_596_800_000_000, "0001-01-01T00:00:00.000000Z"),
      (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
    ] as [(Int64, String)])
  func `RFC 3339 in UTC with microseconds`(microseconds: Int64, text: String) {
    #expect(Timestamp(microseconds: microseconds)?.rfc3339 == text)
    #expect(Timestamp(rfc3339: text)?.microseconds == microseconds)
  }

  @Test func `later times are written later`() {
    var random = SeededGenerator(seed: 9)
    let times = (0..<1000).map { _ in
      Timestamp(
        clamping: .random(in: -62_135_596_800_000_000...253_402_300_799_999_999, using: &random)
      )
    }
    #expect(times.sorted().map(\.rfc3339) == times.map(\.rfc3339).sorted())
  }

  @Test func `it is stored as one integer`() throws {
    let time = Timestamp(clamping: -5)
    #expect(try JSONEncoder().encode([time]) == Data("[-5]".utf8))
    #expect(try JSONDecoder().decode([Timestamp].self, from: Data("[-5]".utf8)) == [time])
  }

  // MARK: The ends of time

  private static let ends = (
    first: Int64(-62_135_596_800_000_000), last: Int64(253_402_300_799_999_999)
  )

  /// Every power of two and its neighbours, the ends of time and their neighbours, and numbers of every size.
  private static let numbers: [Int64] = {
    var random = SeededGenerator(seed: 12)
    let powers: [Int64] = (0..<63).map { Int64(1) << $0 }
    let edges: [Int64] = [0, .min, .max, ends.first, ends.last] + powers + powers.map { -$0 }
    let near: [Int64] = edges.flatMap { edge in (Int64(-2)...2).map { edge &+ $0 } }
    return near
      + (0..<2000).map { _ -> Int64 in
        Int64.random(in: .min ... .max, using: &random)
          >> Int64.random(in: 0..<63, using: &random)
      }
  }()

  @Test func `only the years 0001 to 9999 can be held`() {
    for number in Self.numbers {
      let isInside = (Self.ends.first...Self.ends.last).contains(number)
      #expect((Timestamp(microseconds: number) != nil) == isInside, "\(number)")
      let nearest = Timestamp(clamping: number)
      #expect(nearest.microseconds == min(max(number, Self.ends.first), Self.ends.last))
      #expect(Timestamp(rfc3339: nearest.rfc3339) == nearest, "\(number)")
      #expect(nearest.rfc3339.utf8.count == 27)
    }
    #expect(Timestamp.earliest.rfc3339 == "0001-01-01T00:00:00.000000Z")
    #expect(Timestamp.latest.rfc3339 == "9999-12-31T23:59:59.999999Z")
  }

  @Test func `arithmetic stops at the ends of time`() {
    var random = SeededGenerator(seed: 13)
    for number in Self.numbers {
      for start in [
        .earliest, .epoch, .latest,
        Timestamp(clamping: Self.numbers.randomElement(using: &random) ?? 0),
      ] {
        let exact = Int128(start.microseconds) + Int128(number)
        let expected = min(max(exact, Int128(Self.ends.first)), Int128(Self.ends.last))
        #expect(Int128(start.advanced(by: number).microseconds) == expected)
        let seconds = Int128(start.microseconds) + Int128(number) * 1_000_000
        let end = min(max(seconds, Int128(Self.ends.first)), Int128(Self.ends.last))
        #expect(Int128(start.advanced(bySeconds: number).microseconds) == end)
      }
      let seconds = min(
        max(Int128(number) * 1_000_000, Int128(Self.ends.first)), Int128(Self.ends.last))
      #expect(Int128(Timestamp(clampingSeconds: number).microseconds) == seconds)
    }
    #expect(Timestamp.latest.microseconds(since: .earliest) == Self.ends.last - Self.ends.first)
    #expect(Timestamp(clamping: -1).seconds == -1)
    #expect(Timestamp(clamping: -1).days == -1)
  }

  @Test func `what is stored outside of them is not read`() {
    for number in Self.numbers where !(Self.ends.first...Self.ends.last).contains(number) {
      #expect(throws: DecodingError.self) {
        try JSONDecoder().decode([Timestamp].self, from: Data("[\(number)]".utf8))
      }
    }
  }

  @Test func `an offset leads neither out of them nor around them`() {
    var random = SeededGenerator(seed: 14)
    for _ in 0..<2000 {
      let year =
        [0, 1, 9999, Int.random(in: 0...9999, using: &random)].randomElement(using: &random) ?? 0
      let (month, day) = Bool.random(using: &random) ? (1, 1) : (12, 31)
      let (hour, minute) = (
        Int.random(in: 0...23, using: &random), Int.random(in: 0...59, using: &random)
      )
      let local =
        "\(Self.digits(year, 4))-\(Self.digits(month, 2))-\(Self.digits(day, 2))T\(Self.digits(hour, 2)):\(Self.digits(minute, 2)):00"
      let (sign, hours, minutes) = (
        Bool.random(using: &random) ? 1 : -1, Int.random(in: 0...23, using: &random),
        Int.random(in: 0...59, using: &random)
      )
      let offset = "\(sign > 0 ? "+" : "-")\(Self.digits(hours, 2)):\(Self.digits(minutes, 2))"
      // Counted by hand: the days of the year do not matter at its two ends.
      let minuteOfDay = hour * 60 + minute - sign * (hours * 60 + minutes)
      let leavesBefore = month == 1 && minuteOfDay < 0
      let leavesAfter = month == 12 && minuteOfDay >= 1440
      let utcYear = year + (leavesAfter ? 1 : 0) - (leavesBefore ? 1 : 0)
      let time = Timestamp(rfc3339: local + offset)
      #expect((time != nil) == (1...9999).contains(utcYear), "\(local + offset)")
      if let time {
        #expect(time.rfc3339.prefix(4) == Self.digits(utcYear, 4), "\(local + offset)")
      }
    }
  }

  private static func digits(_ number: Int, _ count: Int) -> String {
    let text = "\(number)"
    return String(repeating: "0", count: count - text.count) + text
  }

  @Test func `a billing period is a month of them`() throws {
    #expect(BillingPeriod("0000-01") == nil)
    #expect(BillingPeriod("10000-01") == nil)
    let first = try #require(BillingPeriod("0001-01"))
    #expect(first.start == .earliest)
    #expect(BillingPeriod(containing: .earliest) == first)
    let last = try #require(BillingPeriod("9999-12"))
    #expect(last.start.rfc3339 == "9999-12-01T00:00:00.000000Z")
    #expect(last.end == .latest)
    #expect(BillingPeriod(containing: .latest) == last)
    #expect(last.description == "9999-12")
  }
}
