import Testing

@testable import Compression

@Suite struct GzipMemberTests {
  /// Bytes that compress, and bytes that do not.
  private static func bytes(_ count: Int, _ random: inout some RandomNumberGenerator) -> [UInt8] {
    let isNoise = Bool.random(using: &random)
    return (0..<count).map { _ in UInt8.random(in: isNoise ? 0...255 : 97...99, using: &random) }
  }

  @Test func `parts that are compressed once make a member wherever they stand`() throws {
    var random = SystemRandomNumberGenerator()
    let texts = [0, 1, 2, 100, 65_535, 65_536, 200_000].map { Self.bytes($0, &random) }
    let parts = texts.map(GzipPart.init)
    for _ in 0..<50 {
      var member = GzipMember()
      var expected: [UInt8] = []
      for _ in 0..<Int.random(in: 0...12, using: &random) {
        let place = Int.random(in: 0..<texts.count, using: &random)
        if Bool.random(using: &random) {
          member.append(parts[place])
        } else {
          member.append(stored: texts[place])
        }
        expected += texts[place]
      }
      let inflated = try member.finished().withUnsafeBytes { bytes throws(CompressionError) in
        try Gzip.inflate(bytes, limit: expected.count)
      }
      #expect(inflated == expected)
    }
  }

  @Test func `what is empty is a member, too`() throws {
    let inflated = try GzipMember().finished().withUnsafeBytes { bytes throws(CompressionError) in
      try Gzip.inflate(bytes, limit: 1)
    }
    #expect(inflated == [])
  }

  @Test func `a member that was cut or changed is refused`() {
    var member = GzipMember()
    member.append(GzipPart(Array("a signal box moves no trains".utf8)))
    let bytes = member.finished()
    for length in 0..<bytes.count {
      #expect(throws: CompressionError.malformed) {
        try bytes[..<length].withUnsafeBytes { bytes throws(CompressionError) in
          try Gzip.inflate(bytes, limit: 1000)
        }
      }
    }
  }
}
