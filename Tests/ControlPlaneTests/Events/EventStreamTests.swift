import ConfigurationFeed
import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

/// What the dashboard follows: the same events as the list, as they happen, to whoever may see them.
@Suite(.serialized) struct EventStreamTests {
  // MARK: Refused

  @Test(arguments: ["after=-1", "after=x", "limit=1", "cursor=a"])
  func `a place that is none is refused`(query: String) async throws {
    let client = try await TestControlPlane.shared.client
    let reply = try await client.get(
      "\(try await client.makeOrganization())/events/stream?\(query)")
    #expect(reply.status == 422)
  }

  @Test(arguments: [
    "9007199254740991", "-1", "-9223372036854775808", "x", "1.5", "", "+1", "01", "-0", "0x1",
    "9223372036854775808",
  ])
  func `a cursor that is ahead of the log is reset`(cursor: String) async throws {
    let client = try await TestControlPlane.shared.client
    let reply = try await client.get(
      "\(try await client.makeOrganization())/events/stream", headers: ["Last-Event-ID": cursor])
    #expect(reply.status == 200)
    #expect(reply["content-type"] == "text/event-stream")
    #expect(reply.text.contains("event: reset"))
  }

  @Test func `whoever is no member, or only has projects, gets no stream`() async throws {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.client.makeOrganization()
    let project = try await plane.client.makeProject(in: organization)
    let stranger = try await plane.makeUser().client
    #expect(try await stranger.get("\(organization)/events/stream").status == 404)
    let id = project.split(separator: "/").last.map(String.init) ?? ""
    let end = Timestamp.now.advanced(by: 86_400_000_000).rfc3339
    let token = try await plane.client.post(
      "\(organization)/service-tokens",
      #"{"name":"CI","role":"developer","expires_at":"\#(end)","project_ids":["\#(id)"]}"#)
    let bound = plane.client.with(token: try #require(token.json["token"]?.string))
    #expect(try await bound.get("\(organization)/events/stream").status == 403)
  }

  // MARK: Followed

  @Test func `what was and what happens comes as the list shows it, once and in order`()
    async throws
  {
    try await TestControlPlane.with(replicas: 2) { planes in
      let client = planes[0].client
      let organization = try await client.makeOrganization()
      let other = try await client.makeOrganization()
      for number in 0..<3 { _ = try await client.makeProject(in: organization, "\(number)") }
      let stream = try await FollowedEvents(client, organization)
      #expect(try await stream.take { $0.events.count == 7 })
      for number in 0..<20 {
        _ = try await planes[number % 2].client.makeProject(in: organization, "\(number)")
        _ = try await client.makeProject(in: other)
      }
      #expect(try await stream.take { $0.events.count >= 27 })
      let listed = try await client.events(of: organization)
      #expect(
        stream.events.compactMap(\.id)
          == listed.compactMap { $0["position"]?.integer.map { "\($0)" } })
      #expect(try stream.events.map { try JSONValue.parse(Array($0.data.utf8)) } == listed)
      #expect(stream.events.allSatisfy { $0.event == "event" })

      // Whoever comes again misses nothing, here or elsewhere, by either cursor.
      let middle = stream.events[10].id ?? ""
      for (query, cursor) in [("", middle), ("?after=\(middle)", nil), ("?after=0", middle)] {
        let again = try await FollowedEvents(planes[1].client, organization, query, cursor: cursor)
        #expect(try await again.take { $0.events.count == listed.count - 11 })
        #expect(again.events.first?.id == stream.events[11].id)
      }
    }
  }

  @Test func `an event comes at once, and a comment when there is none`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let stream = try await FollowedEvents(client, organization)
    #expect(try await stream.take { $0.events.count == 3 })
    let start = ContinuousClock.now
    _ = try await client.makeProject(in: organization)
    #expect(try await stream.take { $0.events.count >= 4 })
    #expect(ContinuousClock.now - start < .seconds(5))
    #expect(try await stream.take(for: .seconds(31)) { $0.heartbeats > 0 })
  }

