package import Domain
package import FoundationEssentials
import Postgres

/// What background jobs work on, one item at a time. The raw values are stored, are labels of metrics, and are the
/// contract's names.
package enum JobKind: String, CaseIterable, Sendable {
  /// A workspace's reports of requests, which become usage.
  case usage
  case stripeEvent = "stripe_event"
  /// A workspace's events, which become deliveries to its webhook endpoints.
  case webhookDispatch = "webhook_dispatch"
  /// One event on its way to one webhook endpoint.
  case webhookDelivery = "webhook_delivery"
  /// A project whose panic mode ends by itself.
  case panicMode = "panic_mode"
  /// A workspace whose state is saved.
  case snapshot
}

extension JobKind: StoredAsText {}

/// One item of a background job.
package struct JobItem: Hashable, Sendable {
  package let kind: JobKind
  /// Names the item among those of its kind.
  package let key: String
  /// The workspace that the item belongs to; nil when that is not known.
  package let organizationID: OrganizationID?
  /// Its UUID, where it has one.
  let id: UUID?

  package init(
    _ kind: JobKind, _ key: String, id: UUID? = nil, of organizationID: OrganizationID?
  ) {
    self.kind = kind
    self.key = key
    self.id = id
    self.organizationID = organizationID
  }

  /// A whole workspace.
  package init(_ kind: JobKind, _ organizationID: OrganizationID) {
    self.init(kind, "\(organizationID)", id: organizationID.uuid, of: organizationID)
  }
}

/// What became of one attempt at an item.
package enum AttemptOutcome: Sendable, Equatable {
  case done
  /// Nothing is wrong with the item: the database was away, or somebody else was faster. It counts for nothing.
  case passing
  /// It failed, and would fail again. The text is shown to platform admins, and holds no stored data.
  case failed(String)

  /// What an error says about the item that it was thrown for.
  package init(_ error: any Error) {
    switch error {
    case let error as PostgresError: self.init(error)
    case let error as CommandError: self.init(error)
    case is CancellationError: self = .passing
    default: self = .failed("it cannot be carried out: \(type(of: error))")
    }
  }

  private init(_ error: PostgresError) {
    if error.isTransient || error.kind == .cancelled || error.kind == .closed {
      self = .passing
    } else if case .decoding(let column, let expected, let found, _) = error.kind {
      self = .failed("the column \(column) holds \(found), not \(expected)")
    } else {
      // What the server says may quote stored data: that is for the log.
      self = .failed("the database refuses it\(error.sqlState.map { " (SQLSTATE \($0))" } ?? "")")
    }
  }

  private init(_ error: CommandError) {
    switch error {
    case .unavailable, .outcomeUnknown, .premiseOutdated, .idempotencyKeyInUse,
      .idempotencyKeyReused:
      self = .passing
    case .rejected(let rejection): self = .failed("refused: \(rejection)")
    case .failed: self = .failed("the database refuses it")
    case .workspaceStopped: self = .failed("the workspace's events cannot be folded")
    }
  }
}
