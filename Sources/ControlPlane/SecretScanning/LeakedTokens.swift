import Cryptography
import Domain
import FoundationEssentials
import Postgres

/// Finds out whose the tokens are that somebody found, of whatever kind and workspace, and has them revoked.
struct LeakedTokens {
  /// How many are revoked at a time.
  private static let chunk = 100

  let services: Services
  let context: APIContext

  /// Revokes those that are ours. Repeating it changes nothing.
  ///
  /// - Returns: the tokens that are ours, those that were revoked before included.
  /// - Throws: ``CommandError`` when one of them could not be revoked, after all others were; ``PostgresError``.
  func revoke(_ alerts: [SecretAlert]) async throws -> Set<String> {
    let alerts = Dictionary(alerts.map { ($0.token, $0) }) { first, _ in first }
    let owned = try await owned(alerts)
    var failure: CommandError?
    for start in stride(from: 0, to: owned.count, by: Self.chunk) {
      let chunk = owned[start..<min(start + Self.chunk, owned.count)]
      await withTaskGroup(of: CommandError?.self) { group in
        for token in chunk { group.addTask { await revoke(token) } }
        for await error in group { failure = failure ?? error }
      }
    }
    if let failure { throw failure }
    return Set(owned.map(\.token))
  }

  private struct Owned: Sendable {
    let token: String
    let stream: OrganizationID
    let command: WorkspaceCommand
  }

  /// - Returns: why it could not be revoked.
  private func revoke(_ owned: Owned) async -> CommandError? {
    let now = Timestamp.now
    do throws(CommandError) {
      _ = try await services.commands.handle(
        CommandRequest(
          commandID: Identifiers.next(at: now), organizationID: owned.stream,
          command: owned.command, actor: .system, occurredAt: now,
          origin: CommandOrigin(
            requestID: context.requestID, address: context.exchange.clientAddress,
            userAgent: context.exchange.userAgent)))
      return nil
    } catch {
      return error
    }
  }

  private func owned(_ alerts: [String: SecretAlert]) async throws -> [Owned] {
    let reads = try await services.reads.settle(deadline: context.deadline)
    return try await apiKeys(among: alerts, reads) + serviceTokens(among: alerts, reads)
      + personalTokens(among: alerts, reads)
  }

  private func apiKeys(
    among alerts: [String: SecretAlert], _ reads: Reads
  ) async throws -> [Owned] {
    let formats = Project.Environment.allCases.map { TokenFormat.apiKey($0) }
    let tokens = hashed(alerts, as: formats, by: services.apiKeyHasher)
    guard !tokens.isEmpty else { return [] }
    let rows = try await reads.rows(
      APIKeyLookupTable.keys(lookupIDs: tokens.keys.map { UUID(leading: $0) }))
    return try rows.compactMap { row throws in
      let (organization, project, key, hash) = try row.decode((UUID, UUID, UUID, [UInt8]).self)
      return tokens[hash].map { alert in
        Owned(
          token: alert.token, stream: OrganizationID(organization),
          command: .apiKey(
            .revoke(APIKeyID(key), project: ProjectID(project), reason: ExactText(alert.reason))))
      }
    }
  }

  private func serviceTokens(
    among alerts: [String: SecretAlert], _ reads: Reads
  ) async throws -> [Owned] {
    let tokens = hashed(alerts, as: [.service], by: services.hasher)
    guard !tokens.isEmpty else { return [] }
    let rows = try await reads.rows(ServiceTokenTable.tokens(hashes: Array(tokens.keys)))
    return try rows.flatMap { row throws in
      let (organization, id, hash, former) = try row.decode((UUID, UUID, [UInt8], [UInt8]?).self)
      return [hash, former].compactMap { $0.flatMap { tokens[$0] } }.map { alert in
        Owned(
          token: alert.token, stream: OrganizationID(organization),
          command: .serviceToken(.revoke(ServiceTokenID(id))))
      }
    }
  }

  private func personalTokens(
    among alerts: [String: SecretAlert], _ reads: Reads
  ) async throws -> [Owned] {
    let tokens = hashed(alerts, as: [.personalAccess], by: services.hasher)
    guard !tokens.isEmpty else { return [] }
    let rows = try await reads.rows(PersonalAccessTokenTable.tokens(hashes: Array(tokens.keys)))
    return try rows.compactMap { row throws in
      let (user, id, hash) = try row.decode((UUID, UUID, [UInt8]).self)
      return tokens[hash].map { alert in
        Owned(
          token: alert.token, stream: .account(of: UserID(user)),
          command: .account(.revokeToken(PersonalAccessTokenID(id))))
      }
    }
  }

  /// Those of a format, checksum included, by their hashes.
  private func hashed(
    _ alerts: [String: SecretAlert], as formats: [TokenFormat], by hasher: TokenHasher
  ) -> [[UInt8]: SecretAlert] {
    let ours = alerts.filter { token, _ in formats.contains { $0.matches(token) } }
    return Dictionary(uniqueKeysWithValues: ours.map { (hasher.hash($0.key), $0.value) })
  }
}
