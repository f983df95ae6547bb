import JSON
package import Logging

/// Who a token speaks for, after everything about it was checked.
package struct VerifiedIdentity: Sendable, Equatable {
  /// The issuer, exactly as configured. Only together with it `subject` names somebody.
  package let issuer: String
  package let subject: String
  /// As the token spells it; nil when there is none, or when the issuer does not vouch for it.
  package let email: String?
  package let name: String?
  /// In Unix seconds, without leeway. Whoever caches the identity must drop it then.
  package let expiresAt: Int64
  /// In Unix seconds.
  package let issuedAt: Int64?
  /// The claim `jti`.
  package let tokenID: String?
  /// Counts how often the issuer's keys were seen to change in this process.
  package let keySetGeneration: UInt64
  let key: VerificationKey.ID
}

/// What a token claims that was checked in everything but its signature. Nothing of it may be believed before
/// ``verified()``.
package struct ClaimedIdentity: Sendable {
  fileprivate let identity: VerifiedIdentity
  fileprivate let key: VerificationKey
  fileprivate let signature: [UInt8]
  fileprivate let signedBytes: [UInt8]

  /// Checks the signature, which is what a verification costs in computation. Nil when it is not the key's.
  package func verified() -> VerifiedIdentity? {
    key.isValid(signature, for: signedBytes) ? identity : nil
  }
}

/// Why a token is not accepted.
package enum IdentityError: Error, Equatable, Sendable {
  /// Not the compact form of a signed JWT: some other kind of credential, or garbage.
  case notAToken
  /// The reason is for our log only: it repeats nothing of the token, and the caller must not see it.
  case refused(reason: String)
  /// The issuer's keys are not known yet and cannot be had now: nobody can say whether the token is good.
  case unavailable
}

/// Verifies access tokens (RFC 9068) and other JWTs (RFC 7519) of the configured OIDC issuers.
///
/// Nothing in a token chooses how it is verified: the issuer's configuration pins the algorithms, and `kid` must
/// name exactly one of the issuer's own keys, which is of one algorithm (RFC 8725, sections 3.1 and 3.10).
package final class IdentityVerifier: Sendable {
  private let sources: [String: KeySource]

  /// - Precondition: no two providers have the same issuer.
  ///
  /// - Parameters:
  ///   - now: what cool-downs are measured by.
  ///   - fetch: reads the documents that issuers publish.
  package init(
    providers: [IdentityProvider], logger: Logger = Logger(label: "signalbox.identity"),
    now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
    fetch: @escaping DocumentFetch = HTTPDocument.fetch
  ) {
    sources = Dictionary(
      uniqueKeysWithValues: providers.map {
        ($0.issuer, KeySource(provider: $0, logger: logger, now: now, fetch: fetch))
      })
  }

  /// Keeps the keys fresh, so that a key that its issuer withdraws is dropped here: once per interval, sooner after
  /// a failure. Returns only when its task is cancelled.
  package func run(every interval: Duration = .seconds(600)) async {
    await withDiscardingTaskGroup { group in
      group.addTask {
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
      }
      for source in sources.values where source.provider.keys.canChange {
        group.addTask { await source.keepFresh(every: interval) }
      }
    }
  }

  /// Whether a credential has the form of a signed JWT: three parts in base64url, of which only the signature may be
  /// empty. Cheap; it says nothing about what is in the parts.
  package static func looksLikeJWT(_ token: String) -> Bool {
    UnverifiedToken.encodedParts(of: token) != nil
  }

  /// The identity that a token proves at the given time: both steps at once.
  ///
  /// - Throws: `IdentityError`.
  package func verify(
    _ token: String, at unixSeconds: Int64
  ) async throws(IdentityError) -> VerifiedIdentity {
    guard let identity = try await claim(of: token, at: unixSeconds).verified() else {
      throw .refused(reason: "the signature is not the key's")
    }
    return identity
  }

  /// What a token claims at the given time, with the key that has to have signed it. Fetches the issuer's keys when they are
  /// not known yet, or when the token names one that is not known: this step may wait for seconds and works for none of them.
  ///
  /// - Throws: `IdentityError`.
  package func claim(
    of token: String, at unixSeconds: Int64
  ) async throws(IdentityError) -> ClaimedIdentity {
    let token = try UnverifiedToken(token)
    guard let issuer = token.payload["iss"]?.string, let source = sources[issuer],
      source.provider.issuer.isExactly(issuer)
    else { throw .refused(reason: "iss is not a configured issuer") }
    guard let algorithm = SignatureAlgorithm(rawValue: token.algorithm),
      source.provider.algorithms.contains(algorithm)
    else { throw .refused(reason: "alg is not one that is pinned for the issuer") }
    guard source.provider.accepts(type: token.type) else {
      throw .refused(reason: "typ is not one that is accepted of the issuer")
    }
    // Before the key is looked up: what is refused anyway must not cause a fetch.
    let claims = try TokenClaims(token.payload, for: source.provider, at: unixSeconds)
    let (key, generation) = try await source.key(named: token.keyName)
    guard key.algorithm == algorithm else { throw .refused(reason: "alg is not that of the key") }
    return ClaimedIdentity(
      identity: VerifiedIdentity(
        issuer: source.provider.issuer, subject: claims.subject, email: claims.email,
        name: claims.name, expiresAt: claims.expiresAt, issuedAt: claims.issuedAt,
        tokenID: claims.tokenID, keySetGeneration: generation, key: key.id),
      key: key, signature: token.signature, signedBytes: token.signedBytes)
  }

  /// Whether the issuer still publishes the key that verified the identity, as far as is known here (see `run`).
  /// Cheap, for every use of a cached identity. It does not look at `expiresAt`.
  package func isCurrent(_ identity: VerifiedIdentity) -> Bool {
    sources[identity.issuer]?.contains(identity.key, asOf: identity.keySetGeneration) ?? false
  }
}

extension IdentityProvider {
  fileprivate func accepts(type: String?) -> Bool {
    tokenTypes.contains { known in
      guard let known, let type else { return known == nil && type == nil }
      return known.isExactly(type)
    }
  }
}

extension String {
  /// Whether both have the same bytes. `==` takes canonically equivalent texts for one: U+212A, the Kelvin sign,
  /// for the letter K.
  func isExactly(_ other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
