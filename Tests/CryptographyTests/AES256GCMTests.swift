import Testing

@testable import Cryptography

struct AES256GCMTests {
  struct Vector: Sendable {
    var key, nonce, plaintext, associatedData, ciphertext, tag: String
  }

  /// McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", test cases 13 to 16, which
  /// NIST's validation of AES-256-GCM includes.
  @Test(arguments: [
    Vector(
      key: String(repeating: "00", count: 32), nonce: String(repeating: "00", count: 12),
      plaintext: "", associatedData: "", ciphertext: "",
      tag: "530f8afbc74536b9a963b4f1c4cb738b"),
    Vector(
      key: String(repeating: "00", count: 32), nonce: String(repeating: "00", count: 12),
      plaintext: String(repeating: "00", count: 16), associatedData: "",
      ciphertext: "cea7403d4d606b6e074ec5d3baf39d18", tag: "d0d1c8a799996bf0265b98b5d48ab919"),
    Vector(
      key: "feffe9928665731c6d6a8f9467308308 feffe9928665731c6d6a8f9467308308",
      nonce: "cafebabefacedbaddecaf888",
      plaintext: """
        d9313225f88406e5a55909c5aff5269a 86a7a9531534f7da2e4c303d8a318a72
        1c3c0c95956809532fcf0e2449a6b525 b16aedf5aa0de657ba637b391aafd255
        """,
      associatedData: "",
      ciphertext: """
        522dc1f099567d07f47f37a32a84427d 643a8cdcbfe5c0c97598a2bd2555d1aa
        8cb08e48590dbb3da7b08b1056828838 c5f61e6393ba7a0abcc9f662898015ad
        """,
      tag: "b094dac5d93471bdec1a502270e3cc6c"),
    Vector(
      key: "feffe9928665731c6d6a8f9467308308 feffe9928665731c6d6a8f9467308308",
      nonce: "cafebabefacedbaddecaf888",
      plaintext: """
        d9313225f88406e5a55909c5aff5269a 86a7a9531534f7da2e4c303d8a318a72
        1c3c0c95956809532fcf0e2449a6b525 b16aedf5aa0de657ba637b39
        """,
      associatedData: "feedfacedeadbeeffeedfacedeadbeef abaddad2",
      ciphertext: """
        522dc1f099567d07f47f37a32a84427d 643a8cdcbfe5c0c97598a2bd2555d1aa
        8cb08e48590dbb3da7b08b1056828838 c5f61e6393ba7a0abcc9f662
        """,
      tag: "76fc6ece0f4e1768cddf8853bb2d551b"),
  ])
  func `the published vectors, sealed and opened`(vector: Vector) throws {
    let key = hex(vector.key)
    let associatedData = hex(vector.associatedData)
    let box = hex(vector.nonce) + hex(vector.ciphertext) + hex(vector.tag)
    #expect(
      try AES256GCM.seal(
        hex(vector.plaintext), key: key, associatedData: associatedData, nonce: hex(vector.nonce))
        == box)
    #expect(
      try AES256GCM.open(box, key: key, associatedData: associatedData) == hex(vector.plaintext))
  }

  @Test func `a box with any bit changed does not open`() throws {
    let key = SecureRandom.bytes(32)
    let box = try AES256GCM.seal(Array("sk-secret".utf8), key: key, associatedData: [1, 2])
    for bit in 0..<(box.count * 8) {
      var forged = box
      forged[bit / 8] ^= 1 << (bit % 8)
      #expect(throws: CryptographyError.authenticationFailure) {
        try AES256GCM.open(forged, key: key, associatedData: [1, 2])
      }
    }
    #expect(try AES256GCM.open(box, key: key, associatedData: [1, 2]) == Array("sk-secret".utf8))
  }

  @Test func `a truncated or extended box does not open`() throws {
    let key = SecureRandom.bytes(32)
    let box = try AES256GCM.seal([1, 2, 3], key: key, associatedData: [])
    for length in 0..<box.count {
      #expect(throws: CryptographyError.authenticationFailure) {
        try AES256GCM.open(Array(box[..<length]), key: key, associatedData: [])
      }
    }
    #expect(throws: CryptographyError.authenticationFailure) {
      try AES256GCM.open(box + [0], key: key, associatedData: [])
    }
  }

  @Test func `a box does not open elsewhere, nor with another key`() throws {
    let key = SecureRandom.bytes(32)
    let box = try AES256GCM.seal([1, 2, 3], key: key, associatedData: Array("project a".utf8))
    for other in ["project b", "project a ", ""] {
      #expect(throws: CryptographyError.authenticationFailure) {
        try AES256GCM.open(box, key: key, associatedData: Array(other.utf8))
      }
    }
    #expect(throws: CryptographyError.authenticationFailure) {
      try AES256GCM.open(
        box, key: SecureRandom.bytes(32), associatedData: Array("project a".utf8))
    }
  }

  @Test(arguments: [0, 16, 31, 33])
  func `a key of another size is refused`(size: Int) throws {
    let key = SecureRandom.bytes(size)
    let error = CryptographyError.keySize(expected: 32, actual: size)
    #expect(throws: error) { try AES256GCM.seal([], key: key, associatedData: []) }
    #expect(throws: error) {
      try AES256GCM.open([UInt8](repeating: 0, count: 28), key: key, associatedData: [])
    }
  }

  @Test func `every length from 0 to 100 comes back, each time in another box`() throws {
    let key = SecureRandom.bytes(32)
    for length in 0...100 {
      let plaintext = SecureRandom.bytes(length)
      let box = try AES256GCM.seal(plaintext, key: key, associatedData: [])
      #expect(box.count == 12 + length + 16)
      #expect(try AES256GCM.open(box, key: key, associatedData: []) == plaintext)
      #expect(try AES256GCM.seal(plaintext, key: key, associatedData: []) != box)
    }
  }
}
