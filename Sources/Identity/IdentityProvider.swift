import FoundationEssentials

/// An OIDC issuer whose tokens are accepted, and what is demanded of them.
package struct IdentityProvider: Sendable {
  /// Where the issuer's keys are.
  enum Keys: Sendable {
    case discovery(String)
    case url(String)
    /// A JWK Set that never changes.
    case fixed([UInt8])

    var canChange: Bool {
      if case .fixed = self { false } else { true }
    }
  }

  /// To be met to the byte by `iss`.
  package let issuer: String
  /// One of them must be in `aud`.
  package let audiences: [String]
  package let algorithms: Set<SignatureAlgorithm>
  /// In seconds: how far the issuer's clock may be from ours.
  package let leeway: Int64
  /// Whether an address counts as verified that comes without `email_verified`. Of an issuer whose users choose their own
  /// address, that would let them take the invitations of others.
  package let trustsEmail: Bool
  /// The `typ` of tokens that are accepted, in lower case and without `application/`; nil among them accepts a token
  /// without one. An ID token is of type `JWT`, and says who signed in to another application.
  package let tokenTypes: Set<String?>
  let keys: Keys

  /// The type of access tokens (RFC 9068, section 2.1).
  package static let accessTokenType = "at+jwt"

  /// - Parameters:
  ///   - jwksURL: where the keys are; nil to ask the issuer's discovery document.
  /// - Throws: `IdentityConfigurationError`.
  package init(
    issuer: String, audiences: [String], jwksURL: String? = nil,
    algorithms: Set<SignatureAlgorithm> = Set(SignatureAlgorithm.allCases), leeway: Int64 = 60,
    trustsEmail: Bool = false, tokenTypes: Set<String?> = [Self.accessTokenType]
  ) throws(IdentityConfigurationError) {
    guard !issuer.isEmpty else { throw .init("issuer", "is empty") }
    guard !audiences.isEmpty, !audiences.contains("") else {
      throw .init("audience", "is empty")
    }
    guard !algorithms.isEmpty else { throw .init("algorithms", "is empty") }
    guard !tokenTypes.isEmpty else { throw .init("token_types", "is empty") }
    guard (0...600).contains(leeway) else { throw .init("leeway", "is not 0 to 600 seconds") }
    if let jwksURL {
      guard Reach(of: jwksURL) != nil else { throw .init("jwks_url", Reach.demand) }
      keys = .url(jwksURL)
    } else {
      guard Reach(of: issuer) != nil, !issuer.contains("?") else {
        throw .init("issuer", "\(Reach.demand), without a query; else set jwks_url")
      }
      let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
      keys = .discovery(base + "/.well-known/openid-configuration")
    }
    self.issuer = issuer
    self.audiences = audiences
    self.algorithms = algorithms
    self.leeway = leeway
    self.trustsEmail = trustsEmail
    self.tokenTypes = tokenTypes
  }

  /// For an issuer that is in this process.
  init(
    issuer: String, audience: String, algorithm: SignatureAlgorithm, fixedKeys document: [UInt8]
  ) {
    self.issuer = issuer
    audiences = [audience]
    algorithms = [algorithm]
    leeway = 60
    trustsEmail = false
    tokenTypes = [Self.accessTokenType]
    keys = .fixed(document)
  }
}

/// What is wrong with the configuration of an issuer.
package struct IdentityConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The path of the member; empty for the whole.
  package let member: String
  package let reason: String

  init(_ member: String, _ reason: String) {
    self.member = member
    self.reason = reason
  }

  package var description: String { member.isEmpty ? reason : "\(member) \(reason)" }
}

/// Whom a URL that is fit for keys asks.
enum Reach {
  /// A server that TLS authenticates.
  case anywhere
  /// This machine, without TLS.
  case loopback

  static let demand = "is not an https URL (or http of this machine)"

  /// Nil for any other URL.
  init?(of text: String) {
    guard text.utf8.allSatisfy({ 0x21...0x7E ~= $0 }),
      let url = URL(string: text, encodingInvalidCharacters: false), let host = url.host(),
      !host.isEmpty, url.user() == nil, url.password() == nil, url.fragment() == nil
    else { return nil }
    switch (url.scheme?.lowercased(), host) {
    case ("https", _): self = .anywhere
    case ("http", "localhost"), ("http", "127.0.0.1"), ("http", "::1"), ("http", "[::1]"):
      self = .loopback
    default: return nil
    }
  }
}
