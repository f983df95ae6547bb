import ControlPlane
import Domain
import JSON
import Support
import Testing

/// Every operation of the contract × service tokens that are bound to the project it names, or to another one. What a
/// bound token may do follows from the contract: an operation whose path names its project is judged by the token's role,
/// and an operation on the workspace is refused, except for the reads in ``workspaceReads``.
@Suite struct BoundTokenMatrixTests {
  /// What a bound token may read although the path names no project. The list may only become shorter: an operation that
  /// is not in it must refuse bound tokens.
  static let workspaceReads: Set = [
    // Where the token works, and how far the workspace is set up. Neither tells of projects.
    "getOrganization", "getOnboarding",
    // Whether a change has reached all gateways, which a pipeline waits for after its own.
    "getPropagation",
    // They hold only the token's own projects.
    "listProjects", "getLimits",
  ]

  @Test func `the exceptions are reads of the contract, and no more than there were`() throws {
    let operations = try AuthorizationMatrixTests.secured.get()
    #expect(Self.workspaceReads.count <= 5)
    for name in Self.workspaceReads {
      let operation = try #require(operations.first { $0.id == name }, "\(name)")
      #expect(operation.method == "GET" && operation.isTenant && !operation.isOfOneProject)
    }
  }

  @Test(arguments: [Role.admin, .developer, .billing, .viewer])
  func `in its project a bound token may do what its role says, and in the workspace nothing`(
    role: Role
  ) async throws {
    let bound = try await BoundTokens.shared
    let client = try #require(bound.here[role])
    try await bound.forEachRead { operation, moment in
      let reply = try await bound.world.send(operation, by: client, asOf: moment)
      let cell =
        "\(operation.id) by \(role) as of \(moment ?? "now"): \(reply.status) \(reply.text)"
      expectNoTrace(of: bound.other, in: reply, cell)
      guard operation.isTenant else {
        let isForbidden = ["person", "platform-admin", "gateway"].contains(operation.permission)
        #expect(reply.status == (isForbidden ? 403 : 200), "\(cell)")
        return
      }
      let isAboutIt = operation.isOfOneProject || Self.workspaceReads.contains(operation.id)
      let permission = Permission(rawValue: operation.permission)
      if isAboutIt, permission.map(role.may) ?? false, !operation.isForPersons {
        #expect(![401, 403, 404, 422, 500].contains(reply.status), "\(cell)")
      } else {
        #expect(reply.status == 403, "\(cell)")
        // Where only persons may, either check may be the first to refuse.
        let codes = operation.isForPersons ? ["person-required", "forbidden"] : ["forbidden"]
        #expect(codes.contains(try reply.problem ?? ""), "\(cell)")
      }
    }
  }

  /// To a token that is bound to another project, this one is like one that does not exist.
  @Test func `a token that is bound to another project finds nothing`() async throws {
    let bound = try await BoundTokens.shared
    try await bound.forEachRead { operation, moment in
      let reply = try await bound.world.send(operation, by: bound.elsewhere, asOf: moment)
      let cell = "\(operation.id) as of \(moment ?? "now"): \(reply.status) \(reply.text)"
      expectNoTrace(of: bound.world.project, in: reply, cell)
      guard operation.isOfOneProject else { return }
      #expect(reply.status == 404, "\(cell)")
      let nowhere = try await bound.world.send(
        operation, by: bound.elsewhere, project: "prj_00000000000000000000000000", asOf: moment)
      #expect(nowhere.status == 404, "\(cell)")
      #expect(try reply.problem == nowhere.problem, "\(cell)")
      #expect(try reply.json["detail"] == nowhere.json["detail"], "\(cell)")
    }
  }

