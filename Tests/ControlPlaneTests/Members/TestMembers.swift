import Domain
import FoundationEssentials
import Support
import Testing

extension TestControlPlane {
  /// Makes a user who is a member of the organization with this path.
  func makeMember(of path: String, role: Role) async throws -> TestClient {
    let organization = try #require(OrganizationID(String(path.split(separator: "/")[2])))
    let user = try await makeUser()
    try await addMember(user.id, role: role, to: organization)
    return user.client
  }
}
