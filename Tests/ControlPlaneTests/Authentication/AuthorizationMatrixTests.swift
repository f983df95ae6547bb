import ControlPlane
import Domain
import JSON
import Postgres
import Support
import Testing

/// Every operation of the contract × every role × a member of another workspace × no token × an expired one. What is
/// expected is read from the contract (`x-permission`) and the one table of permissions; an operation that is added
/// without a permission, or without a body here that it takes, fails.
@Suite struct AuthorizationMatrixTests {
  static let operations = Result { try Contract.current.get().operations }
  static let secured = Result { try operations.get().filter(\.isSecured) }

  /// A body that each operation takes which has one.
  static func body(of operation: Contract.Operation, in world: World) -> String? {
    switch operation.id {
    case "createPersonalAccessToken": #"{"name":"A"}"#
    case "createOrganization", "changeOrganization": #"{"name":"B"}"#
    case "createProject": #"{"name":"B","environment":"live"}"#
    case "changeProject": #"{"name":"B"}"#
    case "createRule": #"{"provider":"openai","model":"gpt-4*","effect":"deny"}"#
    case "changeRule": #"{"note":"B"}"#
    case "acknowledge": #"{"gateway":"edge-1","position":1}"#
    case "replaceRules": #"{"rules":[{"country":"DE","effect":"deny"}]}"#
    case "evaluateRules": #"{"provider":"openai","model":"gpt-4o"}"#
    case "createApiKey", "changeApiKey": #"{"name":"B"}"#
    case "rotateApiKey": #"{"grace_seconds":60}"#
    case "setProviderKey": #"{"key":"sk-\#(World.mark)-2"}"#
    case "createWebhookEndpoint": #"{"url":"https://\#(World.mark).example/hooks"}"#
    case "changeWebhookEndpoint": #"{"description":"B"}"#
    case "rotateWebhookSecret": #"{"overlap_seconds":60}"#
    case "enableWebhookEndpoint": #"{"skip_missed":true}"#
    case "replayWebhookEvents": #"{"from_position":1}"#
    case "setPanicMode": #"{"enabled":true,"reason":"A leak"}"#
    case "changeMemberRole": #"{"role":"developer"}"#
    case "transferOwnership": #"{"user_id":"\#(world.target)"}"#
    case "createInvitation": #"{"email":"new@example.com","role":"viewer"}"#
    case "acceptInvitation", "declineInvitation": #"{"token":"sbi_unknown"}"#
    case "createServiceToken":
      #"{"name":"A","role":"viewer","expires_at":"\#(world.nextMonth)"}"#
    case "rotateServiceToken": #"{"grace_seconds":60}"#
    case "changePlan": #"{"plan_tier":"plus"}"#
    case "reportRequestLogs": "[]"
    case "replayRules":
      #"{"rules":[],"from":"2020-01-01T00:00:00Z","to":"\#(world.nextMonth)"}"#
    case "createGatewayToken": #"{"name":"A"}"#
    case "checkOutCredits":
      #"{"package":"credits_15","success_url":"https://a.example/","cancel_url":"https://a.example/"}"#
    case "checkOutPlan":
      #"{"plan_tier":"plus","success_url":"https://a.example/","cancel_url":"https://a.example/"}"#
    case "openBillingPortal": #"{"return_url":"https://a.example/"}"#
    case "recordOnboardingFact": #"{"step":"first_request_seen"}"#
    default: nil
    }
  }

  /// Every loop of this suite is over these: an empty one would pass.
  @Test func `the contract has operations of every kind`() throws {
    let secured = try Self.secured.get()
    #expect(secured.count > 90)
    #expect(secured.count { $0.isTenant } > 70)
    #expect(secured.count { $0.isTenant && $0.isOfOneProject } > 15)
    #expect(secured.count { $0.takesAsOf } > 10)
    for permission in ["authenticated", "person", "platform-admin", "gateway"] {
      #expect(secured.contains { $0.permission == permission }, "\(permission)")
    }
  }

