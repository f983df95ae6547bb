import Cryptography
import FoundationEssentials
import Support
import Testing

@testable import Stripe

@Suite struct SignatureTests {
  static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
  static let body = Array(#"{"id":"evt_1","object":"event","type":"invoice.paid"}"#.utf8)
  static let now: Int64 = 1_764_136_800

  static func hex(
    _ time: String = "\(now)", _ body: [UInt8] = body, secret: String = secret
  ) -> String {
    HMACSHA256(key: Array(secret.utf8)).authenticationCode(for: Array("\(time).".utf8) + body)
      .map { byte in
        let digits = Array("0123456789abcdef")
        return "\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
      }.joined()
  }

  static func refusal(
    _ headers: [String], _ body: [UInt8] = body, secrets: [String] = [secret], now: Int64 = now
  ) -> StripeSignature.Refusal? {
    do throws(StripeSignature.Refusal) {
      try StripeSignature(secrets: secrets).verify(headers, body: body, now: now)
      return nil
    } catch {
      return error
    }
  }

  // MARK: Hostile

  @Test func `what is no signature as Stripe writes it is refused`() {
    let good = Self.hex()
    let headers = [
      "", ",", "=", "t", "t=", "v1=\(good)", "t=,v1=\(good)", "t=x,v1=\(good)",
      "t= \(Self.now),v1=\(good)", "t=\(Self.now) ,v1=\(good)", "t=+\(Self.now),v1=\(good)",
      "t=-\(Self.now),v1=\(good)", "t=0\(Self.now),v1=\(good)", "t=0x69264160,v1=\(good)",
      "t=\(Self.now).0,v1=\(good)", "t=1764136800000000000000,v1=\(good)",
      "t=\(Self.now),v1", "t=\(Self.now),v1=", "t=\(Self.now),v1=\(good),",
      ",t=\(Self.now),v1=\(good)", "t=\(Self.now),,v1=\(good)", "t=\(Self.now),=\(good)",
      "t=\(Self.now),v1=\(good.dropLast())", "t=\(Self.now),v1=\(good)0",
      "t=\(Self.now),v1=\(good.uppercased())", "t=\(Self.now),v1=\(good.dropLast())g",
      "t=\(Self.now),v1= \(good)", "t=\(Self.now);v1=\(good)", "t=\(Self.now) v1=\(good)",
      // Signed for one time, and meant for another.
      "t=\(Self.now),t=\(Self.now),v1=\(good)", "t=\(Self.now - 9999),t=\(Self.now),v1=\(good)",
      "t=\(Self.now),t=x,v1=\(good)",
      String(repeating: "x=y,", count: 40) + "t=\(Self.now),v1=\(good)",
      "t=\(Self.now),v0=\(String(repeating: "a", count: 5000)),v1=\(good)",
      String(repeating: ",", count: 100_000),
    ]
    for header in headers {
      #expect(Self.refusal([header]) == .malformed, "\(header.prefix(200))")
    }
    #expect(Self.refusal([]) == .malformed)
    #expect(
      Self.refusal(Array(repeating: "t=\(Self.now),v1=\(good)", count: 2)) == .malformed)
  }

  @Test func `another scheme does not make up for v1`() {
    let good = Self.hex()
    for scheme in ["v0", "v2", "V1", "v1 ", " v1", "v10", "hmac"] {
      #expect(Self.refusal(["t=\(Self.now),\(scheme)=\(good)"]) == .unsigned, "\(scheme)")
    }
    #expect(Self.refusal(["t=\(Self.now)"]) == .unsigned)
    let wrong = String(repeating: "0", count: 64)
    #expect(Self.refusal(["t=\(Self.now),v0=\(good),v1=\(wrong)"]) == .mismatch)
  }

