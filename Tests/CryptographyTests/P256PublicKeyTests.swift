import COpenSSL
import Testing

@testable import Cryptography

/// Against the signed examples that GitHub's documentation of secret scanning has had.
@Suite struct P256PublicKeyTests {
  struct Example: Sendable {
    let key: String
    let signature: String
    let payload: String
  }

  static let examples = [
    Example(
      key: """
        -----BEGIN PUBLIC KEY-----
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd
        AjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==
        -----END PUBLIC KEY-----

        """,
      signature:
        "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==",
      payload:
        #"[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]"#
    ),
    Example(
      key: """
        -----BEGIN PUBLIC KEY-----
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUq
        kCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9gWhFbNHWAA==
        -----END PUBLIC KEY-----
        """,
      signature:
        "MEUCIQDKZokqnCjrRtw0tni+2Ltvl/uiMJ1EGumEsp1BsNr32AIgQY1YXD2nlj+XNfGK4rBfkMJ1JDOQcYXxa2sY8FNkrKc=",
      payload: #"[{"token":"some_token","type":"some_type","url":"some_url"}]"#),
  ]

  @Test func `GitHub's own examples are valid, each under its own key`() throws {
    for (index, example) in Self.examples.enumerated() {
      let signature = try #require(Base64.decode(example.signature))
      for (other, holder) in Self.examples.enumerated() {
        let key = try P256PublicKey(pem: holder.key)
        #expect(key.isValid(signature, for: Array(example.payload.utf8)) == (index == other))
      }
    }
  }

  @Test func `no bit of message or signature can be changed`() throws {
    let example = Self.examples[0]
    let key = try P256PublicKey(pem: example.key)
    let (signature, payload) = (
      try #require(Base64.decode(example.signature)), Array(example.payload.utf8)
    )
    for index in payload.indices {
      var changed = payload
      changed[index] ^= 1
      #expect(!key.isValid(signature, for: changed))
    }
    for index in signature.indices {
      for bit in 0..<8 {
        var changed = signature
        changed[index] ^= 1 << bit
        #expect(!key.isValid(changed, for: payload))
      }
    }
    for count in 0..<signature.count {
      #expect(!key.isValid(Array(signature.prefix(count)), for: payload))
    }
    #expect(!key.isValid(signature + [0], for: payload))
    #expect(!key.isValid(signature, for: []))
    #expect(!key.isValid(signature, for: payload + [10]))
    // Zero and zero, which some verifiers have let pass.
    #expect(!key.isValid([0x30, 6, 2, 1, 0, 2, 1, 0], for: payload))
    #expect(ERR_peek_error() == 0)
    #expect(key.isValid(signature, for: payload))
  }

  @Test func `only a key on this curve is a key`() throws {
    let pem = Self.examples[0].key
    let der = try #require(
      Base64.decode(
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd"
          + "AjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw=="))
    _ = try P256PublicKey(der: der)
    var offCurve = der
    offCurve[offCurve.count - 1] ^= 1
    // An Ed25519 key (RFC 8410, section 10.1).
    let edwards = try #require(
      Base64.decode("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="))
    for bytes in [[], [0x30], Array(der.dropLast()), der + [0], offCurve, edwards] {
      #expect(throws: CryptographyError.malformedKey) { try P256PublicKey(der: bytes) }
    }
    for text in [
      "", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
      pem.replacing("PUBLIC", with: "PRIVATE"),
      pem.replacing("w==", with: "w="), "x\n" + pem, pem + "x",
    ] {
      #expect(throws: CryptographyError.malformedKey) { try P256PublicKey(pem: text) }
    }
    #expect(ERR_peek_error() == 0)
  }

  @Test(
    arguments: [
      ("", []), ("Zg==", [102]), ("Zm8=", [102, 111]), ("Zm9v", [102, 111, 111]),
      ("+/+/", [251, 255, 191]),
    ] as [(String, [UInt8])])
  func `base64 is read with its padding`(text: String, bytes: [UInt8]) {
    #expect(Base64.decode(text) == bytes)
  }

  @Test(arguments: [
    "Zg", "Zg=", "Zh==", "Z===", "====", "Zm9v=", "Zm 9", "-_-_", "Zg==Zg==", "Zm9v\n",
  ])
  func `base64 that no encoder writes is not read`(text: String) {
    #expect(Base64.decode(text) == nil)
  }
}
