import Cryptography

/// Verifies that Stripe sent a webhook, and now: `Stripe-Signature: t=<seconds>,v1=<hex>`, where v1 is the HMAC-SHA256 of
/// the time, a full stop and the raw body, keyed with the endpoint's secret as it is written, `whsec_` included.
///
/// Source: https://docs.stripe.com/webhooks#verify-manually
package struct StripeSignature: Sendable {
  /// Why a delivery is not believed. The raw values are labels of a metric.
  package enum Refusal: String, Error, CaseIterable {
    /// No such field, more than one, or not as Stripe writes it.
    case malformed
    /// There is nothing in it of the one scheme that is believed.
    case unsigned
    /// No current secret signed this body at this time.
    case mismatch
    /// Signed, but too long ago: a replay, or a clock that is wrong.
    case stale
    /// Signed, but for a time that is still to come.
    case future
  }

  /// Real ones have about a hundred bytes, and another eighty for each further secret.
  private static let longestHeader = 4096
  private static let mostElements = 32

  private let keys: [HMACSHA256]
  private let tolerance: Int64

  /// - Parameters:
  ///   - secrets: those of the endpoint that are good now: two while it is being rotated.
  ///   - tolerance: how far the time of signing may be from now, in either direction, in seconds.
  package init(secrets: [String], tolerance: Int64 = 300) {
    precondition(!secrets.isEmpty && secrets.allSatisfy { !$0.isEmpty }, "a secret is required")
    keys = secrets.map { HMACSHA256(key: Array($0.utf8)) }
    self.tolerance = tolerance
  }

  /// Believes a body, or does not.
  ///
  /// - Parameters:
  ///   - headers: the values of all `Stripe-Signature` fields.
  ///   - body: as it was sent, byte for byte.
  ///   - now: seconds since the epoch.
  /// - Throws: ``Refusal``.
  package func verify(
    _ headers: [String], body: some Sequence<UInt8>, now: Int64
  ) throws(Refusal) {
    guard headers.count == 1 else { throw .malformed }
    let header = try Header(headers[0])
    guard !header.signatures.isEmpty else { throw .unsigned }
    let message = Array("\(header.time).".utf8) + body
    var isSigned = false
    for key in keys {
      let code = key.authenticationCode(for: message)
      // All of them, always: how long it takes must not tell which one was right.
      for signature in header.signatures where constantTimeEquals(signature, code) {
        isSigned = true
      }
    }
    guard isSigned else { throw .mismatch }
    guard header.time >= now - tolerance else { throw .stale }
    guard header.time <= now + tolerance else { throw .future }
  }

  private struct Header {
    let time: Int64
    /// Of the scheme v1; those of other schemes are not looked at, so that nobody can ask for a weaker one.
    let signatures: [[UInt8]]

    init(_ text: String) throws(Refusal) {
      guard text.utf8.count <= StripeSignature.longestHeader else { throw .malformed }
      let elements = text.split(separator: ",", omittingEmptySubsequences: false)
      guard elements.count <= StripeSignature.mostElements else { throw .malformed }
      var time: Int64?
      var signatures: [[UInt8]] = []
      for element in elements {
        guard let equals = element.firstIndex(of: "="), equals != element.startIndex else {
          throw .malformed
        }
        let value = element[element.index(after: equals)...]
        switch element[..<equals] {
        case "t":
          // Signed twice for different times, it would be a matter of taste which one counts.
          guard time == nil, let seconds = Self.seconds(value) else { throw .malformed }
          time = seconds
        case "v1":
          guard let signature = Self.bytes(value) else { throw .malformed }
          signatures.append(signature)
        default: continue
        }
      }
      guard let time else { throw .malformed }
      self.time = time
      self.signatures = signatures
    }

    /// Decimal digits as they are counted: no sign, no zero in front, nothing that two readers could read differently.
    private static func seconds(_ text: Substring) -> Int64? {
      guard 1...12 ~= text.utf8.count, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        text.utf8.first != 0x30
      else { return nil }
      return Int64(text)
    }

    /// 32 bytes in lower-case hexadecimal.
    private static func bytes(_ text: Substring) -> [UInt8]? {
      let digits = text.utf8.compactMap(hexValue)
      guard text.utf8.count == 64, digits.count == 64 else { return nil }
      return stride(from: 0, to: 64, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
      switch byte {
      case 0x30...0x39: byte - 0x30
      case 0x61...0x66: byte - 0x61 + 10
      default: nil
      }
    }
  }
}
