import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

@Suite struct WebhookEndpointOutcomeTests {
  // MARK: Refused

  @Test func `everything that is wrong with an endpoint is said at once`() async throws {
    let client = try await TestControlPlane.shared.client
    let endpoints = "\(try await client.makeOrganization())/webhook-endpoints"
    let reply = try await client.post(
      endpoints,
      #"{"url":"http://example.com/","description":"","event_types":["project.*","nothing.happened"],"secret":"x"}"#
    )
    #expect(reply.status == 422)
    #expect(
      try Set(reply.places) == ["/url", "/description", "/event_types/1", "/secret"],
      "\(reply.text)")
    for (url, code) in [
      ("https://127.0.0.1/", "private-target"), ("https://10.0.0.1:8080/x", "private-target"),
      ("https://localhost/", "private-target"), ("https://[::1]/", "private-target"),
      ("https://2130706433/", "format"), ("https://a@example.com/", "format"),
      ("ftp://example.com/", "scheme"),
    ] {
      let reply = try await client.post(endpoints, #"{"url":"\#(url)"}"#)
      #expect(reply.status == 422, "\(url)")
      #expect(try reply.json["errors"]?.array?.first?["code"]?.string == code, "\(reply.text)")
    }
    for body in [
      #"{"url":"https://example.com/","event_types":[]}"#,
      #"{"url":"https://example.com/","event_types":["account.erased"]}"#,
      #"{"url":"https://example.com/","event_types":["project.*","invitation.*"]}"#,
      #"{"url":"https://example.com/","event_types":["service_token.created"]}"#,
      #"{"url":null}"#, "{}", "[]",
    ] {
      #expect(try await client.post(endpoints, body).status == 422, "\(body)")
    }
  }

