import Cryptography
import Testing

struct HMACSHA256Tests {
  /// RFC 4231, sections 4.2 to 4.8 (without 4.6, which truncates).
  @Test(arguments: [
    (
      [UInt8](repeating: 0x0B, count: 20), Array("Hi There".utf8),
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    ),
    (
      Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    ),
    (
      [UInt8](repeating: 0xAA, count: 20), [UInt8](repeating: 0xDD, count: 50),
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
    ),
    (
      Array(1...25), [UInt8](repeating: 0xCD, count: 50),
      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
    ),
    (
      [UInt8](repeating: 0xAA, count: 131),
      Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    ),
    (
      [UInt8](repeating: 0xAA, count: 131),
      Array(
        """
        This is a test using a larger than block-size key and a larger than block-size data. \
        The key needs to be hashed before being used by the HMAC algorithm.
        """.utf8),
      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
    ),
  ])
  func `the test cases of RFC 4231`(key: [UInt8], message: [UInt8], expected: String) {
    #expect(HMACSHA256(key: key).authenticationCode(for: message) == hex(expected))
    #expect(HMACSHA256(key: key).isValid(hex(expected), for: message))
  }

  @Test func `neither an empty key nor an empty message takes over an earlier one`() {
    // RFC 2104 pads a short key with zeros, so no key and a key of zeros are one.
    _ = HMACSHA256(key: [9]).authenticationCode(for: [9])
    let expected = hex("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    #expect(HMACSHA256(key: []).authenticationCode(for: []) == expected)
    #expect(HMACSHA256(key: [0, 0]).authenticationCode(for: []) == expected)
  }

  @Test func `a code with any bit changed, truncated or extended is not valid`() {
    let key = SecureRandom.bytes(32)
    let code = HMACSHA256(key: key).authenticationCode(for: [1, 2, 3])
    for bit in 0..<256 {
      var forged = code
      forged[bit / 8] ^= 1 << (bit % 8)
      #expect(!HMACSHA256(key: key).isValid(forged, for: [1, 2, 3]))
    }
    #expect(!HMACSHA256(key: key).isValid([], for: [1, 2, 3]))
    #expect(!HMACSHA256(key: key).isValid(Array(code.dropLast()), for: [1, 2, 3]))
    #expect(!HMACSHA256(key: key).isValid(code + [0], for: [1, 2, 3]))
    #expect(!HMACSHA256(key: key).isValid(code, for: [1, 2]))
    #expect(HMACSHA256(key: key).isValid(code, for: [1, 2, 3]))
  }

  @Test func `the constant-time comparison means the same as ==`() {
    #expect(constantTimeEquals([], []))
    #expect(constantTimeEquals([0, 1, 255], [0, 1, 255]))
    #expect(!constantTimeEquals([0, 1, 255], [0, 1, 254]))
    #expect(!constantTimeEquals([1, 1, 255], [0, 1, 255]))
    #expect(!constantTimeEquals([0, 1], [0, 1, 2]))
    #expect(!constantTimeEquals([], [0]))
  }

  @Test func `threads do not disturb each other`() async {
    let expected = (0..<100).map { HMACSHA256(key: [7]).authenticationCode(for: [UInt8($0)]) }
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask {
          (0..<5_000).allSatisfy {
            HMACSHA256(key: [7]).isValid(expected[$0 % 100], for: [UInt8($0 % 100)])
          }
        }
      }
      for await isRight in group { #expect(isRight) }
    }
  }
}
