import Domain
import Hummingbird
import Synchronization

/// The gateways that have a good token as far as this process knows. While the database is away they are still let in
/// where that is better than a data plane without configuration: a token that was revoked meanwhile could not have been.
///
/// It keeps no tokens, only their hashes, and may be saved.
final class KnownGateways: Sendable {
  struct Gateway: Sendable, Hashable {
    let id: GatewayTokenID
    /// Of the token, under ``Key``.
    let hash: [UInt8]
    /// Nil when it does not expire.
    var until: Timestamp?
  }

  /// What tokens are hashed under here.
  enum Key: Sendable {
    /// The pepper that was given from outside: the hashes are those of the database, and all gateways are known.
    case pepper([UInt8])
    /// 32 random bytes made for this and nothing else: only gateways are known that were seen here.
    case own([UInt8])
  }

  let key: Key
  private let hasher: TokenHasher
  private let gateways = Mutex<[[UInt8]: Gateway]>([:])

  init(_ key: Key, _ gateways: Set<Gateway> = []) {
    self.key = key
    switch key {
    case .pepper(let bytes), .own(let bytes): hasher = TokenHasher(pepper: bytes)
    }
    self.gateways.withLock { known in
      for gateway in gateways { known[gateway.hash] = gateway }
    }
  }

  var all: Set<Gateway> { gateways.withLock { Set($0.values) } }

  func note(_ token: String, of id: GatewayTokenID, until: Timestamp?) {
    let gateway = Gateway(id: id, hash: hasher.hash(token), until: until)
    gateways.withLock { gateways in
      // As many as there can be at once, and as many again that were revoked.
      if gateways.count > 2 * Workspace.mostGatewayTokens { gateways = [:] }
      gateways[gateway.hash] = gateway
    }
  }

  /// The database says that nobody has this token.
  func forget(_ token: String) {
    let hash = hasher.hash(token)
    gateways.withLock { $0[hash] = nil }
  }

  /// The database says that these, and no others, are good; the hashes are its own.
  func learn(_ good: [Gateway]) {
    gateways.withLock { gateways in
      switch key {
      case .pepper:
        gateways = Dictionary(good.map { ($0.hash, $0) }) { first, _ in first }
      case .own:
        let ends = Dictionary(good.map { ($0.id, $0.until) }) { first, _ in first }
        gateways = gateways.compactMapValues { gateway in
          guard let until = ends[gateway.id] else { return nil }
          return Gateway(id: gateway.id, hash: gateway.hash, until: until)
        }
      }
    }
  }

  /// The gateway that sends a request while the database does not answer.
  ///
  /// - Returns: nil when it is not known here, which says nothing about its token.
  /// - Throws: a ``Problem`` of 401 when the request shows no token at all.
  func gateway(
    _ request: Request, _ context: some ExchangeContext
  ) throws(Problem) -> GatewayTokenID? {
    guard let id = gateway(token: try BearerToken(request.headers).value, at: .now) else {
      return nil
    }
    context.exchange.annotate(actor: id.description)
    return id
  }

  func gateway(token: String, at now: Timestamp) -> GatewayTokenID? {
    let hash = hasher.hash(token)
    return gateways.withLock { $0[hash] }.flatMap { gateway in
      gateway.until.map { now < $0 } ?? true ? gateway.id : nil
    }
  }
}
