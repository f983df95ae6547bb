import Domain
import Postgres

/// What Stripe calls an organization, and the subscription that pays for its plan. In no reply.
struct BillingReference: Equatable, Sendable {
  let customerID: String?
  let subscriptionID: String?

  /// With whether the organization is archived.
  static func find(_ organization: OrganizationID) -> Query {
    """
    SELECT stripe_customer_id, stripe_subscription_id, archived_at IS NOT NULL FROM organizations \
    WHERE organization_id = \(organization.uuid)
    """
  }

  /// Whose a subscription is: as another event about it said, or by its customer.
  static func organizations(subscription: String, customer: String) -> Query {
    """
    SELECT organization_id FROM stripe_events \
    WHERE subject = \(subscription) AND organization_id IS NOT NULL \
    UNION SELECT organization_id FROM organizations WHERE stripe_customer_id = \(customer)
    """
  }
}
