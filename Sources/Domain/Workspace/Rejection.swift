/// Why a command was not carried out: nothing was appended, and the state is as it was.
/// Knows nothing of HTTP; the wire's problem is chosen where replies are made.
package enum Rejection: Error, Equatable, Sendable {
  /// The entity does not exist in this workspace.
  case notFound(Entity.Kind)
  /// Another organization has this slug, or had it first in the same moment.
  case slugTaken(String)
  /// The entity, or the organization around it, is archived and takes no changes.
  case archived(Entity.Kind)
  /// There would be no owner left.
  case lastOwner
  /// The caller may not do everything that this role may, and so cannot give it away or take it.
  case roleNotYours(Role)
  /// The address belongs to a member already.
  case alreadyMember
  /// The address has an invitation that is still open.
  case alreadyInvited
  /// The invitation is not open any more.
  case invitationClosed(Invitation.Status)
  /// The token is revoked or has expired.
  case tokenInvalid
  /// The key lets nobody in any more, or another one has taken its place.
  case apiKeyClosed(APIKey.Closure)
  /// The secret is another key's already.
  case secretUsed
  /// A person has as many tokens as they may have.
  case tooManyTokens(Int)
  /// The plan allows no more.
  case limitExceeded(LimitExceeded)
  /// The plan does not have it at all.
  case featureMissing(FeatureMissing)
  /// The plan does not have the provider.
  case providerMissing(ProviderMissing)
  /// A subscription has to pay for the plan first.
  case paymentRequired(PaymentRequired)
  /// The platform gives this plan, and no one else.
  case planGivenByPlatform(PlanTier)
  /// A service token asked for what only a person may do.
  case personRequired
  /// A project has keys for as many providers as it may have.
  case tooManyProviderKeys(Int)
  /// The workspace has as many webhook endpoints as it may have.
  case tooManyWebhookEndpoints(Int)
  /// Something is there, and the caller did not say that they know of it.
  case versionRequired(Entity.Kind)
  /// Another rule in the same place is about the same, and says the same or the opposite.
  case ruleExists(RuleID, isContradiction: Bool)
  /// Of several updates of a subscription in one second nothing says which was the last.
  case subscriptionUnclear
  /// The rule would have expired already and never match: the one at this place of a set, or the only one.
  case ruleExpired(index: Int?)
  /// Onboarding does not go there from where it is.
  case illegalTransition(
    Onboarding.Transition, allowed: [Onboarding.Transition], missing: [Onboarding.Step])
  /// The caller expected another version of the entity than the current one.
  case staleVersion(Entity, current: Int64)
}

/// What a caller believes the entity's version to be (If-Match).
package enum ExpectedVersion: Equatable, Sendable {
  /// It may be any, as long as the entity exists.
  case any
  /// It must be one of these.
  case oneOf([Int64])

  /// Refuses a command that was made for another version.
  package func check(_ entity: Entity, in workspace: Workspace) throws(Rejection) {
    guard let current = workspace.version(of: entity) else {
      throw .notFound(entity.kind)
    }
    guard case .oneOf(let versions) = self, !versions.contains(current) else { return }
    throw .staleVersion(entity, current: current)
  }
}
