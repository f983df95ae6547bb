import Domain
import Hummingbird

/// The door to everything under `/v1/dataplane`.
protocol GatewayDoor: Sendable {
  /// Finds out which data-plane gateway asks.
  ///
  /// - Parameter whileDatabaseIsAway: whether a token that this process knows passes when the database does not answer.
  /// - Throws: a ``Problem`` of 401 or 429; 403 for everybody who is no gateway; 503 when the database does not answer.
  func gateway(
    _ request: Request, _ context: some ExchangeContext, whileDatabaseIsAway: Bool
  ) async throws -> AuthenticatedGateway
}

/// Lets in who is known, as long as the database has not answered since the process began.
struct StandbyDoor: GatewayDoor {
  let knownGateways: KnownGateways

  func gateway(
    _ request: Request, _ context: some ExchangeContext, whileDatabaseIsAway: Bool
  ) async throws -> AuthenticatedGateway {
    // Whoever is not known may be good nevertheless: this is no refusal.
    guard let id = try knownGateways.gateway(request, context), whileDatabaseIsAway else {
      throw Problem.unavailable()
    }
    return AuthenticatedGateway(id: id, reads: nil)
  }
}

extension GatewayDoor {
  /// Finds out which gateway asks; none passes while the database is away.
  func gateway(
    _ request: Request, _ context: some ExchangeContext
  ) async throws -> AuthenticatedGateway {
    try await gateway(request, context, whileDatabaseIsAway: false)
  }
}
