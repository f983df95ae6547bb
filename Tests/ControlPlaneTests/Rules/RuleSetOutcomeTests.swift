import ControlPlane
import Domain
import EventStore
import JSON
import Postgres
import Support
import Testing

/// What a replaced set of rules leaves behind: one event, one audit row, one change for gateways, rows of every kind.
@Suite struct RuleSetOutcomeTests {
  private static func body(_ range: Range<Int>, _ more: String...) -> String {
    let models = range.map { #"{"provider":"openai","model":"m\#($0)","effect":"deny"}"# }
    return #"{"rules":[\#((models + more).joined(separator: ","))]}"#
  }

  @Test func `a set may be larger than other bodies`() async throws {
    let client = try await TestControlPlane.shared.client
    let project = try await client.makeProject(in: client.makeOrganization())
    let note = String(repeating: "€", count: 500)
    let rules = (0..<950).map {
      #"{"provider":"openai","model":"m\#($0)","effect":"deny","note":"\#(note)"}"#
    }
    let body = #"{"rules":[\#(rules.joined(separator: ","))]}"#
    #expect(body.utf8.count > 1 << 20)
    let reply = try await client.put("\(project)/rules", body, headers: ["If-Match": "*"])
    #expect(reply.status == 200, "\(reply.text.prefix(300))")
  }

  @Test func `one act is one event, one audit row that is bounded, and one change for gateways`()
    async throws
  {
    try await TestControlPlane.with { planes in
      let (client, database) = (planes[0].client, planes[0].database)
      let organization = try await client.makeOrganization()
      let project = try await client.makeProject(in: organization)
      let mixed = [
        #"{"network":"10.0.0.0/8","effect":"deny"}"#, #"{"country":"DE","effect":"deny"}"#,
      ]
      let first = try await client.put(
        "\(project)/rules", Self.body(0..<500, mixed[0], mixed[1]), headers: ["If-Match": "*"])
      #expect(first.status == 200, "\(first.text.prefix(300))")
      let second = try await client.put(
        "\(project)/rules",
        Self.body(300..<900, mixed[0].replacing("deny", with: "allow")),
        headers: ["If-Match": try #require(first["etag"])])
      #expect(second.status == 200)
      let event = try #require(
        try await client.get("\(organization)/events?limit=200").json["data"]?.array?.last)
      #expect(event["type"] == .string("rule_set.replaced"))
      #expect(event["position"]?.integer == second["signalbox-position"].flatMap { Int64($0) })
      #expect(event["payload"]?["deleted"]?.array?.count == 301)
      #expect(event["payload"]?["changed"]?.array?.count == 1)
      #expect(event["payload"]?["created"]?.array?.count == 400)

      let audit = try #require(
        try await client.get("\(organization)/audit-events?limit=1").json["data"]?.array?.first)
      #expect(audit["target"]?["kind"] == .string("rule_set"))
      #expect(audit["target"]?["id"]?.string.map { project.hasSuffix($0) } == true)
      for (side, count, touched) in [("before", 502, 302), ("after", 601, 401)] {
        let rules = audit[side]?["rules"]
        #expect(rules?["count"] == .integer(Int64(count)))
        #expect(rules?["touched"] == .integer(Int64(touched)))
        #expect(rules?["data"]?.array?.count == 100)
      }

      try await database.withApplicationSession { session throws in
        #expect(try Rebuild.differences(session, deadline: .soon) == [])
        let patches = try session.execute(
          "SELECT patch FROM configuration_changes ORDER BY position DESC LIMIT 1", deadline: .soon)
        let patch = try JSONValue.parse(Array(patches[0].decode(String.self).utf8))
        let changes = patch["organizations"]?.object?.values.first?["projects"]?.object?.values
          .first?["rules"]?.object
        #expect(changes?.count == 702)
        #expect(changes?.values.count { $0.isNull } == 301)
        #expect(changes?.values.count { $0 == .object(["effect": .string("allow")]) } == 1)
      }
    }
  }

  @Test func `what is decided follows a replaced set at once`() async throws {
    let client = try await TestControlPlane.shared.client
    let project = try await client.makeProject(in: client.makeOrganization())
    for effect in ["deny", "allow", "deny"] {
      _ = try await client.put(
        "\(project)/rules",
        #"{"rules":[{"provider":"openai","model":"m1","effect":"\#(effect)"}]}"#,
        headers: ["If-Match": "*"])
      let decision = try await client.post(
        "\(project)/rules:evaluate", #"{"provider":"openai","model":"m1"}"#)
      #expect(
        try decision.json["decision"]?.string == (effect == "deny" ? "block" : "allow"),
        "\(decision.text)")
    }
  }

  @Test func `with a key, the first reply is replayed; without a difference, nothing happens`()
    async throws
  {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let project = try await client.makeProject(in: organization)
    let headers = ["If-Match": "*", "Idempotency-Key": "rules-of-\(project.hashValue)"]
    let body = Self.body(0..<300)
    let first = try await client.put("\(project)/rules", body, headers: headers)
    let again = try await client.put("\(project)/rules", body, headers: headers)
    #expect(again["idempotency-replayed"] == "true")
    #expect(again.body == first.body)
    // Not stored, and so rendered elsewhere: to the byte the same.
    let same = try await client.put("\(project)/rules", body, headers: ["If-Match": "*"])
    #expect(same.body == first.body)
    #expect(same["signalbox-position"] == nil)
    #expect(same["etag"] == first["etag"])
  }

  @Test func `a dry run of a large set shows what then happens`() async throws {
    let client = try await TestControlPlane.shared.client
    let project = try await client.makeProject(in: client.makeOrganization())
    let body = Self.body(0..<300)
    let dry = try await client.put(
      "\(project)/rules?dry_run=true", body, headers: ["If-Match": "*"])
    #expect(dry.status == 200)
    let events = try #require(try dry.json["events"]?.array)
    #expect(events.map { $0["type"] } == [.string("rule_set.replaced")])
    #expect(events[0]["payload"]?["created"]?.array?.count == 300)
    #expect(try dry.json["resource"]?["data"]?.array?.count == 300)
    #expect(try await client.get("\(project)/rules").json["data"] == .array([]))
  }

  @Test func `what one workspace appends is limited, and nothing of it is another's`() async throws
  {
    try await TestControlPlane.with({
      $0.rateLimits = RateLimiter(
        append: RateLimitPolicy(.append, quota: 1000, burst: 30_000))
    }) { planes in
      let client = planes[0].client
      let organization = try await client.makeOrganization()
      let project = try await client.makeProject(in: organization)
      let stranger = try await planes[0].makeUser().client
      let strangers = try await stranger.makeOrganization()
      let other = try await stranger.makeProject(in: strangers)
      _ = try await client.put(
        "\(strangers)/plan", #"{"plan_tier":"business"}"#, headers: ["If-Match": "*"])
      let any = ["If-Match": "*"]
      // More than the bucket holds, but it is full.
      let first = try await client.put("\(project)/rules", Self.body(0..<900), headers: any)
      #expect(first.status == 200)
      let second = try await client.put("\(project)/rules", Self.body(1..<901), headers: any)
      #expect(second.status == 429)
      #expect(try second.problem == "rate-limited")
      #expect(
        second["ratelimit-policy"] == #""append";q=1000;qu="content-bytes";w=60"#)
      let wait = try #require(second["retry-after"].flatMap { Int($0) })
      #expect(wait > 60)
      // Small changes are free. Another workspace of the same user is not, and other users' are not concerned.
      #expect(
        try await client.patch(project, #"{"name":"B"}"#).status == 200)
      let own = try await client.makeProject(in: client.makeOrganization())
      #expect(
        try await client.put("\(own)/rules", Self.body(0..<900), headers: any).status == 429)
      #expect(
        try await stranger.put("\(other)/rules", Self.body(0..<900), headers: any).status == 200)
      let metrics = try await client.get("/metrics").text
      #expect(metrics.contains("signalbox_append_limited_total 2"), "\(metrics)")
    }
  }

  @Test func `what appends nothing costs nothing`() async throws {
    try await TestControlPlane.with({
      $0.rateLimits = RateLimiter(
        append: RateLimitPolicy(.append, quota: 1000, burst: 160_000))
    }) { planes in
      let client = planes[0].client
      let project = try await client.makeProject(in: client.makeOrganization())
      for _ in 0..<5 {
        let refused = try await client.put(
          "\(project)/rules", Self.body(0..<900), headers: ["If-Match": #""1""#])
        #expect(refused.status == 412)
      }
      for _ in 0..<3 {
        // The first one fills the set, the others find nothing to do: all but the first are given back.
        let reply = try await client.put(
          "\(project)/rules", Self.body(0..<500), headers: ["If-Match": "*"])
        #expect(reply.status == 200, "\(reply.text.prefix(300))")
      }
    }
  }
}
