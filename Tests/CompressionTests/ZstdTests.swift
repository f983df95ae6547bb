import Testing

@testable import Compression

@Suite struct ZstdTests {
  private func inflate(_ bytes: [UInt8], limit: Int = 1 << 20) throws -> [UInt8] {
    try bytes.withUnsafeBytes { bytes throws(CompressionError) in
      try Zstd.inflate(bytes, limit: limit)
    }
  }

  // MARK: Refused

  @Test func `a frame that was cut or changed is refused`() {
    let bytes = Zstd.deflate(Array("a signal box moves no trains".utf8))
    for length in 0..<bytes.count {
      #expect(throws: CompressionError.malformed) { try inflate(Array(bytes[..<length])) }
    }
    for index in bytes.indices where index != 4 {
      var changed = bytes
      changed[index] ^= 0x40
      #expect(throws: CompressionError.self, "byte \(index)") { try inflate(changed) }
    }
  }

  @Test func `what is behind the last frame, and is none, is refused`() {
    let bytes = Zstd.deflate([1, 2, 3])
    for rest: [UInt8] in [[0], [0x28, 0xB5], [0x28, 0xB5, 0x2F, 0xFD], Array("{}".utf8)] {
      #expect(throws: CompressionError.malformed) { try inflate(bytes + rest) }
    }
  }

  @Test func `however much a frame stands for, no more is made of it than is allowed`() {
    let bomb = Zstd.deflate([UInt8](repeating: 0, count: 64 << 20))
    #expect(bomb.count < 10_000)
    #expect(throws: CompressionError.tooLarge) { try inflate(bomb) }
    let many = (0..<100).flatMap { _ in Zstd.deflate([UInt8](repeating: 0, count: 1 << 16)) }
    #expect(throws: CompressionError.tooLarge) { try inflate(many) }
    #expect(throws: CompressionError.tooLarge) { try inflate(Zstd.deflate([1, 2]), limit: 1) }
  }

  @Test func `a frame that wants a window of more than 8 MiB is refused`() {
    // RFC 8878 §3.1.1.1.2: exponent 14 above 10 is 16 MiB; an empty raw block ends the frame.
    let head: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00]
    #expect(throws: CompressionError.malformed) { try inflate(head + [14 << 3, 1, 0, 0]) }
    #expect(throws: Never.self) { try inflate(head + [13 << 3, 1, 0, 0]) }
  }

  // MARK: Taken

  @Test func `what is deflated is inflated, in one frame or in many`() throws {
    var random = SystemRandomNumberGenerator()
    var (all, frames): ([UInt8], [UInt8]) = ([], [])
    for count in [0, 1, 100, 131_071, 131_072, 131_073, 400_000] {
      let isNoise = Bool.random(using: &random)
      let bytes = (0..<count).map { _ in
        UInt8.random(in: isNoise ? 0...255 : 97...99, using: &random)
      }
      #expect(try inflate(Zstd.deflate(bytes), limit: count) == bytes)
      all += bytes
      frames += Zstd.deflate(bytes)
    }
    #expect(try inflate(frames, limit: all.count) == all)
  }
}
