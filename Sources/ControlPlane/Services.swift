import Cryptography
import Domain
import FoundationEssentials
import Hummingbird
import Postgres

/// What routes work with. One way in (commands), one way out (reads).
package struct Services: Sendable {
  package let authorizer: Authorizer
  package let commands: CommandHandler
  package let reads: TableReads
  package let users: UserDirectory
  let personalData: PersonalData
  let invitationMail: InvitationMail
  package let hasher: TokenHasher
  /// Gateways have its pepper, which recognises nothing else.
  package let apiKeyHasher: TokenHasher
  let plans: PlanCatalog
  package let requestLogs: RequestLogStore
  let limiter: RateLimiter
  let appendLimit: AppendLimit
  package let vault: ProviderKeyVault
  let webhookSecrets: WebhookSecretVault
  let longWork: LongWork
  let compiledRules: CompiledRules
  /// Bodies may hold secrets: what is kept of a request to tell it from others is a keyed hash.
  let requestHasher: HMACSHA256
  /// What stored replies show again.
  let replySecrets: ReplySecretVault
  package let cursors: CursorSealer
  package let catalogue: ProblemCatalogue

  /// - Parameter hasher: cursors are sealed under a key derived from its pepper.
  init(
    authorizer: Authorizer, commands: CommandHandler, reads: TableReads,
    users: UserDirectory, personalData: PersonalData, invitationMail: InvitationMail,
    hasher: TokenHasher, plans: PlanCatalog, requestLogs: RequestLogStore, limiter: RateLimiter,
    appendLimit: AppendLimit, vault: ProviderKeyVault, webhookSecrets: WebhookSecretVault,
    longWork: LongWork, compiledRules: CompiledRules
  ) {
    self.authorizer = authorizer
    self.users = users
    self.personalData = personalData
    self.invitationMail = invitationMail
    self.hasher = hasher
    apiKeyHasher = TokenHasher(pepper: hasher.derivedKey(for: "api-keys"))
    self.plans = plans
    self.requestLogs = requestLogs
    self.limiter = limiter
    self.appendLimit = appendLimit
    self.vault = vault
    self.webhookSecrets = webhookSecrets
    self.longWork = longWork
    self.compiledRules = compiledRules
    requestHasher = HMACSHA256(key: hasher.derivedKey(for: "idempotent-requests"))
    replySecrets = ReplySecretVault(hasher: hasher)
    self.commands = commands
    self.reads = reads
    cursors = CursorSealer(key: hasher.derivedKey(for: "cursors"))
    catalogue = ProblemCatalogue(ProblemKind.features)
  }
}

/// The routes of one feature.
protocol RouteGroup {
  func add(to router: APIRouter)
}

extension Membership {
  /// One of the workspace's resources as it is sent.
  ///
  /// - Throws: a ``Problem`` of 404 when there is none.
  func resource(
    _ table: ReadKey.Table, _ id: UUID, _ query: @autoclosure () -> Query,
    _ render: (Row) throws -> RenderedResource
  ) async throws -> RenderedResource {
    let key = ReadKey(
      principalID: principal.id, organizationID: organizationID, table: table, rowID: id)
    guard let resource = try await reads.row(key, query(), render) else {
      throw Problem(.notFound)
    }
    return resource.value
  }
}
