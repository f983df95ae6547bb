import ControlPlane
import Domain
import JSON
import Support
import Testing

/// Instants at the ends of the calendar, and past them, one by one. All others are in `ops/contract/boundaries.py`.
@Suite struct InstantBoundaryTests {
  static let outside = [
    "0000-01-01T00:00:00Z", "0000-01-01T00:00:00+23:59", "0000-01-01T00:00:00+00:01",
    "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59.999999-23:59",
  ]

  @Test func `a replay names the time that is none`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let path = "\(world.path)/projects/\(world.project)/rules:replay"
    for outside in Self.outside {
      let reply = try await world.owner.post(
        path, #"{"rules":[],"from":"\#(outside)","to":"9999-12-31T23:59:59Z"}"#)
      #expect(reply.status == 422, "\(outside) \(reply.text)")
      #expect(try reply.places == ["/from"])
    }
    let both = try await world.owner.post(
      path,
      #"{"rules":[],"from":"0000-01-01T00:00:00+23:59","to":"0000-01-01T00:00:00+00:01"}"#)
    #expect(try both.places == ["/from", "/to"])
    let all = try await world.owner.post(
      path,
      #"{"rules":[],"from":"0000-12-31T23:59:59-23:59","to":"9999-12-31T23:59:59.999999Z"}"#)
    #expect(all.status == 200, "\(all.text)")
  }

  @Test func `no rule expires outside the calendar, however it is made`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let project = try await client.makeProject(in: organization)
    let made = try await client.post(
      "\(organization)/rules", #"{"country":"DE","effect":"deny"}"#)
    let rule = try #require(made["location"])
    for outside in Self.outside {
      let draft = #"{"country":"FR","effect":"deny","expires_at":"\#(outside)"}"#
      let replies = try await [
        client.post("\(organization)/rules", draft),
        client.patch(rule, #"{"expires_at":"\#(outside)"}"#),
      ]
      for reply in replies {
        #expect(reply.status == 422, "\(outside) \(reply.text)")
        #expect(try reply.places == ["/expires_at"])
      }
      for query in ["", "?dry_run=true"] {
        let reply = try await client.put(
          "\(project)/rules\(query)", #"{"rules":[\#(draft)]}"#, headers: ["If-Match": "*"])
        #expect(reply.status == 422, "\(outside) \(reply.text)")
        #expect(try reply.places == ["/rules/0/expires_at"])
      }
    }
    let last = try await client.patch(rule, #"{"expires_at":"9999-12-31T00:00:00-23:59"}"#)
    #expect(last.status == 200, "\(last.text)")
    #expect(try last.json["expires_at"]?.string == "9999-12-31T23:59:00.000000Z")
  }

  @Test func `panic mode ends within the calendar, in replies and for gateways`() async throws {
    let plane = try await TestControlPlane.shared
    let client = plane.client
    let organization = try await client.makeOrganization()
    let project = try await client.makeProject(in: organization)
    for outside in Self.outside {
      let reply = try await client.put(
        "\(project)/panic-mode", #"{"enabled":true,"until":"\#(outside)"}"#)
      #expect(reply.status == 422, "\(outside) \(reply.text)")
      #expect(try reply.places == ["/until"])
    }
  }

  @Test func `a key that expires in 9999 is rotated into 9999`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let project = try await client.makeProject(in: organization, environment: "live")
    let made = try await client.post(
      "\(project)/api-keys", #"{"name":"Web","expires_at":"9999-12-31T23:59:59Z"}"#)
    let path = try #require(made["location"], "\(made.text)")
    let rotated = try await client.post("\(path):rotate", #"{"grace_seconds":604800}"#)
    #expect(rotated.status == 200, "\(rotated.text)")
    let end = try #require(rotated.json["expires_at"]?.string)
    #expect(end >= "9999-12-31T23:59:59.000000Z" && end < "9999-12-31T23:59:60", "\(end)")
    for key in try await client.all("\(project)/api-keys") {
      let expiry = try #require(key["expires_at"]?.string)
      #expect(Timestamp(rfc3339: expiry).map { $0 > .now } == true, "\(expiry)")
    }
  }

  @Test(arguments: [
    ("9999-12", 200), ("0001-01", 200), ("0000-01", 422), ("0000-12", 422), ("10000-01", 422),
    ("-001-01", 422), ("9999-13", 422),
  ])
  func `usage has the months of the calendar`(period: String, status: Int) async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let reply = try await client.get("\(organization)/usage?period=\(period)")
    #expect(reply.status == status, "\(reply.text)")
    if status == 422 {
      #expect(try reply.json["errors"]?.array?.first?["parameter"]?.string == "period")
    } else {
      #expect(try reply.json["period"]?.string == period)
    }
  }

  /// Multiplied with a million, such an `exp` has no place in 64 bits.
  @Test(arguments: [9_300_000_000_000, 9_223_372_036_854_775_807 - 4_000_000_000] as [Int64])
  func `a token that ends far behind the calendar is as good as any`(lifetime: Int64) async throws {
    let plane = try await TestControlPlane.shared
    let client = try plane.signIn("exp-\(lifetime)@example.com", lifetime: lifetime)
    for _ in 0..<2 {
      let reply = try await client.get("/v1/me")
      #expect(reply.status == 200, "\(reply.text)")
    }
  }
}
