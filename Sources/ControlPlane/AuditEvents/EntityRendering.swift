import Domain
import JSON

extension Workspace {
  /// One entity as callers see it; nil while it does not exist. The audit's before and after.
  func json(of entity: Entity, in id: OrganizationID) -> JSONObject? {
    switch entity {
    case .organization: organization?.json(id: id)
    case .member(let userID): members[userID]?.json(userID: userID)
    case .project(let projectID):
      projects[projectID]?.json(id: projectID, organizationID: id)
    }
  }
}
