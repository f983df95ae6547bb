import Testing

@testable import Cryptography

@Suite struct SealedSecretTests {
  static let old = KeyEncryptionKeys(key: [UInt8](repeating: 1, count: 32))
  static let both = ring([1, 2])
  static let new = ring([2])
  static let place = ProviderKeyContext(
    organization: [UInt8](repeating: 0x0a, count: 16),
    project: [UInt8](repeating: 0x0b, count: 16), provider: "openai")
  static let secret = Array("sk-proj-0123456789".utf8)

  /// Keys of which every byte is the version.
  static func ring(_ versions: [UInt8]) -> KeyEncryptionKeys {
    let list = versions.map { "\($0):\(Base64URL.encode([UInt8](repeating: $0, count: 32)))" }
    guard let ring = try? KeyEncryptionKeys(list.joined(separator: ",")) else { fatalError() }
    return ring
  }

  static func sealed(_ secret: [UInt8] = secret) throws -> SealedSecret {
    try SealedSecret.seal(secret, for: place.bytes, under: old)
  }

  // MARK: Does not open

  @Test func `a flipped bit of any byte`() throws {
    let bytes = try Self.sealed().bytes
    for index in bytes.indices {
      for bit in 0..<8 {
        var forged = bytes
        forged[index] ^= 1 << bit
        #expect(throws: SealedSecret.Failure.self, "bit \(bit) of byte \(index)") {
          try SealedSecret(bytes: forged).open(for: Self.place.bytes, with: Self.both)
        }
      }
    }
  }

  @Test func `one that was cut anywhere, or goes on`() throws {
    let bytes = try Self.sealed().bytes
    for count in bytes.indices {
      #expect(throws: SealedSecret.Failure.self, "\(count) bytes") {
        try SealedSecret(bytes: Array(bytes[..<count])).open(
          for: Self.place.bytes, with: Self.both)
      }
    }
    #expect(throws: SealedSecret.Failure.notAuthentic) {
      try SealedSecret(bytes: bytes + [0]).open(for: Self.place.bytes, with: Self.both)
    }
  }

  @Test func `one that was moved to another place, nor is it rewrapped there`() throws {
    let sealed = try Self.sealed()
    let (organization, project) = (
      [UInt8](repeating: 0x0a, count: 16), [UInt8](repeating: 0x0b, count: 16)
    )
    let places = [
      ProviderKeyContext(organization: project, project: project, provider: "openai"),
      ProviderKeyContext(organization: organization, project: organization, provider: "openai"),
      ProviderKeyContext(organization: project, project: organization, provider: "openai"),
      ProviderKeyContext(organization: organization, project: project, provider: "openai2"),
      ProviderKeyContext(organization: organization, project: project, provider: "opena"),
      ProviderKeyContext(organization: organization, project: project, provider: ""),
    ]
    for place in places {
      #expect(throws: SealedSecret.Failure.notAuthentic) {
        try sealed.open(for: place.bytes, with: Self.both)
      }
      #expect(throws: SealedSecret.Failure.notAuthentic) {
        try sealed.rewrapped(for: place.bytes, under: Self.both)
      }
    }
  }

  @Test func `a data key with another record's secret`() throws {
    let (one, other) = (try Self.sealed(), try Self.sealed(Array("another".utf8)))
    let mixed = try SealedSecret(bytes: Array(one.bytes[..<65]) + other.bytes[65...])
    #expect(throws: SealedSecret.Failure.notAuthentic) {
      try mixed.open(for: Self.place.bytes, with: Self.both)
    }
  }

  @Test func `a key version that is not in the ring is named`() throws {
    let sealed = try Self.sealed()
    #expect(throws: SealedSecret.Failure.unknownKeyVersion(1)) {
      try sealed.open(for: Self.place.bytes, with: Self.new)
    }
    #expect(throws: SealedSecret.Failure.unknownKeyVersion(1)) {
      try sealed.rewrapped(for: Self.place.bytes, under: Self.new)
    }
    #expect(
      "\(SealedSecret.Failure.unknownKeyVersion(1))"
        == "the sealed value needs key-encryption key 1, which is not in the ring")
    var beyond = sealed.bytes
    beyond.replaceSubrange(1..<5, with: [0xff, 0xff, 0xff, 0xff])
    #expect(throws: SealedSecret.Failure.unknownKeyVersion(4_294_967_295)) {
      try SealedSecret(bytes: beyond)
    }
  }

  /// Both are in the ring, so that it is the authentication that refuses.
  @Test func `one that claims another version of the ring`() throws {
    var bytes = try Self.sealed().bytes
    bytes[4] = 2
    #expect(throws: SealedSecret.Failure.notAuthentic) {
      try SealedSecret(bytes: bytes).open(for: Self.place.bytes, with: Self.both)
    }
  }

  @Test func `another format, another text, another key of the same version`() throws {
    let sealed = try Self.sealed()
    #expect(throws: SealedSecret.Failure.unknownFormat(2)) {
      try SealedSecret(bytes: [2] + sealed.bytes.dropFirst())
    }
    #expect(throws: SealedSecret.Failure.malformed) { try SealedSecret(sealed.text + "=") }
    #expect(throws: SealedSecret.Failure.malformed) { try SealedSecret("") }
    #expect(throws: SealedSecret.Failure.malformed) { try SealedSecret("AQ") }
    let stranger = KeyEncryptionKeys(key: [UInt8](repeating: 7, count: 32))
    #expect(throws: SealedSecret.Failure.notAuthentic) {
      try sealed.open(for: Self.place.bytes, with: stranger)
    }
  }

  // MARK: Opens

  @Test(arguments: [0, 1, 8, 500, 100_000])
  func `what was sealed is opened again, whatever its length`(count: Int) throws {
    let secret = SecureRandom.bytes(count)
    let sealed = try Self.sealed(secret)
    #expect(sealed.bytes.count == 93 + count)
    let read = try SealedSecret(sealed.text)
    #expect(read == sealed)
    #expect(read.keyVersion == 1)
    #expect(try read.open(for: Self.place.bytes, with: Self.both) == secret)
  }

  @Test func `the same secret is never sealed the same way`() throws {
    let sealed = try (0..<100).map { _ in try Self.sealed().bytes }
    // Data key, both nonces and the secret: no part repeats.
    for part in [5..<17, 17..<49, 65..<77, 77..<(77 + Self.secret.count)] {
      #expect(Set(sealed.map { Array($0[part]) }).count == 100)
    }
  }

  @Test func `rewrapped, it opens with the new key alone, and the secret was not sealed anew`()
    throws
  {
    let sealed = try Self.sealed()
    let rewrapped = try sealed.rewrapped(for: Self.place.bytes, under: Self.both)
    #expect(rewrapped.keyVersion == 2)
    #expect(rewrapped.bytes[65...] == sealed.bytes[65...])
    #expect(try rewrapped.open(for: Self.place.bytes, with: Self.new) == Self.secret)
    #expect(try sealed.open(for: Self.place.bytes, with: Self.both) == Self.secret)
    #expect(try rewrapped.rewrapped(for: Self.place.bytes, under: Self.both) == rewrapped)
  }

  // MARK: Rings

  @Test func `a ring is opened by another one's older keys, and seals as before`() throws {
    let ring = Self.new.opening(alsoWith: Self.old)
    #expect(ring.versions == [1, 2])
    #expect(ring.newest == 2)
    #expect(try Self.sealed().open(for: Self.place.bytes, with: ring) == Self.secret)
    #expect(Self.old.opening(alsoWith: Self.new).newest == 1)
    let mine = KeyEncryptionKeys(key: [UInt8](repeating: 7, count: 32))
    #expect(mine.opening(alsoWith: Self.old)[1] == [UInt8](repeating: 7, count: 32))
  }

  @Test(arguments: [
    "", "1", "1:", "0:AAAA", "-1:AAAA", "1:AAAA", "x:AAAA",
    "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
    """
    1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE,1:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI
    """,
    "2147483648:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE",
  ])
  func `a list that is no ring says why and repeats no key`(list: String) {
    let error = #expect(throws: KeyEncryptionKeys.Invalid.self) { try KeyEncryptionKeys(list) }
    #expect(error?.description.contains("AQEB") == false)
  }
}
