package import Domain
import HTTPTypes
import Hummingbird
package import Postgres

/// The one place where errors that know nothing of HTTP become problems.
extension ProblemKind {
  static let forbidden = ProblemKind(
    "forbidden", .forbidden, "Your role does not allow this",
    "You are a member of this organization, but your role lacks the permission that `detail` names. "
      + "An owner can give you another role.")
  static let slugTaken = ProblemKind(
    "slug-taken", .conflict, "The slug is taken",
    "Another organization has this slug. Choose another one, or leave it out to have one made.")
  static let archived = ProblemKind(
    "archived", .conflict, "What is archived takes no changes",
    "The resource, or the organization it belongs to, is archived. It can still be read.")
  static let idempotencyKeyInUse = ProblemKind(
    "idempotency-in-progress", .conflict, "A request with this Idempotency-Key is under way",
    "Wait for its answer, or send the request again a moment later: the first result is then replayed."
  )
  static let idempotencyKeyReused = ProblemKind(
    "idempotency-key-reused", .unprocessableContent,
    "The Idempotency-Key belongs to another request",
    "The key was used within the last 24 hours for a request with another method, path or body. "
      + "Use a new key for a new request.")
  static let outcomeUnknown = ProblemKind(
    "outcome-unknown", .serviceUnavailable, "Whether the change was made is not known",
    "The database was lost while committing. Repeat the request with the same `Idempotency-Key`: the "
      + "first result is then replayed, or the change is made now, exactly once.")
  static let workspaceStopped = ProblemKind(
    "workspace-stopped", .serviceUnavailable, "The organization takes no changes at the moment",
    "Its history cannot be read completely, so nothing is added to it until an operator has looked. "
      + "Nothing is lost.")

  /// The kinds that features add to the floor's.
  static let features: [ProblemKind] = [
    .forbidden, .slugTaken, .archived, .idempotencyKeyInUse, .idempotencyKeyReused, .outcomeUnknown,
    .workspaceStopped,
  ]
}

extension Problem {
  static func forbidden(_ permission: Permission, _ role: Role) -> Problem {
    Problem(.forbidden, "\(permission.rawValue) is not among the permissions of \(role.rawValue)")
  }
}

extension CommandError: ProblemConvertible {
  package var problem: Problem {
    switch self {
    case .rejected(let rejection): rejection.problem
    case .idempotencyKeyInUse:
      Problem(.idempotencyKeyInUse, headers: [.retryAfter: "1"])
    case .idempotencyKeyReused: Problem(.idempotencyKeyReused)
    case .premiseOutdated, .unavailable: .unavailable()
    case .outcomeUnknown: .unavailable(.outcomeUnknown)
    case .workspaceStopped: .unavailable(.workspaceStopped, retryAfter: 60)
    case .failed: Problem(.internalError)
    }
  }
}

extension Rejection: ProblemConvertible {
  package var problem: Problem {
    switch self {
    case .notFound: Problem(.notFound)
    case .slugTaken(let slug):
      Problem(.slugTaken, errors: [.init(.pointer("/slug"), "taken", "\(slug) is taken")])
    case .archived(let kind): Problem(.archived, "the \(kind.rawValue) is archived")
    case .staleVersion(_, let current):
      Problem(
        .preconditionFailed, "the current version is \(current)",
        headers: [.eTag: ETag(version: current).description])
    }
  }
}

extension PostgresError: ProblemConvertible {
  package var problem: Problem {
    isTransient ? .unavailable() : Problem(.internalError)
  }
}
