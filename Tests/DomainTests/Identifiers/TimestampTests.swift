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
      (-62_167_219_200_000_000, "0000-01-01T00:00:00.000000Z"),
      (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
    ] as [(Int64, String)])
  func `RFC 3339 in UTC with microseconds`(microseconds: Int64, text: String) {
    #expect(Timestamp(microseconds: microseconds).rfc3339 == text)
  }

  @Test func `later times are written later`() {
    var random = SeededGenerator(seed: 9)
    let times = (0..<1000).map { _ in
      Timestamp(
        microseconds: .random(in: -62_167_219_200_000_000...253_402_300_799_999_999, using: &random)
      )
    }
    #expect(times.sorted().map(\.rfc3339) == times.map(\.rfc3339).sorted())
  }

  @Test func `it is stored as one integer`() throws {
    let time = Timestamp(microseconds: -5)
    #expect(try JSONEncoder().encode([time]) == Data("[-5]".utf8))
    #expect(try JSONDecoder().decode([Timestamp].self, from: Data("[-5]".utf8)) == [time])
  }
}
