import FoundationEssentials
import Support
import Testing

@testable import Domain

@Suite struct UUIDv7Tests {
  /// RFC 9562, appendix A.6: 2022-02-22 14:22:22.00 in UTC-5.
  @Test func `time, version and variant stand where RFC 9562 puts them`() {
    var random = SeededGenerator(seed: 1)
    let time = Timestamp(clamping: 0x017F_22E2_79B0 * 1000)
    for _ in 0..<100 {
      let bytes = withUnsafeBytes(of: UUID.version7(at: time, using: &random).uuid) { Array($0) }
      #expect(bytes[..<6] == [0x01, 0x7F, 0x22, 0xE2, 0x79, 0xB0])
      #expect(bytes[6] >> 4 == 7)
      #expect(bytes[8] >> 6 == 0b10)
    }
  }

  @Test func `every random bit is used`() {
    var random = SeededGenerator(seed: 2)
    var (zeros, ones) = (UInt128.max, UInt128(0))
    for _ in 0..<200 {
      let number = UInt128(UUID.version7(at: Timestamp(clamping: 0), using: &random))
      zeros &= number
      ones |= number
    }
    #expect((zeros ^ ones).nonzeroBitCount == 74)
  }

  @Test func `what is made a millisecond later sorts later`() {
    var random = SeededGenerator(seed: 3)
    let uuids = (0..<100).map {
      UUID.version7(at: Timestamp(clamping: $0 * 1000), using: &random)
    }
    #expect(uuids == uuids.sorted())
  }

  @Test func `the same seed makes the same id`() {
    var (left, right) = (SeededGenerator(seed: 4), SeededGenerator(seed: 4))
    let time = Timestamp(clamping: 5)
    #expect(UUID.version7(at: time, using: &left) == UUID.version7(at: time, using: &right))
  }

  @Test func `a time before 1970 counts as 1970`() {
    var random = SeededGenerator(seed: 5)
    let uuid = UUID.version7(at: Timestamp(clamping: -1), using: &random)
    #expect(UInt128(uuid) >> 80 == 0)
  }
}