  @Test func `a viewer is not shown what viewers may not read`() async throws {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.client.makeOrganization()
    let id = try #require(OrganizationID(String(organization.split(separator: "/")[2])))
    let viewer = try await plane.makeUser()
    try await plane.addMember(viewer.id, role: .viewer, to: id)
    let end = Timestamp.now.advanced(by: 86_400_000_000).rfc3339
    let (seeing, blind) = (
      try await FollowedEvents(plane.client, organization),
      try await FollowedEvents(viewer.client, organization)
    )
    _ = try await plane.client.post(
      "\(organization)/service-tokens", #"{"name":"CI","role":"viewer","expires_at":"\#(end)"}"#)
    _ = try await plane.client.post(
      "\(organization)/invitations", #"{"email":"new@example.com","role":"viewer"}"#)
    _ = try await plane.client.makeProject(in: organization)
    for stream in [seeing, blind] {
      #expect(try await stream.take { $0.types.contains("project.created") })
    }
    let hidden: Set = ["service_token.created", "invitation.created", "invitation.accepted"]
    #expect(hidden.isSubset(of: Set(seeing.types)))
    #expect(hidden.isDisjoint(with: Set(blind.types)), "\(blind.types)")
    #expect(Set(seeing.types).subtracting(hidden) == Set(blind.types))
  }

  @Test
  func `a member who is removed sees nothing from then on, and is hung up on within a second`()
    async throws
  {
    try await TestControlPlane.with(replicas: 2) { planes in
      let plane = planes[0]
      let organization = try await plane.client.makeOrganization()
      let id = try #require(OrganizationID(String(organization.split(separator: "/")[2])))
      let viewer = try await plane.makeUser()
      try await plane.addMember(viewer.id, role: .viewer, to: id)
      // On another replica than the one that removes them.
      let remote = planes[1].client.with(token: viewer.client.token)
      let stream = try await FollowedEvents(remote, organization)
      #expect(try await stream.take { $0.types.contains("member.added") })
      let count = stream.events.count
      let start = ContinuousClock.now
      #expect(
        try await plane.client.send("DELETE", "\(organization)/members/\(viewer.id)").status == 200)
      _ = try await plane.client.makeProject(in: organization)
      #expect(try await stream.isCut(within: .seconds(3)))
      #expect(ContinuousClock.now - start < .milliseconds(2500))
      #expect(stream.events.count == count)
      #expect(!stream.raw.contains("member.removed"))
    }
  }

  @Test func `a token that is revoked ends its stream`() async throws {
    let plane = try await TestControlPlane.shared
    let user = try await plane.makeUser()
    let organization = try await user.client.makeOrganization()
    let made = try await user.client.post("/v1/me/tokens", #"{"name":"A"}"#)
    let token = user.client.with(token: try #require(made.json["token"]?.string))
    let stream = try await FollowedEvents(token, organization)
    #expect(try await stream.take { $0.events.count == 3 })
    #expect(try await user.client.send("DELETE", try #require(made["location"])).status == 204)
    #expect(try await stream.isCut(within: .seconds(3)))
  }

  @Test func `a database that is away ends no stream, and what happened meanwhile comes`()
    async throws
  {
    try await TestControlPlane.with { planes in
      let (plane, client) = (planes[0], planes[0].client)
      let organization = try await client.makeOrganization()
      let stream = try await FollowedEvents(client, organization)
      #expect(try await stream.take { $0.events.count == 3 })
      try await plane.database.setReachable(false)
      try await stream.take(for: .seconds(3)) { _ in false }
      try await plane.database.setReachable(true)
      let end = ContinuousClock.now + .seconds(10)
      while try await client.post(
        "\(organization)/projects", #"{"name":"A","environment":"live"}"#
      ).status != 201, ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(50)) }
      #expect(try await stream.take { $0.types.contains("project.created") })
    }
  }

  /// Every type of event needs the permission to read what it is about.
  @Test func `what an event is about decides who sees it`() throws {
    var named = 0
    for type in WorkspaceEvent.payloadTypes {
      let permission = try #require(WorkspaceEvent.permissionToRead(eventOfType: type.type))
      #expect(permission.rawValue.hasSuffix(":read"))
      let subject = type.type.split(separator: ".")[0]
      guard let own = Permission(rawValue: "\(subject):read") else { continue }
      #expect(permission == own, "\(type.type)")
      named += 1
    }
    #expect(named >= 10)
    #expect(WorkspaceEvent.permissionToRead(eventOfType: "future.thing") == nil)
  }
}

/// Follows a stream by hand.
final class FollowedEvents {
  private let connection: RawClient
  private var body: [UInt8] = []
  private var parser = EventStreamParser()
  private(set) var events: [ServerSentEvent] = []
  private(set) var raw = ""

  init(
    _ client: TestClient, _ organization: String, _ query: String = "", cursor: String? = nil
  ) async throws {
    connection = try RawClient(port: client.http.port)
    let field = cursor.map { "Last-Event-ID: \($0)\r\n" } ?? ""
    try await connection.send(
      """
      GET \(organization)/events/stream\(query) HTTP/1.1\r\nHost: localhost\r
      Accept: text/event-stream\r\nAuthorization: Bearer \(client.token ?? "")\r\n\(field)\r\n
      """)
    let reply = try #require(try await connection.reply(toHead: true))
    #expect(reply.status == 200)
    #expect(reply.headers["content-type"] == "text/event-stream")
  }

  var types: [String] {
    events.compactMap { event in
      (try? JSONValue.parse(Array(event.data.utf8)))?["type"]?.string
    }
  }

  var heartbeats: Int {
    raw.split(separator: ": heartbeat", omittingEmptySubsequences: false).count - 1
  }

  /// Takes what comes until this is so, or time is over.
  @discardableResult
  func take(
    for time: Duration = .seconds(10), until isDone: (FollowedEvents) -> Bool
  ) async throws -> Bool {
    let end = ContinuousClock.now + time
    while !isDone(self), ContinuousClock.now < end {
      body += try await connection.bytes(until: min(end, .now + .milliseconds(100)))
      try parse()
    }
    return isDone(self)
  }

  /// Whether the other side hangs up within the time.
  func isCut(within time: Duration) async throws -> Bool {
    let end = ContinuousClock.now + time
    while ContinuousClock.now < end {
      body += try await connection.bytes(until: .now + .milliseconds(50))
      // The last chunk.
      if String(decoding: body, as: UTF8.self).hasSuffix("0\r\n\r\n") { return true }
      try parse()
    }
    return false
  }

  private func parse() throws {
    let bytes = unchunked()
    raw += String(decoding: bytes, as: UTF8.self)
    events += try parser.append(bytes).filter { $0.event != nil }
  }

  /// RFC 9112 §7.1, without extensions and trailers.
  private func unchunked() -> [UInt8] {
    var result: [UInt8] = []
    while let end = body.firstIndex(of: 0x0A) {
      let size = Int(String(decoding: body[..<(end - 1)], as: UTF8.self), radix: 16) ?? 0
      let next = end + 1 + size + 2
      guard size > 0, body.count >= next else { break }
      result += body[(end + 1)..<(end + 1 + size)]
      body.removeFirst(next)
    }
    return result
  }
}
