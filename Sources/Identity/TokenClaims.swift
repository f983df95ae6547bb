import JSON

/// The claims of a token (RFC 7519, section 4.1) that hold for a provider at a time.
struct TokenClaims {
  let subject: String
  let email: String?
  let name: String?
  let expiresAt: Int64
  let issuedAt: Int64?
  let tokenID: String?

  private static let maximumTextSize = 255

  /// - Parameter now: in Unix seconds.
  /// - Throws: `refused`.
  init(
    _ payload: [String: JSONValue], for provider: IdentityProvider, at now: Int64
  ) throws(IdentityError) {
    try Self.checkAudience(payload["aud"], provider)
    guard let expiresAt = try Self.time("exp", in: payload) else {
      throw .refused(reason: "exp is missing")
    }
    guard now - provider.leeway < expiresAt else { throw .refused(reason: "exp has passed") }
    for name in ["nbf", "iat"] {
      guard try Self.time(name, in: payload) ?? 0 <= now + provider.leeway else {
        throw .refused(reason: "\(name) is in the future")
      }
    }
    guard let subject = Self.text(payload["sub"]) else {
      throw .refused(reason: "sub is not a text of 1 to \(Self.maximumTextSize) bytes")
    }
    if let tokenID = payload["jti"], Self.text(tokenID) == nil {
      throw .refused(reason: "jti is not a text of 1 to \(Self.maximumTextSize) bytes")
    }
    self.subject = subject
    self.expiresAt = expiresAt
    issuedAt = try Self.time("iat", in: payload)
    tokenID = Self.text(payload["jti"])
    // These only describe the subject: without them the token is as good.
    name = Self.text(payload["name"])
    let isVouchedFor = Self.isVouchedFor(payload["email_verified"], by: provider)
    email = isVouchedFor ? Self.text(payload["email"]) : nil
  }

  private static func checkAudience(
    _ claim: JSONValue?, _ provider: IdentityProvider
  ) throws(IdentityError) {
    let audiences = claim?.array ?? claim.map { [$0] } ?? []
    let texts = audiences.compactMap(\.string)
    guard texts.count == audiences.count else { throw .refused(reason: "aud is not text") }
    guard texts.contains(where: { provider.audiences.contains(where: $0.isExactly) }) else {
      throw .refused(reason: "aud does not contain our audience")
    }
  }

  /// A NumericDate (RFC 7519, section 2) in whole seconds; nil when absent.
  private static func time(
    _ name: String, in payload: [String: JSONValue]
  ) throws(IdentityError) -> Int64? {
    switch payload[name] {
    case nil: return nil
    case .integer(let seconds) where seconds >= 0: return seconds
    case .real(let seconds) where seconds >= 0 && seconds < 0x1p53: return Int64(seconds)
    default: throw .refused(reason: "\(name) is not a time")
    }
  }

  private static func text(_ claim: JSONValue?) -> String? {
    guard let text = claim?.string, !text.isEmpty, text.utf8.count <= maximumTextSize,
      !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
    else { return nil }
    return text
  }

  /// Some issuers write the boolean as a text. An issuer that says nothing has verified nothing, unless the configuration
  /// says that it always has.
  private static func isVouchedFor(_ claim: JSONValue?, by provider: IdentityProvider) -> Bool {
    guard let claim else { return provider.trustsEmail }
    return claim == .bool(true) || claim == .string("true")
  }
}
