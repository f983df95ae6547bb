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

  static let personRequired = ProblemKind(
    "person-required", .forbidden, "Only a person can do this",
    "A service token acts for a workspace, not for somebody. Sign in as a person.")
  static let dataPlaneOnly = ProblemKind(
    "data-plane-only", .forbidden, "A gateway's token is good for the data plane only",
    "With a token that begins with `sbg_` you reach `/v1/dataplane`, and nothing else.")
  static let gatewayRequired = ProblemKind(
    "gateway-required", .forbidden, "Only a gateway can do this",
    "What is under `/v1/dataplane` is for data-plane gateways: a platform admin makes tokens for them with "
      + "`POST /v1/platform/gateway-tokens`.")
  static let identityProviderUnavailable = ProblemKind(
    "identity-provider-unavailable", .serviceUnavailable, "The identity provider does not answer",
    "The keys that your token was signed with cannot be fetched at the moment. Try again.")
  static let lastOwner = ProblemKind(
    "last-owner", .conflict, "There would be no owner left",
    "An organization always has at least one owner. Make somebody else an owner first.")
  static let roleNotYours = ProblemKind(
    "role-not-yours", .forbidden, "You cannot give or take this role",
    "The role in question may do things that yours may not. Ask an owner.")
  static let alreadyMember = ProblemKind(
    "already-member", .conflict, "The person is a member already",
    "Change their role instead.")
  static let alreadyInvited = ProblemKind(
    "already-invited", .conflict, "The address has an open invitation",
    "Send it again, or revoke it first.")
  static let invitationClosed = ProblemKind(
    "invitation-closed", .conflict, "The invitation is not open any more",
    "It was accepted, declined or revoked, or has expired: `detail` says which. Ask for a new one.")
  static let invitationForAnotherAddress = ProblemKind(
    "invitation-for-another-address", .forbidden, "The invitation is for another address",
    "Sign in with the e-mail address that the invitation was sent to.")
  static let tokenInvalid = ProblemKind(
    "token-invalid", .conflict, "The token is revoked or has expired",
    "It cannot be rotated any more. Create another one.")
  static let apiKeyClosed = ProblemKind(
    "api-key-closed", .conflict, "The key takes no changes any more",
    "It is revoked, has expired, or another key has taken its place: `detail` says which. Create another one."
  )
  static let tooManyTokens = ProblemKind(
    "too-many-tokens", .conflict, "You have too many tokens",
    "Revoke those that you do not need.")
  static let planLimitExceeded = ProblemKind(
    "plan-limit-exceeded", .init(code: 402, reasonPhrase: "Payment Required"),
    "The plan allows no more",
    "`limit` names what is limited, `allowed` and `usage` how much there may be and is, `plan` the plan that "
      + "you are on, and `upgrade` the smallest one that would allow it, if any does.")
  static let planFeatureMissing = ProblemKind(
    "plan-feature-missing", .init(code: 402, reasonPhrase: "Payment Required"),
    "The plan does not have it",
    "`feature` names what is asked for, `plan` the plan that you are on, and `upgrade` the smallest one that "
      + "has it, if any does.")
  static let planProviderMissing = ProblemKind(
    "plan-provider-missing", .init(code: 402, reasonPhrase: "Payment Required"),
    "The plan does not have the provider",
    "`provider` names what is asked for, `plan` the plan that you are on, and `upgrade` the smallest one that "
      + "has it, if any does. `GET /v1/plans` lists the providers of each.")
  static let paymentRequired = ProblemKind(
    "payment-required", .init(code: 402, reasonPhrase: "Payment Required"),
    "The plan has to be paid for first",
    "`plan` is the plan that you are on, `upgrade` the one that you asked for. Send a POST request to the path in "
      + "`checkout` to subscribe to it; when there is a subscription already, it is changed in the billing portal, which "
      + "`portal` names instead.")
  static let planGivenByPlatform = ProblemKind(
    "plan-given-by-platform", .forbidden, "Only the platform gives a larger plan",
    "Nothing is sold on this server. Ask its operator for the plan; you may always move to a smaller one yourself."
  )
  static let tooManyProviderKeys = ProblemKind(
    "too-many-provider-keys", .conflict, "The project has too many provider keys",
    "Delete those that it does not need.")
  static let tooManyWebhookEndpoints = ProblemKind(
    "too-many-webhook-endpoints", .conflict, "The organization has too many webhook endpoints",
    "Delete those that it does not need.")
  static let duplicateRule = ProblemKind(
    "duplicate-rule", .conflict, "There is such a rule already",
    "`rule_id` names the other one, which is about the same, in the same place, and says the same.")
  static let contradictoryRule = ProblemKind(
    "contradictory-rule", .conflict, "Another rule says the opposite",
    "`rule_id` names the other one, which is about the same, in the same place. Change it, or delete it first."
  )
  static let illegalTransition = ProblemKind(
    "illegal-transition", .conflict, "Onboarding does not go there from here",
    "`allowed` lists what may be asked for now, `missing` the steps that are not done.")

  static let signatureInvalid = ProblemKind(
    "signature-invalid", .badRequest, "The signature is not valid",
    "The header fields that name the key and carry the signature are missing, or the body was not signed with that key."
  )

  static let billingNotConfigured = ProblemKind(
    "billing-not-configured", .serviceUnavailable, "Nothing can be bought here yet",
    "This server has no key for Stripe, or one that Stripe does not take, or a price is not set up. Its operator "
      + "has to see to it; trying again does not help before.")
  static let billingUnavailable = ProblemKind(
    "billing-unavailable", .serviceUnavailable, "Stripe does not answer",
    "Try again after `Retry-After` seconds; with the same `Idempotency-Key` there is one session at most."
  )
  static let alreadySubscribed = ProblemKind(
    "already-subscribed", .conflict, "There is a subscription already",
    "It is changed or ended in the billing portal: `POST …/billing/portal`.")
  static let noBillingCustomer = ProblemKind(
    "no-billing-customer", .conflict, "Nothing was bought yet",
    "There is nothing to look after: the portal is there from the first purchase on.")

  static let stripeEventFinished = ProblemKind(
    "stripe-event-finished", .conflict, "There is nothing left to do about the event",
    "It has taken effect, or asks for nothing: `detail` says which. Trying it again would change nothing."
  )

  static let rateLimited = ProblemKind(
    "rate-limited", .tooManyRequests, "Too many requests",
    "Wait for as long as `Retry-After` says. `RateLimit-Policy` lists your limits, `RateLimit` where you "
      + "stand with the tightest of them.")

  static let tooManyRunning = ProblemKind(
    "too-many-running", .tooManyRequests, "Too many of these are running",
    "A workspace has one replay and two exports at a time, and a server a few of all workspaces. `detail` says which "
      + "of the two it is. Wait until yours has ended, or for as long as `Retry-After` says.")

  /// The kinds that features add to the floor's.
  static let features: [ProblemKind] = [
    .forbidden, .slugTaken, .archived, .idempotencyKeyInUse, .idempotencyKeyReused, .outcomeUnknown,
    .workspaceStopped, .personRequired, .dataPlaneOnly, .gatewayRequired,
    .identityProviderUnavailable, .lastOwner, .roleNotYours,
    .alreadyMember, .alreadyInvited, .invitationClosed, .invitationForAnotherAddress,
    .tokenInvalid, .apiKeyClosed, .tooManyTokens, .planLimitExceeded, .planFeatureMissing,
    .planProviderMissing, .paymentRequired, .planGivenByPlatform, .tooManyProviderKeys,
    .tooManyWebhookEndpoints, .duplicateRule,
    .contradictoryRule, .illegalTransition, .signatureInvalid, .billingNotConfigured,
    .billingUnavailable, .alreadySubscribed, .noBillingCustomer, .stripeEventFinished, .rateLimited,
    .tooManyRunning,
  ]
}

