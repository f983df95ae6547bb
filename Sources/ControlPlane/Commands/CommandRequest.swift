package import Domain
package import FoundationEssentials

/// A command with everything that deciding it needs: who asks, when, and what they expect. Nothing else is looked up.
package struct CommandRequest: Sendable {
  /// Names this attempt; every event that it causes carries it.
  package let commandID: UUID
  package let organizationID: OrganizationID
  package let command: WorkspaceCommand
  /// From If-Match; nil where the operation asks for none.
  package let expected: ExpectedVersion?
  package let actor: Actor
  /// Whether the actor asks for the platform, which needs no membership.
  package let isByPlatform: Bool
  /// What the caller's right to ask rests on: checked again inside the transaction.
  package let premises: [Premise]
  package let occurredAt: Timestamp
  package let origin: CommandOrigin
  package let idempotency: IdempotencyClaim?
  /// Decided like any other command, and then forgotten.
  package let isDryRun: Bool
  /// When its caller stops waiting: a command that no batch has taken by then is not carried out.
  package let deadline: ContinuousClock.Instant

  package init(
    commandID: UUID, organizationID: OrganizationID, command: WorkspaceCommand,
    expected: ExpectedVersion? = nil, actor: Actor, isByPlatform: Bool = false,
    premises: [Premise] = [], occurredAt: Timestamp,
    origin: CommandOrigin = CommandOrigin(), idempotency: IdempotencyClaim? = nil,
    isDryRun: Bool = false, deadline: ContinuousClock.Instant = .now + Self.defaultPatience
  ) {
    self.commandID = commandID
    self.organizationID = organizationID
    self.command = command
    self.expected = expected
    self.actor = actor
    self.isByPlatform = isByPlatform
    self.premises = premises
    self.occurredAt = occurredAt
    self.origin = origin
    self.idempotency = idempotency
    self.isDryRun = isDryRun
    self.deadline = deadline
  }

  /// How long work that nobody waits for over HTTP waits for its commands.
  package static let defaultPatience: Duration = .seconds(10)
}

/// Where a command came from: evidence for the audit.
package struct CommandOrigin: Sendable {
  package let requestID: String?
  package let address: String?
  package let userAgent: String?

  package init(requestID: String? = nil, address: String? = nil, userAgent: String? = nil) {
    self.requestID = requestID
    self.address = address
    self.userAgent = userAgent
  }
}

/// What became of a command that was carried out.
package struct CommandOutcome: Sendable {
  package let status: Int
  /// The resource's version for the ETag; absent for a dry run.
  package let version: Int64?
  package let location: String?
  package let body: [UInt8]
  /// The position of the command's last event; nil when it changed nothing.
  package let position: Int64?
  /// The reply is the stored one of an earlier request with the same Idempotency-Key.
  package let isReplay: Bool
  /// What a stored reply showed, as ``ReplySecretVault`` sealed it; nil for a reply that is not a replay.
  package var sealedSecret: [UInt8]?
}

/// Why a command was not carried out, or not known to be.
package enum CommandError: Error, Sendable {
  /// Decided, and refused.
  case rejected(Rejection)
  /// The Idempotency-Key was used for a different request before.
  case idempotencyKeyReused
  /// A request with the same Idempotency-Key is under way.
  case idempotencyKeyInUse
  /// Something that the caller's right rests on has changed since it was looked at: look again.
  case premiseOutdated
  /// The database could not be reached or refused; nothing was appended.
  case unavailable
  /// The connection was lost while committing, and the truth could not be found out in time.
  case outcomeUnknown
  /// The workspace's events cannot be folded: it takes no commands until that is mended.
  case workspaceStopped(reason: String)
  /// This command, and only this one, made the database refuse the transaction.
  case failed(reason: String)
}