  @Test func `a body, a time or a secret other than those that were signed is noticed`() {
    let header = "t=\(Self.now),v1=\(Self.hex())"
    #expect(Self.refusal([header], Self.body + [0x20]) == .mismatch)
    #expect(Self.refusal([header], Array(Self.body.dropLast())) == .mismatch)
    #expect(Self.refusal([header], []) == .mismatch)
    for index in Self.body.indices {
      var body = Self.body
      body[index] ^= 1
      #expect(Self.refusal([header], body) == .mismatch)
    }
    #expect(Self.refusal(["t=\(Self.now + 1),v1=\(Self.hex())"]) == .mismatch)
    #expect(Self.refusal([header], secrets: ["whsec_other"]) == .mismatch)
    // The key is the text as it stands there, not what it could be decoded to, and no part of it.
    for other in [String(Self.secret.dropFirst(6)), Self.secret + "=", Self.secret.lowercased()] {
      #expect(Self.refusal(["t=\(Self.now),v1=\(Self.hex(secret: other))"]) == .mismatch)
    }
    // The body by itself, and both in another order.
    #expect(Self.refusal(["t=\(Self.now),v1=\(Self.hex(""))"]) == .mismatch)
  }

  @Test func `no single bit of a signature can be another`() {
    let good = Array(Self.hex().utf8)
    for index in good.indices {
      for digit in "0123456789abcdef".utf8 where digit != good[index] {
        var wrong = good
        wrong[index] = digit
        let header = "t=\(Self.now),v1=\(String(decoding: wrong, as: UTF8.self))"
        #expect(Self.refusal([header]) == .mismatch)
      }
    }
  }

  static let offsets: [(Int64, StripeSignature.Refusal?)] = [
    (-301, .stale), (-300, nil), (0, nil), (300, nil), (301, .future), (-86_400, .stale),
    (86_400, .future),
  ]

  @Test(arguments: offsets)
  func `a time is good for five minutes in both directions`(
    offset: Int64, refusal: StripeSignature.Refusal?
  ) {
    let time = "\(Self.now + offset)"
    #expect(Self.refusal(["t=\(time),v1=\(Self.hex(time))"]) == refusal)
  }

  @Test func `10000 random mutations of a good delivery are refused`() {
    var random = SeededGenerator(seed: 5)
    let signature = StripeSignature(secrets: [Self.secret])
    let good = Array("t=\(Self.now),v1=\(Self.hex())".utf8)
    for _ in 0..<10_000 {
      var (header, body) = (good, Self.body)
      var isOther = false
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let index = Int.random(in: 0..<header.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: header[index] = UInt8.random(in: 0x20...0x7E, using: &random)
        case 1: header.remove(at: index)
        case 2: header.insert(UInt8.random(in: 0x20...0x7E, using: &random), at: index)
        case 3: header.swapAt(index, Int.random(in: 0..<header.count, using: &random))
        default: body[Int.random(in: 0..<body.count, using: &random)] ^= 1 << 5
        }
      }
      isOther = header != good || body != Self.body
      guard isOther else { continue }
      let text = String(decoding: header, as: UTF8.self)
      #expect(throws: StripeSignature.Refusal.self, "\(text)") {
        try signature.verify([text], body: body, now: Self.now)
      }
    }
  }

  // MARK: Believed

  @Test func `one good signature among several suffices, whatever else is there`() {
    let (good, wrong) = (Self.hex(), String(repeating: "a", count: 64))
    for header in [
      "t=\(Self.now),v1=\(good)", "v1=\(good),t=\(Self.now)",
      "t=\(Self.now),v1=\(wrong),v1=\(good)", "t=\(Self.now),v1=\(good),v1=\(wrong)",
      "t=\(Self.now),v1=\(good),v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39",
      "t=\(Self.now),v0=,v2=x=y,v1=\(good)",
    ] {
      #expect(Self.refusal([header]) == nil, "\(header)")
    }
  }

  @Test func `while a secret is rotated both are good, and afterwards one`() {
    let old = "t=\(Self.now),v1=\(Self.hex(secret: "whsec_old"))"
    let new = "t=\(Self.now),v1=\(Self.hex(secret: "whsec_new"))"
    for header in [old, new] {
      #expect(Self.refusal([header], secrets: ["whsec_new", "whsec_old"]) == nil)
    }
    #expect(Self.refusal([old], secrets: ["whsec_new"]) == .mismatch)
    #expect(Self.refusal([new], secrets: ["whsec_new"]) == nil)
  }

  @Test func `an empty body and one that is no text can be signed`() {
    for body in [[], [0, 0xFF, 0x80]] as [[UInt8]] {
      #expect(Self.refusal(["t=\(Self.now),v1=\(Self.hex("\(Self.now)", body))"], body) == nil)
    }
  }
}