extension Problem {
  static var platformOnly: Problem { Problem(.forbidden, "only the platform may do this") }

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
    case .lastOwner: Problem(.lastOwner)
    case .roleNotYours(let role):
      Problem(.roleNotYours, "\(role.rawValue) may do what your role may not")
    case .alreadyMember: Problem(.alreadyMember)
    case .alreadyInvited: Problem(.alreadyInvited)
    case .invitationClosed(let status):
      Problem(.invitationClosed, "the invitation is \(status.rawValue)")
    case .tokenInvalid: Problem(.tokenInvalid)
    case .apiKeyClosed(let closure): Problem(.apiKeyClosed, "the key is \(closure.rawValue)")
    // Secrets are random: two that are the same say that something is wrong with this server.
    case .secretUsed: Problem(.internalError)
    case .tooManyTokens(let most): Problem(.tooManyTokens, "\(most) is the most")
    case .limitExceeded(let exceeded): exceeded.problem
    case .featureMissing(let missing): missing.problem
    case .providerMissing(let missing): missing.problem
    case .paymentRequired(let missing): missing.problem(of: nil)
    case .planGivenByPlatform(let tier):
      Problem(.planGivenByPlatform, "only the platform changes the plan to \(tier.rawValue)")
    case .personRequired: Problem(.personRequired)
    case .tooManyProviderKeys(let most): Problem(.tooManyProviderKeys, "\(most) is the most")
    case .tooManyWebhookEndpoints(let most):
      Problem(.tooManyWebhookEndpoints, "\(most) is the most")
    case .versionRequired(let kind):
      Problem(
        .preconditionRequired,
        "there is a \(kind.rawValue) already: If-Match says that you mean to replace it")
    case .ruleExists(let id, let isContradiction):
      Problem(
        isContradiction ? .contradictoryRule : .duplicateRule,
        "\(id) is about the same, in the same place", members: ["rule_id": .string(id.description)])
    // Only Stripe's events meet it, and they are tried again.
    case .subscriptionUnclear: .unavailable()
    case .ruleExpired(let index):
      Problem.invalid([
        .init(
          .pointer(index.map { "/rules/\($0)/expires_at" } ?? "/expires_at"), "past",
          "must be in the future: a rule that has expired never matches. Delete it instead")
      ])
    case .illegalTransition(let transition, let allowed, let missing):
      Problem(
        .illegalTransition, "\(transition.rawValue) is not possible now",
        members: [
          "allowed": .strings(allowed.map(\.rawValue)),
          "missing": .strings(missing.map(\.rawValue)),
        ])
    case .staleVersion(_, let current):
      Problem(
        .preconditionFailed, "the current version is \(current)",
        headers: [.eTag: ETag(version: current).description])
    }
  }
}

