import Cryptography
import JSON

/// A JWT in compact form (RFC 7515, section 7.1) that was read strictly, and of which nothing is believed yet.
struct UnverifiedToken {
  /// Access tokens that list many groups grow long.
  static let maximumSize = 16 * 1024

  let algorithm: String
  /// See ``typeName(_:)``; nil when the header has none.
  let type: String?
  let keyName: String
  let payload: [String: JSONValue]
  let signedBytes: [UInt8]
  let signature: [UInt8]

  /// - Throws: `notAToken`, or `refused` for what no issuer's configuration can allow.
  init(_ token: String) throws(IdentityError) {
    guard token.utf8.count <= Self.maximumSize else {
      throw .refused(reason: "longer than \(Self.maximumSize) bytes")
    }
    guard let parts = Self.encodedParts(of: token) else { throw .notAToken }
    guard let header = Base64URL.decode(parts.header),
      let payload = Base64URL.decode(parts.payload),
      let signature = Base64URL.decode(parts.signature)
    else { throw .refused(reason: "a part is not canonical base64url") }
    let members = try Self.object(header, called: "header")
    algorithm = try Self.algorithm(members)
    type = try Self.type(members)
    keyName = try Self.keyName(members)
    self.payload = try Self.object(payload, called: "payload")
    self.signature = signature
    signedBytes = Array(token.utf8.prefix(parts.header.utf8.count + 1 + parts.payload.utf8.count))
  }

  /// The three parts, undecoded; nil for what is no JWT.
  static func encodedParts(
    of token: String
  ) -> (header: Substring, payload: Substring, signature: Substring)? {
    let isBase64URL = token.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: "."):
        true
      default: false
      }
    }
    guard isBase64URL else { return nil }
    let parts = token.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 3, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
    return (parts[0], parts[1], parts[2])
  }

  private static func object(
    _ bytes: [UInt8], called part: String
  ) throws(IdentityError) -> [String: JSONValue] {
    do throws(JSONSyntaxError) {
      if let object = try JSONValue.parse(bytes, maximumDepth: 8).object { return object }
    } catch {
      throw .refused(reason: "the \(part) is not strict JSON: \(error)")
    }
    throw .refused(reason: "the \(part) is not a JSON object")
  }

  private static func algorithm(_ header: [String: JSONValue]) throws(IdentityError) -> String {
    // Extensions that we would have to understand, and keys that the token brings along itself (RFC 7515, section 4.1).
    for name in ["crit", "jku", "jwk", "x5u", "x5c"] where header[name] != nil {
      throw .refused(reason: "the header has \(name)")
    }
    guard let algorithm = header["alg"]?.string else { throw .refused(reason: "alg is no string") }
    return algorithm
  }

  private static func type(_ header: [String: JSONValue]) throws(IdentityError) -> String? {
    guard let member = header["typ"] else { return nil }
    guard let type = member.string else { throw .refused(reason: "typ is no string") }
    return typeName(type)
  }

  /// A type as types are compared: without regard to case, and with `application/` left out where no other slash follows
  /// (RFC 7515, section 4.1.9). Only ASCII letters have a case here: no other letter turns into one of them.
  static func typeName(_ text: String) -> String {
    let lower = String(
      decoding: text.utf8.map { 0x41...0x5A ~= $0 ? $0 + 0x20 : $0 }, as: UTF8.self)
    let prefix = "application/"
    guard lower.hasPrefix(prefix) else { return lower }
    let rest = lower.dropFirst(prefix.count)
    return rest.utf8.contains(UInt8(ascii: "/")) ? lower : String(rest)
  }

  private static func keyName(_ header: [String: JSONValue]) throws(IdentityError) -> String {
    guard let name = header["kid"]?.string, !name.isEmpty else {
      throw .refused(reason: "kid is no string, or empty")
    }
    return name
  }
}
