import ControlPlane
import Cryptography
import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@Suite struct EventFeedTests {
  @Test func `following the feed skips nothing and repeats nothing`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    for number in 0..<10 { _ = try await client.makeProject(in: organization, "\(number)") }
    var events: [JSONValue] = []
    var after: Int64 = 0
    while true {
      let page = try await client.get("\(organization)/events?after=\(after)&limit=5").json
      after = try #require(page["next_after"]?.integer)
      guard let data = page["data"]?.array, !data.isEmpty else { break }
      events += data
    }
    #expect(events.compactMap { $0["version"]?.integer } == Array(1...14))
    let end = try await client.get("\(organization)/events?after=\(after)").json
    #expect(end["next_after"]?.integer == after)
  }

  @Test func `events that are hidden are looked past once, and none that is shown is skipped`()
    async throws
  {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.client.makeOrganization()
    let viewer = try await plane.makeMember(of: organization, role: .viewer)
    func position() async throws -> Int64 {
      let events = try await plane.client.get("\(organization)/events?limit=200").json["data"]
      return try #require(events?.array?.last?["position"]?.integer)
    }
    func page(after: Int64) async throws -> (types: [String], next: Int64) {
      let page = try await viewer.get("\(organization)/events?after=\(after)").json
      let types = page["data"]?.array?.compactMap { $0["type"]?.string } ?? []
      return (types, try #require(page["next_after"]?.integer))
    }
    func invite(_ number: Int) async throws {
      let reply = try await plane.client.post(
        "\(organization)/invitations", #"{"email":"guest\#(number)@example.com","role":"viewer"}"#)
      #expect(reply.status == 201, "\(reply.text)")
    }
    var after = try await page(after: 0).next
    for number in 0..<3 { try await invite(number) }
    let hidden = try await position()
    let first = try await page(after: after)
    #expect(first.types == [])
    #expect(first.next == hidden && hidden > after, "\(first) \(hidden)")
    let again = try await page(after: hidden)
    #expect(again.types == [] && again.next == hidden)
    #expect(try await page(after: hidden + 1_000_000).next == hidden + 1_000_000)
    _ = try await plane.client.makeProject(in: organization)
    for number in 3..<5 { try await invite(number) }
    // What is shown between hidden ones is where the page ends.
    let shown = try await page(after: after)
    #expect(shown.types.first == "project.created")
    #expect(shown.next < (try await position()))
    after = try await page(after: shown.next).next
    #expect(after == (try await position()))
    // Who may read all of them begins again.
    let types = try await plane.client.get("\(organization)/events?limit=200").json["data"]?.array?
      .compactMap { $0["type"]?.string }
    #expect(types?.count { $0 == "invitation.created" } == 6)
  }

  @Test(arguments: ["after=-1", "after=x", "after=", "cursor=abc", "limit=0"])
  func `a place that is none is refused`(query: String) async throws {
    let client = try await TestControlPlane.shared.client
    let reply = try await client.get("\(try await client.makeOrganization())/events?\(query)")
    #expect(reply.status == 422)
  }

  /// Everything that is hashed is in the feed: a client needs nothing else to check the chain.
  @Test func `each event is chained to the one before and hashed as it is sent`() async throws {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.client.makeOrganization()
    _ = try await plane.client.makeProject(in: organization, "Zürich \\\"quoted\\\" 🚂")
    let id = try #require(OrganizationID(String(organization.split(separator: "/")[2])))
    let events = try #require(
      try await plane.client.get("\(organization)/events").json["data"]?.array)
    #expect(events.count == 5)
    var previous = String(repeating: "0", count: 64)
    for event in events {
      #expect(event["previous_hash"] == .string(previous))
      var envelope: [String: JSONValue] = [
        "organization_id": .string(id.uuid.uuidString.lowercased())
      ]
      envelope["causation_id"] = event["command_id"]
      envelope["request_id"] = event["request_id"]
      for member in ["payload", "position", "schema_version", "type", "version"] {
        envelope[member] = event[member]
      }
      let eventID = try #require(event["event_id"]?.string.flatMap(EventID.init))
      envelope["event_id"] = .string(eventID.uuid.uuidString.lowercased())
      envelope["actor_kind"] = event["actor"]?["kind"]
      let actorID = try #require(event["actor"]?["id"]?.string.flatMap(UserID.init))
      envelope["actor_id"] = .string(actorID.uuid.uuidString.lowercased())
      let time = try #require(event["occurred_at"]?.string.flatMap(Timestamp.init(rfc3339:)))
      envelope["occurred_at"] = .integer(time.microseconds)
      let hash = SHA256.hash(try Self.bytes(previous), JSONValue.object(envelope).canonicalBytes())
      #expect(event["hash"] == .string(hash.hexString))
      previous = hash.hexString
    }
  }

  private static func bytes(_ hexadecimal: String) throws -> [UInt8] {
    let digits = Array(hexadecimal)
    return try stride(from: 0, to: digits.count, by: 2).map {
      try #require(UInt8(String(digits[$0...$0 + 1]), radix: 16))
    }
  }
}
