import Cryptography
import Domain
import Synchronization

/// The gateways that this process has seen with a good token. While the database is away they are still let in where
/// that is better than a data plane without configuration: a token that was revoked meanwhile could not have been.
final class KnownGateways: Sendable {
  struct Gateway: Sendable {
    let id: GatewayTokenID
    /// Of the token.
    let hash: [UInt8]
    /// Nil when it does not expire.
    let until: Timestamp?
  }

  private let gateways = Mutex<[[UInt8]: Gateway]>([:])

  func note(_ gateway: Gateway) {
    gateways.withLock { gateways in
      // As many as there can be at once, and as many again that were revoked.
      if gateways.count > 2 * Workspace.mostGatewayTokens { gateways = [:] }
      gateways[gateway.hash] = gateway
    }
  }

  /// The database says that nobody has this token.
  func forget(hash: [UInt8]) {
    gateways.withLock { $0[hash] = nil }
  }

  func gateway(hash: [UInt8], at now: Timestamp) -> GatewayTokenID? {
    gateways.withLock { $0[hash] }.flatMap { gateway in
      gateway.until.map { now < $0 } ?? true ? gateway.id : nil
    }
  }
}
