import Domain
import FoundationEssentials
import Postgres
import Support
import Testing

extension TestControlPlane {
  /// Makes a user who is a member, past the log: for what only the check of permissions looks at.
  func makeMember(of path: String, role: Role) async throws -> TestClient {
    let organization = try #require(OrganizationID(String(path.split(separator: "/")[2])))
    let user = try await makeUser()
    try await database.withSession { session throws in
      try session.execute(
        """
        INSERT INTO memberships (organization_id, user_id, role, version, created_at) \
        VALUES (\(organization.uuid), \(user.id.uuid), \(role.rawValue), 1, now())
        """, deadline: .soon)
    }
    return user.client
  }
}
