import Compression
import ConfigurationFeed
import Domain
import EventStore
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

/// What gateways run is the fold of the log, at every position, on whatever replica, through every fault.
@Suite struct ConfigurationStreamTests {
  // MARK: Refused

  @Test func `only gateways get a snapshot, a stream, or a say`() async throws {
    let plane = try await TestControlPlane.shared
    for client in [plane.client, try await plane.makeUser().client] {
      #expect(try await client.get("/v1/dataplane/snapshot").status == 403)
      #expect(try await client.get("/v1/dataplane/stream").status == 403)
      let ack = try await client.post("/v1/dataplane/ack", #"{"gateway":"a","position":1}"#)
      #expect(ack.status == 403)
    }
  }

  @Test(arguments: [nil, "", "x", "-1", "1", "+5", "05", "-0", "9007199254740991"])
  func `a cursor that leads nowhere is reset`(cursor: String?) async throws {
    try await TestControlPlane.with { planes in
      let plane = planes[0]
      let gateway = try await plane.makeGateway()
      // What was before the feed is in no change.
      try await plane.database.withSession { session in
        _ = try session.execute(
          "UPDATE configuration_changes_floor SET position = 2", deadline: .soon)
      }
      _ = try await plane.client.makeOrganization()
      if let cursor {
        try await gateway.follow(from: cursor)
        #expect(try await gateway.take { $0.events.last?.event == "reset" })
      } else {
        let reply = try await plane.client.with(token: plane.client.makeGatewayToken().secret)
          .get("/v1/dataplane/stream")
        #expect(reply.text.contains("event: reset"))
      }
    }
  }

  @Test func `an acknowledgement that cannot be is refused with every mistake`() async throws {
    let plane = try await TestControlPlane.shared
    let client = try await plane.gatewayClient()
    let reply = try await client.post(
      "/v1/dataplane/ack", #"{"gateway":"","position":0,"refused":{"position":1},"state":"x"}"#)
    #expect(reply.status == 422)
    #expect(
      try Set(reply.places) == ["/gateway", "/position", "/refused/reason", "/state"],
      "\(reply.text)")
  }

  // MARK: Followed

  @Test func `an event that changes nothing for gateways leaves nobody behind`() async throws {
    try await TestControlPlane.with { planes in
      let organization = try await planes[0].client.makeOrganization()
      let gateway = try await planes[0].makeGateway()
      let position = gateway.document.position
      let renamed = try await planes[0].client.patch(organization, #"{"name":"Other"}"#)
      #expect((renamed["signalbox-position"].flatMap { Int64($0) } ?? 0) > position)
      for _ in 0..<2 {
        // The second time it is known here that the log went on.
        try await gateway.follow()
        try await gateway.take { !$0.events.isEmpty }
        let data = try #require(gateway.events.last?.data)
        #expect(try JSONValue.parse(Array(data.utf8))["position"] == .integer(position))
        _ = try await gateway.snapshot()
      }
    }
  }

  @Test(arguments: [
    ("br, gzip;q=0.5", "gzip"), ("gzip, zstd", "zstd"), ("zstd;q=0.5, gzip", "gzip"), ("*", "zstd"),
    ("*;q=0.1, zstd;q=0", "gzip"), ("identity, gzip;q=0.9", nil), ("gzip;q=0, zstd;q=0.000", nil),
    ("br", nil), ("x-gzip", "gzip"), ("zstd;q=2, gzip;q=0.001", "gzip"),
  ])
  func `a compressed snapshot is the same document, before and after a change`(
    accept: String, coding: String?
  ) async throws {
    let plane = try await TestControlPlane.shared
    let project = try await plane.client.makeProject(in: plane.client.makeOrganization())
    let gateway = try await plane.gatewayClient()
    for isOn in [true, false] {
      let change = try await plane.client.put("\(project)/panic-mode", #"{"enabled":\#(isOn)}"#)
      let packed = try await gateway.http.send(
        "GET", "/v1/dataplane/snapshot",
        headers: [
          ("Authorization", "Bearer \(gateway.token ?? "")"), ("Accept-Encoding", accept),
        ], body: nil)
      #expect(packed["content-encoding"] == coding)
      #expect(packed["vary"] == "Accept-Encoding")
      let inflated = try coding.flatMap(ContentCoding.init).map { coding in
        try packed.body.withUnsafeBytes { bytes throws(CompressionError) in
          try coding.inflate(bytes, limit: 1 << 30)
        }
      }
      let document = try ConfigurationDocument(parsing: inflated ?? packed.body)
      #expect(document.position >= (try #require(Int64(change["signalbox-position"] ?? ""))))
      #expect(packed["etag"] == #""\#(document.position)""#)
      let organization = try #require(
        OrganizationID(String(project.split(separator: "/")[2])))
      let id = try #require(ProjectID(String(project.split(separator: "/")[4])))
      let piece = try #require(document.project(id, of: organization))
      #expect(String(decoding: piece, as: UTF8.self).contains("panic_mode") == isOn)
      #expect(document.bytes() == inflated ?? packed.body, "the bytes are those of the plain form")
    }
  }

  @Test func `every change arrives as what it changes, and nothing else does`() async throws {
    try await TestControlPlane.with { planes in
      let (plane, client) = (planes[0], planes[0].client)
      let organization = try await client.makeOrganization()
      let project = try await client.makeProject(in: organization)
      let gateway = try await plane.makeGateway()
      try await gateway.follow()
      try await gateway.take { !$0.events.isEmpty }
      #expect(gateway.events.map(\.event) == ["status"])

      let on = try await client.put(
        "\(project)/panic-mode", #"{"enabled":true,"reason":"a secret reason"}"#)
      #expect(try await gateway.take { $0.events.count == 2 })
      let change = try #require(gateway.events.last)
      #expect(change.id == on["signalbox-position"])
      #expect(change.data.utf8.count < 200)
      #expect(!change.data.contains("secret"))
      // What gateways do not run is no change for them.
      _ = try await client.patch(project, #"{"name":"Renamed"}"#)
      _ = try await client.put(
        "\(project)/rules",
        #"{"rules":[{"country":"DE","effect":"deny"},{"provider":"a","model":"b","effect":"deny"}]}"#,
        headers: ["If-Match": "*"])
      #expect(try await gateway.take { $0.events.count == 3 })
      // Two rules, one change: nobody runs half a set.
      #expect(gateway.events.last?.data.contains("DE") == true)
      #expect(gateway.events.last?.data.contains(#""model":"b""#) == true)
      _ = try await client.post("\(project)/archive", headers: ["If-Match": "*"])
      #expect(try await gateway.take { $0.events.count == 4 })
      #expect(gateway.document.projectCount == 0)
      try await plane.expectStored(gateway.document)
    }
  }

  @Test func `an idle stream is alive, and a revoked token ends it`() async throws {
    try await TestControlPlane.with { planes in
      let client = planes[0].client
      let token = try await client.makeGatewayToken()
      let gateway = try await TestGateway(client.with(token: token.secret))
      try await gateway.follow()
      try await gateway.take { !$0.events.isEmpty }
      _ = try await client.send("DELETE", "/v1/platform/gateway-tokens/\(token.id)")
      #expect(try await gateway.isCut(within: .seconds(5)))
      #expect(
        try await client.with(token: token.secret).get("/v1/dataplane/snapshot").status == 401)
    }
  }

  /// All sorts of changes, on whichever replica.
  private static func change(_ planes: [TestControlPlane]) async throws {
    var random = SeededGenerator(seed: 7)
    for round in 0..<6 {
      let client = planes[round % 2].client
      let organization = try await client.makeOrganization("Acme \(round)")
      for _ in 0..<2 {
        let project = try await client.makeProject(in: organization)
        for step in 0..<8 {
          let client = planes[Int.random(in: 0...1, using: &random)].client
          let isOn = Bool.random(using: &random)
          _ = try await client.put("\(project)/panic-mode", #"{"enabled":\#(isOn)}"#)
          _ = try await client.post(
            "\(organization)/rules",
            #"{"provider":"p","model":"m\#(round).\#(step)","effect":"deny"}"#)
          _ = try await client.patch(
            project, #"{"rate_limit":\#(Int.random(in: 1...9, using: &random))}"#)
        }
      }
      if round % 3 == 0 {
        _ = try await client.post("\(organization)/archive", headers: ["If-Match": "*"])
      }
    }
  }

  @Test func `a gateway that changes between two replicas has the fold of the log`() async throws {
    try await TestControlPlane.with(replicas: 2) { planes in
      let gateway = try await planes[0].makeGateway()
      let writing = Task { try await Self.change(planes) }
      try await gateway.roam(among: planes.map(\.client), for: .seconds(3))
      try await writing.value
      try await gateway.follow(on: planes[1].client)
      let last = try await planes[0].newestChange()
      let isThere = try await gateway.take { $0.document.position >= last }
      #expect(isThere)
      let resets = gateway.events.filter { $0.event == "reset" }
      #expect(resets.isEmpty)
      try await planes[0].expectStored(gateway.document)
      try await planes[1].expectStored(gateway.document)
      // A replica that begins now has the same.
      let fresh = try await TestGateway(planes[1].gatewayClient())
      #expect(fresh.document.hasSameContents(as: gateway.document))
    }
  }

  // MARK: The database is away

  @Test func `while the database is away the feed goes on as it is, and says so`() async throws {
    try await TestControlPlane.with { planes in
      let (plane, client) = (planes[0], planes[0].client)
      let project = try await client.makeProject(in: client.makeOrganization())
      let gateway = try await plane.makeGateway()
      try await gateway.follow()
      try await gateway.take { !$0.events.isEmpty }
      try await plane.database.setReachable(false)
      #expect(try await gateway.take(for: .seconds(15)) { $0.events.last?.isStale == true })
      let fallback = try await gateway.snapshot()
      #expect(fallback["signalbox-stale"] == "true")
      #expect(try ConfigurationDocument(parsing: fallback.body) == gateway.document)
      try await plane.database.setReachable(true)
      #expect(try await gateway.take(for: .seconds(15)) { $0.events.last?.isStale == false })
      for _ in 0..<100 {
        if try await client.put("\(project)/panic-mode", #"{"enabled":true}"#).status == 200 {
          break
        }
        try await Task.sleep(for: .milliseconds(100))
      }
      #expect(try await gateway.take { $0.events.last?.event == "change" })
      #expect(try await gateway.snapshot()["signalbox-stale"] == nil)
    }
  }

  // MARK: Said to be run

  @Test func `a change is live when every gateway that is heard of says so`() async throws {
    try await TestControlPlane.with(replicas: 2) { planes in
      let client = planes[0].client
      let organization = try await client.makeOrganization()
      let project = try await client.makeProject(in: organization)
      let gateways = [try await planes[0].gatewayClient(), try await planes[1].gatewayClient()]
      func ack(_ gateway: Int, _ position: String?, refused: String = "") async throws {
        let body = #"{"gateway":"edge-\#(gateway)","position":\#(position ?? "0")\#(refused)}"#
        #expect(try await gateways[gateway].post("/v1/dataplane/ack", body).status == 200)
      }
      func propagation(of position: String?) async throws -> JSONValue {
        try await client.get("\(organization)/propagation?position=\(position ?? "")").json
      }
      let before = try await client.get("/v1/platform/gateways").json["position"]?.integer
      try await ack(0, before.map { "\($0)" })
      try await ack(1, before.map { "\($0)" })
      let on = try await client.put("\(project)/panic-mode", #"{"enabled":true}"#)
      let position = on["signalbox-position"]
      try await ack(0, position)
      try await Task.sleep(for: .milliseconds(300))
      #expect(try await propagation(of: position)["is_live"] == .bool(false))
      let refused = #","refused":{"position":\#(position ?? "0"),"reason":"full disk"}"#
      try await ack(1, before.map { "\($0)" }, refused: refused)
      try await Task.sleep(for: .milliseconds(300))
      let counts = try await propagation(of: position)["gateways"]
      #expect(counts?["live"] == .integer(1))
      #expect(counts?["refused"] == .integer(1))
      let listed = try await client.get("/v1/platform/gateways").json["data"]?.array
      #expect(listed?.map { $0["state"]?.string } == ["live", "refused"])
      #expect(listed?.last?["refused"]?["reason"] == .string("full disk"))
      try await ack(1, position)
      try await Task.sleep(for: .milliseconds(300))
      #expect(try await propagation(of: position)["is_live"] == .bool(true))
      // A name is nothing that gateways run.
      let renamed = try await client.patch(project, #"{"name":"B"}"#)
      #expect(try await propagation(of: renamed["signalbox-position"])["is_live"] == .bool(true))
      let ahead = try await client.get("\(organization)/propagation?position=99999999")
      #expect(ahead.status == 422)
    }
  }
}

extension ServerSentEvent {
  fileprivate var isStale: Bool? {
    event == "status" ? (try? JSONValue.parse(Array(data.utf8)))?["stale"]?.bool : nil
  }
}

extension ConfigurationDocument {
  /// Equal but for the position, which may be that of any event since the last change.
  fileprivate func hasSameContents(as other: ConfigurationDocument) -> Bool {
    var document = self
    let position = max(self.position, other.position) + 1
    var same = other
    do {
      try document.apply(Array("{}".utf8), at: position)
      try same.apply(Array("{}".utf8), at: position)
    } catch {
      return false
    }
    return document == same
  }
}

extension TestControlPlane {
  func gatewayClient() async throws -> TestClient {
    client.with(token: try await client.makeGatewayToken().secret)
  }

  func makeGateway() async throws -> TestGateway { try await TestGateway(gatewayClient()) }

  func newestChange() async throws -> Int64 {
    try await database.withSession { session in
      try session.execute(ConfigurationChangeTable.newest(upTo: .max), deadline: .soon)[0]
        .decode(Int64.self)
    }
  }

  /// Asserts that a document is what the tables say, which are what the log says.
  func expectStored(
    _ document: ConfigurationDocument, at location: SourceLocation = #_sourceLocation
  ) async throws {
    let (stored, differences) = try await database.withApplicationSession { session throws in
      (
        try StoredConfiguration.load(plans: .roomy, session, deadline: .soon),
        try Rebuild.differences(session, deadline: .soon)
      )
    }
    #expect(differences == [], sourceLocation: location)
    #expect(document.hasSameContents(as: stored), sourceLocation: location)
  }
}
