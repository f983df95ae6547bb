import Cryptography
import Testing

struct Base64URLTests {
  /// RFC 4648, section 10, without the padding, and the two characters of this alphabet.
  @Test(arguments: [
    ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"),
    ("fooba", "Zm9vYmE"), ("foobar", "Zm9vYmFy"), ("~~~???", "fn5-Pz8_"),
  ])
  func `the test vectors of RFC 4648`(plain: String, encoded: String) {
    #expect(Base64URL.encode(Array(plain.utf8)) == encoded)
    #expect(Base64URL.decode(encoded) == Array(plain.utf8))
  }

  @Test(arguments: [
    "Z", "Zg==", "Zg=", "Zh", "Zm9", "Zm+v", "Zm/v", " Zg", "Zg\n", "Zm8é", "Zm9v\0",
  ])
  func `any other text is refused`(text: String) {
    #expect(Base64URL.decode(text) == nil)
  }

  @Test func `random bytes come back`() {
    for length in 0..<300 {
      let bytes = SecureRandom.bytes(length)
      #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
    }
  }
}

struct CRC32Tests {
  @Test(
    arguments: [
      ("", 0), ("123456789", 0xCBF4_3926),
      ("The quick brown fox jumps over the lazy dog", 0x414F_A339),
    ] as [(String, UInt32)])
  func `the known checks`(text: String, expected: UInt32) {
    #expect(CRC32.checksum(Array(text.utf8)) == expected)
  }
}