extension PaymentRequired {
  /// - Parameter organization: whose plan it is; with it, the problem says where to pay.
  package func problem(of organization: OrganizationID?) -> Problem {
    var members: [String: Problem.Member] = [
      "plan": .string(plan.rawValue), "upgrade": .string(upgrade.rawValue),
    ]
    if let organization {
      let path = "/v1/organizations/\(organization)"
      if isSubscribed {
        members["portal"] = .string("\(path)/billing/portal")
      } else {
        members["checkout"] = .string("\(path)/plan/checkout")
      }
    }
    return Problem(
      .paymentRequired,
      isSubscribed
        ? "change the subscription to \(upgrade.rawValue) in the billing portal"
        : "subscribe to \(upgrade.rawValue) first", members: members)
  }
}

extension FeatureMissing {
  fileprivate var problem: Problem {
    var members: [String: Problem.Member] = [
      "feature": .string(feature.rawValue), "plan": .string(plan.rawValue),
    ]
    if let upgrade { members["upgrade"] = .string(upgrade.rawValue) }
    return Problem(
      .planFeatureMissing, "\(plan.rawValue) does not have \(feature.rawValue)", members: members)
  }
}

extension ProviderMissing {
  fileprivate var problem: Problem {
    var members: [String: Problem.Member] = [
      "provider": .string(provider.description), "plan": .string(plan.rawValue),
    ]
    if let upgrade { members["upgrade"] = .string(upgrade.rawValue) }
    return Problem(
      .planProviderMissing, "\(plan.rawValue) does not have \(provider)", members: members)
  }
}

extension LimitExceeded {
  fileprivate var problem: Problem {
    var members: [String: Problem.Member] = [
      "limit": .string(limit.rawValue), "allowed": .integer(allowed), "usage": .integer(usage),
      "plan": .string(plan.rawValue),
    ]
    if let upgrade { members["upgrade"] = .string(upgrade.rawValue) }
    return Problem(
      .planLimitExceeded,
      "\(plan.rawValue) allows \(allowed) \(limit.rawValue), and there are \(usage)",
      members: members)
  }
}

extension PostgresError: ProblemConvertible {
  package var problem: Problem {
    isTransient ? .unavailable() : Problem(.internalError)
  }
}
