import JSON
import Support
import Testing

/// Every operation of the contract that belongs to a workspace, for everybody who may not have it. Operations that are
/// added to the contract are added here by themselves.
@Suite struct AuthorizationMatrixTests {
  static let operations = Result { try Contract.current.get().operations }

  @Test func `the contract has tenant operations`() throws {
    #expect(try Self.operations.get().filter(\.isTenant).count >= 10)
  }

  @Test func `without a valid token nothing is told`() async throws {
    let plane = try await TestControlPlane.shared
    let tokens = [
      nil, "sbp_wrong", "sbp_admin_of_the_test", "SBP_ADMIN_OF_THE_TESTS", "", "a b", "ä",
    ]
    for operation in try Self.operations.get() where operation.isSecured {
      for token in tokens {
        let reply = try await Self.send(operation, by: plane.client.with(token: token))
        #expect(reply.status == 401, "\(operation.id) \(token ?? "nil")")
        #expect(reply["www-authenticate"]?.hasPrefix("Bearer") == true)
      }
    }
  }

  @Test func `a stranger and an owner of nothing see the same`() async throws {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.client.makeOrganization()
    let project = try await plane.client.makeProject(in: organization)
    let stranger = try await plane.makeUser().client
    _ = try await stranger.makeOrganization()
    for operation in try Self.operations.get() where operation.isTenant {
      let path = Self.path(operation, organization: organization, project: project)
      let there = try await Self.send(operation, path, by: stranger)
      let nowhere = try await Self.send(operation, by: stranger)
      #expect(there.status == 404, "\(operation.id)")
      #expect(nowhere.status == 404, "\(operation.id)")
      #expect(try there.json["detail"] == nowhere.json["detail"])
      #expect(try there.problem == nowhere.problem)
    }
  }

  @Test func `a member is never told that it is not there`() async throws {
    let plane = try await TestControlPlane.shared
    for operation in try Self.operations.get() where operation.isTenant {
      let organization = try await plane.client.makeOrganization()
      let project = try await plane.client.makeProject(in: organization)
      let path = Self.path(operation, organization: organization, project: project)
      // Other parameters name things that do not exist.
      guard !path.contains("{") else { continue }
      let reply = try await Self.send(operation, path, by: plane.client)
      #expect(![401, 403, 404, 500].contains(reply.status), "\(operation.id) \(reply.text)")
    }
  }

  /// Every operation takes this body, or says 422 of it, which a stranger must not get to hear.
  private static func send(
    _ operation: Contract.Operation, _ path: String? = nil, by client: TestClient
  ) async throws -> HTTPReply {
    let body = operation.value["requestBody"] == nil ? nil : "{}"
    let nobody = "/v1/organizations/org_00000000000000000000000000"
    let fallback = Self.path(
      operation, organization: nobody, project: "\(nobody)/projects/prj_00000000000000000000000000")
    return try await client.send(
      operation.method, path ?? fallback, body, headers: ["If-Match": "*"])
  }

  private static func path(
    _ operation: Contract.Operation, organization: String, project: String
  ) -> String {
    operation.path
      .replacing("/v1/organizations/{organization}/projects/{project}", with: project)
      .replacing("/v1/organizations/{organization}", with: organization)
  }
}