  @Test func `every operation says what it needs, and has a body here`() async throws {
    let world = try await World.shared
    for operation in try Self.operations.get() {
      let permission = operation.permission
      let known = ["none", "authenticated", "person", "platform-admin", "gateway"]
      #expect(
        known.contains(permission) || Permission(rawValue: permission) != nil,
        "\(operation.id): \(permission)")
      #expect(operation.isSecured == (permission != "none"), "\(operation.id)")
      guard operation.isSecured else { continue }
      let hasBody = operation.value["requestBody"] != nil
      #expect((Self.body(of: operation, in: world) != nil) == hasBody, "\(operation.id)")
    }
  }

  @Test func `without a valid token nothing is told`() async throws {
    let world = try await World.shared
    let tokens = [
      nil, "sbp_wrong", "sbp_admin_of_the_test", "SBP_ADMIN_OF_THE_TESTS", "", "a b", "ä",
      try world.plane.expiredToken("owner@example.com"), "a.b.c", "sbx_wrong",
    ]
    for operation in try Self.secured.get() {
      for token in tokens {
        let reply = try await world.send(operation, by: world.plane.client.with(token: token))
        #expect(reply.status == 401, "\(operation.id) \(token ?? "nil")")
        #expect(reply["www-authenticate"]?.hasPrefix("Bearer") == true)
      }
    }
  }

  @Test(arguments: Role.allCases)
  func `a member may do exactly what their role says`(role: Role) async throws {
    let world = try await World.shared
    let client = try #require(world.members[role])
    for operation in try Self.secured.get() {
      let reply = try await world.send(operation, by: client)
      let cell = "\(operation.id) by \(role): \(reply.status) \(reply.text)"
      if let permission = Permission(rawValue: operation.permission) {
        if role.may(permission) {
          #expect(![401, 403, 404, 422, 500].contains(reply.status), "\(cell)")
        } else {
          #expect(reply.status == 403, "\(cell)")
          #expect(try reply.problem == "forbidden", "\(cell)")
        }
      } else if ["platform-admin", "gateway"].contains(operation.permission) {
        #expect(reply.status == 403, "\(cell)")
      } else {
        #expect(![401, 403, 500].contains(reply.status), "\(cell)")
      }
    }
  }

  @Test func `a stranger and an owner of nothing see the same`() async throws {
    let world = try await World.shared
    let nowhere = World.nowhere(world)
    for operation in try Self.secured.get() where operation.isTenant {
      let there = try await world.send(operation, by: world.stranger)
      let other = try await nowhere.send(operation, by: world.stranger)
      #expect(there.status == 404, "\(operation.id) \(there.text)")
      #expect(other.status == 404, "\(operation.id)")
      #expect(try there.json["detail"] == other.json["detail"])
      #expect(try there.problem == other.problem)
    }
  }

  /// Row security shows a member of two workspaces the rows of both: only what each query asks for keeps them apart.
  @Test func `a member of two workspaces sees in each one only its own`() async throws {
    let world = try await World.shared
    let (id, client) = try await world.plane.makeUser()
    let marked = try #require(OrganizationID(world.organization))
    let owner = try #require(world.members[.owner])
    try await world.plane.addMember(
      id, role: .admin, to: marked, by: owner.userID(world.plane))
    let path = try await client.makeOrganization("Empty")
    let empty = World.elsewhere(
      world, organization: String(try #require(path.split(separator: "/").last)))
    #expect(try await client.get("/v1/organizations/\(marked)").status == 200)
    for operation in try Self.secured.get() where operation.isTenant {
      let isAboutOne = operation.path.split(separator: "{").count > 2
      guard isAboutOne || operation.method == "GET" else { continue }
      guard let permission = Permission(rawValue: operation.permission),
        Role.owner.may(permission)
      else { continue }
      for moment in operation.takesAsOf ? [nil, "1"] : [nil] {
        let reply = try await empty.send(operation, by: client, asOf: moment)
        let cell = "\(operation.id) as of \(moment ?? "now"): \(reply.status) \(reply.text)"
        #expect(reply.status == (isAboutOne ? 404 : 200), "\(cell)")
        #expect(!reply.text.contains(World.mark), "\(cell)")
        for foreign in [world.organization, world.project, world.rule, world.apiKey] {
          #expect(reply.status >= 400 || !reply.text.contains(foreign), "\(cell)")
        }
      }
    }
  }

  @Test func `a token of a workspace is nobody outside of it, and no person`() async throws {
    let world = try await World.shared
    for operation in try Self.secured.get() {
      let reply = try await world.send(operation, by: world.foreignToken)
      let cell = "\(operation.id): \(reply.status) \(reply.text)"
      if operation.isTenant {
        #expect(reply.status == 404, "\(cell)")
      } else if ["person", "platform-admin", "gateway"].contains(operation.permission) {
        #expect(reply.status == 403, "\(cell)")
      } else {
        #expect(reply.status == 200, "\(cell)")
      }
    }
  }

  @Test func `a gateway reaches the data plane and nothing else`() async throws {
    let world = try await World.shared
    for operation in try Self.secured.get() {
      let reply = try await world.send(operation, by: world.gateway)
      let cell = "\(operation.id): \(reply.status) \(reply.text)"
      if operation.permission == "gateway" {
        #expect(operation.path.hasPrefix("/v1/dataplane/"), "\(cell)")
        #expect(![401, 403, 404, 500].contains(reply.status), "\(cell)")
      } else {
        #expect(reply.status == (operation.isTenant ? 404 : 403), "\(cell)")
        #expect(!reply.text.contains(World.mark))
      }
    }
  }

  @Test func `a platform admin may do what the contract says, and no more`() async throws {
    let world = try await World.shared
    for operation in try Self.secured.get() where operation.permission == "gateway" {
      let reply = try await world.send(operation, by: world.plane.client)
      #expect(reply.status == 403, "\(operation.id): \(reply.status) \(reply.text)")
    }
    for operation in try Self.secured.get() where operation.permission == "platform-admin" {
      let reply = try await world.send(operation, by: world.plane.client)
      #expect(
        ![401, 403, 422, 500].contains(reply.status),
        "\(operation.id): \(reply.status) \(reply.text)")
    }
    for operation in try Self.secured.get() where operation.isTenant {
      let reply = try await world.send(operation, by: world.plane.client)
      let may = operation.permission == "platform-admin" || operation.isForPlatformAdmins
      #expect((reply.status == 404) == !may, "\(operation.id): \(reply.status) \(reply.text)")
    }
  }

  /// The application's check is off: everybody passes for an owner of every workspace. Nothing of another workspace may
  /// be shown or changed nevertheless.
  @Test func `what lies behind the check keeps workspaces apart by itself`() async throws {
    try await TestControlPlane.with({ $0.checksMembership = false }) { planes in
      let world = try await World(planes[0])
      let before = try await world.eventCount()
      for client in [world.stranger, world.foreignToken, world.gateway] {
        for operation in try Self.secured.get() where operation.isTenant {
          let reply = try await world.send(operation, by: client, dryRun: false)
          #expect(!reply.text.contains(World.mark), "\(operation.id): \(reply.text)")
          let isList =
            try operation.method == "GET" && reply.status == 200 && reply.json["data"] == .array([])
          #expect(isList || reply.status >= 400, "\(operation.id): \(reply.text)")
          let after = try await world.eventCount()
          #expect(after == before, "\(operation.id) was carried out")
        }
      }
    }
  }
}