  /// Not only tried: what is let through here is carried out, and the next count tells.
  @Test func `a token that is bound to another project changes nothing`() async throws {
    let bound = try await BoundTokens.shared
    let before = try await bound.world.eventCount()
    for operation in try AuthorizationMatrixTests.secured.get()
    where operation.isTenant && operation.method != "GET" {
      let reply = try await bound.world.send(operation, by: bound.elsewhere, dryRun: false)
      let cell = "\(operation.id): \(reply.status) \(reply.text)"
      #expect(reply.status == (operation.isOfOneProject ? 404 : 403), "\(cell)")
      #expect(try await bound.world.eventCount() == before, "\(cell)")
    }
  }

  @Test func `lists and limits hold the token's projects, all of them and no others`() async throws
  {
    let bound = try await BoundTokens.shared
    let organization = "/v1/organizations/\(bound.world.organization)"
    let version = try await bound.world.eventCount()
    let now = Timestamp.now.rfc3339
    let tokens: [(TestClient?, [String])] = [
      (bound.here[.viewer], [bound.world.project]), (bound.elsewhere, [bound.other]),
      (bound.both, [bound.world.project, bound.other]),
    ]
    for (client, projects) in tokens {
      let client = try #require(client)
      for filter in ["", "?as_of=\(version)", "?as_of=\(now)", "?archived=false"] {
        let listed = try await client.all("\(organization)/projects\(filter)", limit: 1)
        #expect(Set(listed.compactMap { $0["id"]?.string }) == Set(projects), "\(filter)")
        #expect(listed.count == projects.count, "\(filter)")
      }
      let limits = try await client.get("\(organization)/limits").json
      let limited = (limits["projects"]?.array ?? []).compactMap { $0["project_id"]?.string }
      #expect(Set(limited) == Set(projects), "\(limits)")
    }
  }

  /// A refusal repeats the path that was asked for, and nothing else; its code and detail are compared.
  private func expectNoTrace(of project: String, in reply: HTTPReply, _ cell: String) {
    #expect(reply.status >= 400 || !reply.text.contains(project), "\(cell)")
  }
}

/// Tokens that are bound to projects of one workspace.
struct BoundTokens: Sendable {
  let world: World
  /// A project of the same workspace that no operation names.
  let other: String
  /// Bound to the project that operations name, by role.
  let here: [Role: TestClient]
  /// An admin's, bound to the other one.
  let elsewhere: TestClient
  /// A viewer's, bound to both.
  let both: TestClient

  private static let made = Task { try await BoundTokens(World.shared) }
  static var shared: BoundTokens { get async throws { try await made.value } }

  private init(_ world: World) async throws {
    self.world = world
    let owner = try #require(world.members[.owner])
    let path = "/v1/organizations/\(world.organization)"
    func token(_ role: Role, _ projects: [String]) async throws -> TestClient {
      let ids = projects.map { #""\#($0)""# }.joined(separator: ",")
      let reply = try await owner.post(
        "\(path)/service-tokens",
        #"""
        {"name":"Bound","role":"\#(role)","expires_at":"\#(world.nextMonth)","project_ids":[\#(ids)]}
        """#)
      return owner.with(token: try #require(reply.json["token"]?.string, "\(reply.text)"))
    }
    let made = try await owner.makeProject(in: path, "The other one")
    other = String(try #require(made.split(separator: "/").last))
    // One that none of them is bound to.
    _ = try await owner.makeProject(in: path, "A third one")
    var here: [Role: TestClient] = [:]
    for role in Role.allCases where role != .owner {
      here[role] = try await token(role, [world.project])
    }
    self.here = here
    elsewhere = try await token(.admin, [other])
    both = try await token(.viewer, [world.project, other])
  }

  /// Every operation as it is, and where it can be read as of a moment, as of the newest version, too.
  func forEachRead(
    _ body: (Contract.Operation, _ moment: String?) async throws -> Void
  ) async throws {
    let version = try await world.eventCount()
    for operation in try AuthorizationMatrixTests.secured.get() {
      try await body(operation, nil)
      if operation.takesAsOf { try await body(operation, "\(version)") }
    }
  }
}
