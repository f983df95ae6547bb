import Cryptography
import JSON

/// A JWT in compact form (RFC 7515, section 7.1) that was read strictly, and of which nothing is believed yet.
struct UnverifiedToken {
  static let maximumSize = 8 * 1024

  let algorithm: String
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
    try Self.checkType(members)
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

  private static func checkType(_ header: [String: JSONValue]) throws(IdentityError) {
    guard let member = header["typ"] else { return }
    let accepted = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"]
    guard let type = member.string?.lowercased(), accepted.contains(where: type.isExactly) else {
      throw .refused(reason: "typ is not that of an access token")
    }
  }

  private static func keyName(_ header: [String: JSONValue]) throws(IdentityError) -> String {
    guard let name = header["kid"]?.string, !name.isEmpty else {
      throw .refused(reason: "kid is no string, or empty")
    }
    return name
  }
}