/// A workspace with somebody in every role, and people who do not belong to it.
struct World: Sendable {
  /// In every name of the workspace.
  static let mark = "Marked"

  let plane: TestControlPlane
  let organization: String
  let project: String
  let invitation: String
  let serviceToken: String
  let rule: String
  let apiKey: String
  let purchase: CreditPurchaseID
  let log: String
  let webhookEndpoint: String
  /// Of a ping to it.
  let delivered: String
  /// A viewer whom others look at and change.
  let target: UserID
  let members: [Role: TestClient]
  /// The owner of another workspace.
  let stranger: TestClient
  /// An admin token of the stranger's workspace.
  let foreignToken: TestClient
  /// A data plane's.
  let gateway: TestClient
  let nextMonth: String

  private static let made = Task { try await World(TestControlPlane.shared) }
  static var shared: World { get async throws { try await made.value } }

  init(_ plane: TestControlPlane) async throws {
    self.plane = plane
    let owner = try await plane.makeUser().client
    stranger = try await plane.makeUser().client
    nextMonth = Timestamp.now.advanced(by: 30 * 86_400_000_000).rfc3339
    let path = try await owner.makeOrganization(Self.mark)
    let id = try #require(OrganizationID(String(path.split(separator: "/")[2])))
    organization = "\(id)"
    project = try Self.id(await owner.makeProject(in: path, Self.mark))
    var members: [Role: TestClient] = [.owner: owner]
    for role in Role.allCases where role != .owner {
      let user = try await plane.makeUser()
      try await plane.addMember(user.id, role: role, to: id, by: owner.userID(plane))
      members[role] = user.client
    }
    self.members = members
    target = try await plane.makeUser().id
    try await plane.addMember(target, role: .viewer, to: id, by: owner.userID(plane))
    let invited = try await owner.post(
      "\(path)/invitations", #"{"email":"\#(Self.mark)@example.com","role":"viewer"}"#)
    invitation = try #require(invited.json["id"]?.string, "\(invited.text)")
    let token = try await owner.post(
      "\(path)/service-tokens",
      #"{"name":"\#(Self.mark)","role":"viewer","expires_at":"\#(nextMonth)"}"#)
    serviceToken = try #require(token.json["id"]?.string, "\(token.text)")
    let ruled = try await owner.post(
      "\(path)/rules", #"{"provider":"openai","model":"o1","effect":"deny","note":"\#(Self.mark)"}"#
    )
    rule = try #require(ruled.json["id"]?.string, "\(ruled.text)")
    gateway = plane.client.with(token: try await plane.client.makeGatewayToken().secret)
    let keyed = try await owner.post(
      "\(path)/projects/\(project)/api-keys", #"{"name":"\#(Self.mark)"}"#)
    apiKey = try #require(keyed.json["id"]?.string, "\(keyed.text)")
    let connected = try await owner.put(
      "\(path)/projects/\(project)/provider-keys/openai", #"{"key":"sk-\#(Self.mark)-1"}"#)
    #expect(connected.status == 201, "\(connected.text)")
    purchase = CreditPurchaseID(Identifiers.next())
    let order = PurchaseOrder(
      purchaseID: purchase, paymentID: "pi_\(Self.mark)", package: CreditPackage.all[0],
      amount: 1500, currency: "usd")
    _ = try await plane.handle(.credits(.complete(order)), in: id, by: .system)
    let record = EvidenceRecord(project: project, model: Self.mark)
    log = record.id
    let reported = try await gateway.post("/v1/dataplane/request-logs", "[\(record.text)]")
    #expect(try reported.json["accepted"]?.integer == 1, "\(reported.text)")
    let hooked = try await owner.post(
      "\(path)/webhook-endpoints",
      #"{"url":"https://hooks.example/","description":"\#(Self.mark)"}"#)
    webhookEndpoint = try #require(hooked.json["id"]?.string, "\(hooked.text)")
    let pinged = try await owner.post("\(path)/webhook-endpoints/\(webhookEndpoint):ping")
    delivered = try #require(pinged.json["event_id"]?.string, "\(pinged.text)")
    // What the cells find does not change on its own any more.
    while try await owner.get("\(path)/usage").json["pending"] != .integer(0) {
      try await Task.sleep(for: .milliseconds(20))
    }
    let other = try await stranger.makeOrganization("Other")
    let foreign = try await stranger.post(
      "\(other)/service-tokens",
      #"{"name":"CI","role":"admin","expires_at":"\#(nextMonth)"}"#)
    foreignToken = stranger.with(token: try #require(foreign.json["token"]?.string))
  }

  private init(_ other: World, organization: String) {
    plane = other.plane
    self.organization = organization
    project = other.project
    invitation = other.invitation
    serviceToken = other.serviceToken
    rule = other.rule
    apiKey = other.apiKey
    purchase = other.purchase
    log = other.log
    webhookEndpoint = other.webhookEndpoint
    delivered = other.delivered
    target = other.target
    members = other.members
    stranger = other.stranger
    foreignToken = other.foreignToken
    gateway = other.gateway
    nextMonth = other.nextMonth
  }

  /// The same things in a workspace that does not exist.
  static func nowhere(_ world: World) -> World {
    elsewhere(world, organization: "org_00000000000000000000000000")
  }

  /// The same things, looked for in another workspace.
  static func elsewhere(_ world: World, organization: String) -> World {
    World(world, organization: organization)
  }

  private static func id(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }

  /// Changes are only tried, so that every cell finds the same workspace.
  ///
  /// - Parameters:
  ///   - project: the project that the path names where it names one; nil for the workspace's own.
  ///   - moment: the version or time as of which something is read.
  func send(
    _ operation: Contract.Operation, by client: TestClient, dryRun: Bool = true,
    project: String? = nil, asOf moment: String? = nil
  ) async throws -> HTTPReply {
    let values = [
      "organization": organization, "project": project ?? self.project, "rule": rule, "log": log,
      "key": apiKey,
      "purchase": "\(purchase)",
      "provider": "openai", "endpoint": webhookEndpoint,
      "event": operation.isTenant ? delivered : "evt_unknown",
      "item": "sai_00000000000000000000000000",
      "user": "\(target)",
      "invitation": invitation,
      "token": operation.isTenant
        ? serviceToken
        : operation.permission == "platform-admin"
          ? "gtw_00000000000000000000000000" : "pat_00000000000000000000000000",
    ]
    let path = values.reduce(operation.path) { $0.replacing("{\($1.key)}", with: $1.value) }
    let query =
      moment.map { "?as_of=\($0)" } ?? (dryRun && !operation.isReadOnly ? "?dry_run=true" : "")
    return try await client.send(
      operation.method, path + query, AuthorizationMatrixTests.body(of: operation, in: self),
      // A stream of events that could be followed has no end.
      headers: operation.id == "streamEvents"
        ? ["Last-Event-ID": "9007199254740991"] : ["If-Match": "*"])
  }

  func eventCount() async throws -> Int64 {
    let id = try #require(OrganizationID(organization))
    return try await plane.database.withSession { session throws in
      try session.execute(
        "SELECT count(*) FROM events WHERE organization_id = \(id.uuid)", deadline: .soon
      )[0].decode(Int64.self)
    }
  }
}

extension TestClient {
  /// Who they are.
  func userID(_ plane: TestControlPlane) async throws -> UserID {
    let me = try await get("/v1/me").json
    return try #require(me["user"]?["id"]?.string.flatMap(UserID.init))
  }
}