  @Test func `the twenty-first endpoint is refused`() async throws {
    let client = try await TestControlPlane.shared.client
    let endpoints = "\(try await client.makeOrganization())/webhook-endpoints"
    for number in 1...20 {
      let reply = try await client.post(endpoints, #"{"url":"https://example.com/\#(number)"}"#)
      #expect(reply.status == 201, "\(reply.text)")
    }
    let reply = try await client.post(endpoints, #"{"url":"https://example.com/21"}"#)
    #expect(reply.status == 409)
    #expect(try reply.problem == "too-many-webhook-endpoints")
    #expect(try await client.all(endpoints, limit: 7).count == 20)
  }

  @Test
  func `a change needs the version that it is made for, and another URL passes the same checks`()
    async throws
  {
    let client = try await TestControlPlane.shared.client
    let endpoint = try await client.makeWebhookEndpoint("https://example.com/").path
    #expect(try await client.patch(endpoint, "{}", ifMatch: nil).status == 428)
    #expect(try await client.patch(endpoint, "{}", ifMatch: #""2""#).status == 412)
    for body in [
      #"{"url":"https://192.168.0.1/"}"#, #"{"url":null}"#, #"{"event_types":null}"#,
      #"{"event_types":["x"]}"#, #"{"event_types":["service_token.*"]}"#,
      #"{"event_types":["invitation.created"]}"#,
    ] {
      #expect(try await client.patch(endpoint, body).status == 422, "\(body)")
    }
    for (verb, body) in [
      ("rotate-secret", #"{"overlap_seconds":604801}"#), ("enable", #"{"skip_missed":1}"#),
      ("replay", "{}"), ("replay", #"{"from_position":0}"#), ("disable", #"{"reason":"x"}"#),
      ("ping", #"{"x":1}"#),
    ] {
      #expect(try await client.post("\(endpoint):\(verb)", body).status == 422, "\(verb)")
    }
  }

  @Test func `what is not there is not found`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let none = "\(organization)/webhook-endpoints/whe_00000000000000000000000000"
    for path in [none, "\(none)/deliveries", "\(organization)/webhook-endpoints/x"] {
      #expect(try await client.get(path).status == 404, "\(path)")
    }
    for verb in ["ping", "enable", "disable", "rotate-secret"] {
      #expect(try await client.post("\(none):\(verb)").status == 404, "\(verb)")
    }
    let event = "evt_00000000000000000000000000"
    let endpoint = try await client.makeWebhookEndpoint("https://example.com/").path
    #expect(try await client.get("\(endpoint)/deliveries/\(event)").status == 404)
    #expect(try await client.post("\(endpoint)/deliveries/\(event):retry").status == 404)
  }

  // MARK: Carried out

  @Test func `an endpoint is created, read, changed, disabled, enabled and deleted`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let created = try await client.post(
      "\(organization)/webhook-endpoints",
      #"{"url":"HTTPS://Example.com:443/hooks","event_types":["project.*","project.*","*"]}"#)
    #expect(created.status == 201, "\(created.text)")
    #expect(created["cache-control"] == "no-store")
    let endpoint = try #require(created["location"])
    #expect(try created.json["url"]?.string == "https://example.com/hooks")
    #expect(try created.json["event_types"] == .array([.string("*"), .string("project.*")]))
    let read = try await client.get(endpoint)
    #expect(try read.json["secret"] == nil)
    #expect(read["etag"] == #""1""#)
    #expect(try await client.get(endpoint, headers: ["If-None-Match": #""1""#]).status == 304)

    let changed = try await client.patch(
      endpoint,
      #"{"description":"Ledger","event_types":["credits.*","member.added"]}"#
        .replacing("credits.*", with: "rule.*"), ifMatch: #""1""#)
    #expect(changed["etag"] == #""2""#, "\(changed.text)")
    #expect(try changed.json["description"]?.string == "Ledger")
    let disabled = try await client.post("\(endpoint):disable")
    #expect(try disabled.json["status"]?.string == "disabled")
    #expect(try disabled.json["disabled_reason"]?.string == "operator")
    #expect(try await client.post("\(endpoint):disable")["signalbox-position"] == nil)
    let enabled = try await client.post("\(endpoint):enable", #"{"skip_missed":true}"#)
    #expect(try enabled.json["status"]?.string == "enabled")
    #expect(try enabled.json["disabled_at"] == .null)
    #expect(try await client.get("\(endpoint)?as_of=\(5)").json["event_types"] != nil)
    #expect(try await client.send("DELETE", endpoint).status == 204)
    #expect(try await client.get(endpoint).status == 404)
    #expect(try await client.all("\(organization)/webhook-endpoints").isEmpty)
  }

  @Test func `a dry run shows what would happen, and no secret`() async throws {
    let client = try await TestControlPlane.shared.client
    let endpoints = "\(try await client.makeOrganization())/webhook-endpoints"
    let reply = try await client.post(
      "\(endpoints)?dry_run=true", #"{"url":"https://example.com/"}"#)
    #expect(reply.status == 200)
    #expect(!reply.text.contains("whsec_"))
    #expect(
      try reply.json["events"]?.array?.first?["type"]?.string == "webhook_endpoint.created")
    #expect(try await client.all(endpoints).isEmpty)
  }

  @Test func `a repetition with the same key shows the same secret, and makes nothing`()
    async throws
  {
    let client = try await TestControlPlane.shared.client
    let endpoints = "\(try await client.makeOrganization())/webhook-endpoints"
    let (body, key) = (#"{"url":"https://example.com/"}"#, ["Idempotency-Key": "\(UUID())"])
    let first = try await client.post(endpoints, body, headers: key)
    let second = try await client.post(endpoints, body, headers: key)
    #expect(second["idempotency-replayed"] == "true")
    #expect(try first.json["secret"] == second.json["secret"])
    #expect(try await client.all(endpoints).count == 1)
    let endpoint = try #require(first["location"])
    let rotationKey = ["Idempotency-Key": "\(UUID())"]
    let rotated = try await client.post("\(endpoint):rotate-secret", headers: rotationKey)
    let again = try await client.post("\(endpoint):rotate-secret", headers: rotationKey)
    #expect(try rotated.json["secret"] == again.json["secret"])
    #expect(try rotated.json["secret"] != first.json["secret"])
    #expect(try rotated.json["former_secret_until"]?.string != nil)
  }

  /// Never in clear, and good in one place only.
  @Test func `a secret is in no table, no event and no audit, and opens nowhere else`() async throws
  {
    let plane = try await TestControlPlane.shared
    let made = try await plane.client.makeWebhookEndpoint("https://example.com/")
    let rotated = try await plane.client.post("\(made.path):rotate-secret")
    let texts = [made.secret, try #require(rotated.json["secret"]?.string)]
    let (organization, endpoint) = try made.ids
    for text in texts {
      let encoded = String(text.dropFirst(WebhookSignature.secretPrefix.count))
      let found = try await plane.database.withSession { session throws in
        try session.execute(
          """
          SELECT (SELECT count(*) FROM events AS t WHERE t::text LIKE '%' || \(encoded) || '%') \
          + (SELECT count(*) FROM webhook_endpoints AS t WHERE t::text LIKE '%' || \(encoded) || '%') \
          + (SELECT count(*) FROM workspace_audit_events AS t WHERE t::text LIKE '%' || \(encoded) || '%') \
          + (SELECT count(*) FROM idempotency_records AS t \
          WHERE position(convert_to(\(encoded), 'UTF8') IN body) > 0)
          """, deadline: .soon)[0].decode(Int64.self)
      }
      #expect(found == 0)
    }
    let row = try await plane.database.withApplicationSession { session throws in
      try WebhookEndpointRow(
        session.execute(
          WebhookEndpointTable.find(endpoint, in: organization), deadline: .soon)[0])
    }
    let vault = plane.controlPlane.services.webhookSecrets
    let opened = try vault.open(row.endpoint.secret, of: endpoint, in: organization)
    #expect(WebhookSignature.text(ofSecret: opened) == texts[1])
    let former = try #require(row.endpoint.former).sealed
    #expect(
      WebhookSignature.text(ofSecret: try vault.open(former, of: endpoint, in: organization))
        == texts[0])
    #expect(throws: (any Error).self) {
      try vault.open(
        row.endpoint.secret, of: WebhookEndpointID(UUID()), in: organization)
    }
    #expect(throws: (any Error).self) {
      try vault.open(row.endpoint.secret, of: endpoint, in: OrganizationID(UUID()))
    }
  }
}

/// An endpoint that was made, and its secret.
struct MadeWebhookEndpoint {
  let path: String
  let secret: String

  var ids: (OrganizationID, WebhookEndpointID) {
    get throws {
      let parts = path.split(separator: "/").map(String.init)
      return (
        try #require(OrganizationID(parts[2])), try #require(WebhookEndpointID(parts[4]))
      )
    }
  }

  /// The path of its organization.
  var organization: String {
    "/" + path.split(separator: "/").prefix(3).joined(separator: "/")
  }
}

extension TestClient {
  /// Makes an endpoint, in an organization of its own unless said otherwise.
  func makeWebhookEndpoint(
    _ url: String, types: [String] = ["*"], in organization: String? = nil
  ) async throws -> MadeWebhookEndpoint {
    let organization = if let organization { organization } else { try await makeOrganization() }
    let types = types.map { #""\#($0)""# }.joined(separator: ",")
    let reply = try await post(
      "\(organization)/webhook-endpoints", #"{"url":"\#(url)","event_types":[\#(types)]}"#)
    return MadeWebhookEndpoint(
      path: try #require(reply["location"], "\(reply.text)"),
      secret: try #require(reply.json["secret"]?.string))
  }
}
