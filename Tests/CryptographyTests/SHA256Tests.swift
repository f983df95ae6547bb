import Cryptography
import Testing

struct SHA256Tests {
  /// NIST, "Examples with Intermediate Values", and the empty message.
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
  func `the examples of FIPS 180-4`(message: String, expected: String) {
    #expect(SHA256.hash(Array(message.utf8)).hexString == expected)
    #expect(SHA256.hash(Array(message.utf8)).bytes == hex(expected))
  }

  @Test func `a million times the letter a`() {
    let message = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
    let digest = message.withUnsafeBytes { SHA256.hash($0) }
    #expect(
      digest.hexString == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test func `parts are hashed as if they were joined, wherever they are cut`() {
    let message = Array((0..<200).map { UInt8($0) })
    let whole = SHA256.hash(message)
    for cut in 0...message.count {
      #expect(SHA256.hash(Array(message[..<cut]), [], Array(message[cut...])) == whole)
    }
  }

  @Test func `a stored digest is read back, and only from 32 bytes`() {
    let digest = SHA256.hash([1, 2, 3])
    #expect(SHA256Digest(bytes: digest.bytes) == digest)
    #expect(SHA256Digest(bytes: []) == nil)
    #expect(SHA256Digest(bytes: Array(digest.bytes.dropLast())) == nil)
    #expect(SHA256Digest(bytes: digest.bytes + [0]) == nil)
  }

  @Test func `digests that differ in one bit, wherever it is, are not equal`() {
    let digest = SHA256.hash([])
    for index in 0..<256 {
      var bytes = digest.bytes
      bytes[index / 8] ^= 1 << (index % 8)
      #expect(SHA256Digest(bytes: bytes) != digest)
    }
  }

  @Test func `threads do not disturb each other`() async {
    let expected = (0..<100).map { SHA256.hash([UInt8($0)]) }
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask {
          (0..<20_000).allSatisfy { SHA256.hash([UInt8($0 % 100)]) == expected[$0 % 100] }
        }
      }
      for await isRight in group { #expect(isRight) }
    }
  }
}
