import ControlPlane
import Domain
import JSON
import Support
import Testing

/// `/v1/organizations/{organization}/projects`, by outcome.
@Suite struct ProjectOutcomeTests {
  // MARK: 4xx

  @Test(arguments: [
    ("{}", ["/name", "/environment"]), (#"{"name":"A","environment":"LIVE"}"#, ["/environment"]),
    (#"{"name":"A","environment":"live","version":1}"#, ["/version"]),
    (#"{"name":"\u0001","environment":null}"#, ["/name", "/environment"]),
  ])
  func `422 for a project that cannot be`(body: String, places: [String]) async throws {
    let client = try await TestControlPlane.shared.client
    let reply = try await client.post("\(try await client.makeOrganization())/projects", body)
    #expect(reply.status == 422)
    #expect(try Set(reply.places) == Set(places), "\(reply.text)")
  }

  @Test(arguments: [
    (#"{"name":null}"#, ["/name"]), (#"{"loop_sensitivity":null}"#, ["/loop_sensitivity"]),
    (#"{"rate_limit":0,"max_tokens":10000001}"#, ["/rate_limit", "/max_tokens"]),
    (#"{"rate_limit":1.5}"#, ["/rate_limit"]), (#"{"abuse_threshold":"5"}"#, ["/abuse_threshold"]),
    (#"{"environment":"test"}"#, ["/environment"]), (#"{"panic_mode":true}"#, ["/panic_mode"]),
  ])
  func `422 for a change that cannot be`(body: String, places: [String]) async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeProject(in: client.makeOrganization())
    let reply = try await client.patch(path, body)
    #expect(reply.status == 422)
    #expect(try Set(reply.places) == Set(places), "\(reply.text)")
  }

  @Test func `404 for another organization's project`() async throws {
    let client = try await TestControlPlane.shared.client
    let mine = try await client.makeOrganization()
    let theirs = try await client.makeProject(in: client.makeOrganization())
    let path = "\(mine)/projects/\(theirs.split(separator: "/")[4])"
    #expect(try await client.get(path).status == 404)
    #expect(try await client.patch(path, #"{"name":"B"}"#).status == 404)
    #expect(try await client.put("\(path)/panic-mode", #"{"enabled":true}"#).status == 404)
    #expect(try await client.post("\(path)/archive", headers: ["If-Match": "*"]).status == 404)
  }

  @Test func `409 for whatever would change an archived project`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeProject(in: client.makeOrganization())
    _ = try await client.post("\(path)/archive", headers: ["If-Match": "*"])
    #expect(try await client.patch(path, #"{"name":"B"}"#).status == 409)
    #expect(try await client.put("\(path)/panic-mode", #"{"enabled":true}"#).status == 409)
    let again = try await client.post("\(path)/archive", headers: ["If-Match": "*"])
    #expect(again.status == 200)
    #expect(again["signalbox-position"] == nil)
  }

  @Test func `412 says which version is current`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeProject(in: client.makeOrganization())
    _ = try await client.patch(path, #"{"name":"B"}"#, ifMatch: #""1""#)
    let reply = try await client.patch(path, #"{"name":"C"}"#, ifMatch: #""1""#)
    #expect(reply.status == 412)
    #expect(reply["etag"] == #""2""#)
  }

  @Test func `a viewer reads and changes nothing`() async throws {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.client.makeOrganization()
    let path = try await plane.client.makeProject(in: organization)
    let viewer = try await plane.makeMember(of: organization, role: .viewer)
    #expect(try await viewer.get(path).status == 200)
    #expect(try await viewer.get("\(organization)/projects").status == 200)
    #expect(try await viewer.put("\(path)/panic-mode", #"{"enabled":true}"#).status == 403)
    #expect(try await viewer.patch(path, #"{"name":"B"}"#).status == 403)
    let created = try await viewer.post(
      "\(organization)/projects", #"{"name":"A","environment":"live"}"#)
    #expect(created.status == 403)
  }

  // MARK: 2xx

  @Test func `a merge patch tells null, absent and a value apart`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeProject(in: client.makeOrganization())
    _ = try await client.patch(path, #"{"rate_limit":600,"max_tokens":100}"#)
    let reply = try await client.patch(
      path, #"{"rate_limit":null,"abuse_threshold":5,"loop_sensitivity":"high"}"#,
      headers: ["Content-Type": "application/merge-patch+json"])
    let json = try reply.json
    #expect(json["rate_limit"] == .null)
    #expect(json["max_tokens"] == .integer(100))
    #expect(json["abuse_threshold"] == .integer(5))
    #expect(json["loop_sensitivity"] == .string("high"))
    #expect(try await client.get(path).json == json)
  }

  @Test func `panic mode is on when the reply is sent, without If-Match`() async throws {
    let plane = try await TestControlPlane.shared
    let path = try await plane.client.makeProject(in: plane.client.makeOrganization())
    let on = try await plane.client.put(
      "\(path)/panic-mode", #"{"enabled":true,"reason":"a leak"}"#)
    #expect(on.status == 200)
    let mode = try #require(try await plane.client.get(path).json["panic_mode"])
    #expect(mode["enabled"] == .bool(true))
    #expect(mode["reason"] == .string("a leak"))
    #expect(mode["by"]?["id"] == .string(plane.adminID.description))
    let again = try await plane.client.put("\(path)/panic-mode", #"{"enabled":true}"#)
    #expect(again["signalbox-position"] == nil)
    let off = try await plane.client.put("\(path)/panic-mode", #"{"enabled":false}"#)
    #expect(try off.json["panic_mode"]?["since"] == .null)
  }

  @Test func `panic mode with an end is ended by an event of the system`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let path = try await client.makeProject(in: organization)
    let end = Timestamp.now.advanced(by: 1_500_000)
    let on = try await client.put(
      "\(path)/panic-mode", #"{"enabled":true,"until":"\#(end.rfc3339)"}"#)
    #expect(try on.json["panic_mode"]?["until"] == .string(end.rfc3339))
    var off: JSONValue?
    for _ in 0..<100 where off == nil {
      try await Task.sleep(for: .milliseconds(100))
      let mode = try await client.get(path).json["panic_mode"]
      if mode?["enabled"] == .bool(false) { off = mode }
    }
    #expect(off?["until"] == .null)
    #expect(Timestamp.now >= end)
    let audit = try await client.all("\(organization)/audit-events")
    #expect(audit.first?["actor"]?["kind"] == .string("system"), "\(audit.first ?? .null)")
  }

  @Test(arguments: [
    #"{"enabled":true,"until":"2020-01-01T00:00:00Z"}"#,
    #"{"enabled":false,"until":"2099-01-01T00:00:00Z"}"#,
  ])
  func `422 for an end that cannot be`(body: String) async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeProject(in: client.makeOrganization())
    let reply = try await client.put("\(path)/panic-mode", body)
    #expect(reply.status == 422)
    #expect(try reply.places == ["/until"])
  }

  @Test func `budgets are set, and lifted one by one or together`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeProject(in: client.makeOrganization())
    func budgets(after body: String) async throws -> JSONValue? {
      try await client.patch(path, body).json["budgets"]
    }
    let set = try await budgets(
      after: #"{"budgets":{"requests_per_month":1000,"cost_per_month":25000000}}"#)
    #expect(
      set
        == .object(["requests_per_month": .integer(1000), "cost_per_month": .integer(25_000_000)]))
    let one = try await budgets(after: #"{"budgets":{"requests_per_month":null}}"#)
    #expect(
      one == .object(["requests_per_month": .null, "cost_per_month": .integer(25_000_000)]))
    let none = try await budgets(after: #"{"budgets":null}"#)
    #expect(none == .object(["requests_per_month": .null, "cost_per_month": .null]))
    #expect(try await client.get(path).json["budgets"] == none)
    let refused = try await client.patch(path, #"{"budgets":{"cost_per_month":0,"a":1}}"#)
    #expect(try Set(refused.places) == ["/budgets/cost_per_month", "/budgets/a"])
  }

  @Test func `lists are filtered by environment and archive`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    var names: [String: String] = [:]
    for number in 0..<6 {
      let environment = number % 2 == 0 ? "live" : "test"
      names["\(number)"] = try await client.makeProject(
        in: organization, "\(number)", environment: environment)
    }
    _ = try await client.post("\(try #require(names["4"]))/archive", headers: ["If-Match": "*"])
    func list(_ query: String) async throws -> [String?] {
      try await client.all("\(organization)/projects\(query)", limit: 2).map { $0["name"]?.string }
    }
    #expect(try await list("") == ["5", "4", "3", "2", "1", "0"])
    #expect(try await list("?environment=live") == ["4", "2", "0"])
    #expect(try await list("?environment=live&archived=false") == ["2", "0"])
    #expect(try await list("?archived=true") == ["4"])
    #expect(try await list("?as_of=6") == ["1", "0"])
  }
}
