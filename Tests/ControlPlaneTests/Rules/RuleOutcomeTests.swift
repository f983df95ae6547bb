import ControlPlane
import Domain
import JSON
import Support
import Testing

/// `/v1/organizations/{organization}/rules`, a project's set of them, and `rules:evaluate`, by outcome.
@Suite struct RuleOutcomeTests {
  static let deny = #"{"provider":"openai","model":"gpt-4*","effect":"deny"}"#

  // MARK: 4xx

  @Test(arguments: [
    ("{}", ["/effect", "/network"]),
    (#"{"effect":"deny","network":"10.0.0.1/8x"}"#, ["/network"]),
    (#"{"effect":"deny","network":"10.0.0.0/33"}"#, ["/network"]),
    (#"{"effect":"deny","country":"ZZ"}"#, ["/country"]),
    (#"{"effect":"deny","country":"XX"}"#, ["/country"]),
    (#"{"effect":"deny","country":"EU"}"#, ["/country"]),
    (#"{"effect":"deny","country":"T1"}"#, ["/country"]),
    (#"{"effect":"deny","country":""}"#, ["/country"]),
    (#"{"effect":"deny","model":"*","provider":" openai"}"#, ["/provider"]),
    (#"{"effect":"deny","model":"*","provider":"openai "}"#, ["/provider"]),
    (#"{"effect":"deny","model":"*","provider":"https://api.openai.com"}"#, ["/provider"]),
    (#"{"effect":"deny","model":"*","provider":"open*"}"#, ["/provider"]),
    (#"{"effect":"deny","model":"*","provider":"öpenai"}"#, ["/provider"]),
    (#"{"effect":"deny","model":"*","provider":""}"#, ["/provider"]),
    (#"{"effect":"deny","model":"","provider":"openai"}"#, ["/model"]),
    (#"{"effect":"deny","model":"gpt 4","provider":"openai"}"#, ["/model"]),
    (#"{"effect":"deny","model":"gpt-4\u0000","provider":"openai"}"#, ["/model"]),
    (#"{"effect":"deny","network":"::ffff:10.0.0.0/90"}"#, ["/network"]),
    (#"{"effect":"deny","region":"atlantis"}"#, ["/region"]),
    (#"{"effect":"block","country":"DE"}"#, ["/effect"]),
    (#"{"effect":"deny","country":"DE","region":"europe"}"#, ["/region"]),
    (#"{"effect":"deny","network":"10.0.0.0/8","model":"a","provider":"b"}"#, ["/model"]),
    (#"{"effect":"deny","network":"10.0.0.0/8","provider":"b"}"#, ["/provider"]),
    (#"{"effect":"deny","model":"gpt-4"}"#, ["/provider"]),
    (#"{"effect":"deny","provider":"openai"}"#, ["/model"]),
    (#"{"effect":"deny","country":"DE","expires_at":"2020-01-01T00:00:00Z"}"#, ["/expires_at"]),
    (#"{"effect":"deny","country":"DE","project_id":"org_1"}"#, ["/project_id"]),
  ])
  func `422 for a rule that cannot be`(body: String, places: [String]) async throws {
    let client = try await TestControlPlane.shared.client
    let reply = try await client.post("\(try await client.makeOrganization())/rules", body)
    #expect(reply.status == 422)
    #expect(try Set(reply.places) == Set(places), "\(reply.text)")
  }

  @Test func `the list as it was then, page by page, is what was listed then`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let project = try await client.makeProject(in: organization)
    let id = project.split(separator: "/").last ?? ""
    for country in ["DE", "FR", "IT"] {
      _ = try await client.post(
        "\(organization)/rules", #"{"country":"\#(country)","effect":"deny"}"#)
    }
    let own = try await client.post(
      "\(organization)/rules",
      #"{"project_id":"\#(id)","provider":"openai","model":"o3","effect":"deny"}"#)
    let filters = ["", "?kind=country", "?project_id=\(id)", "?kind=country&project_id=\(id)"]
    let version = try #require(
      try await client.get("\(organization)/events?limit=200").json["data"]?.array?.last?[
        "version"]?.integer)
    var before: [[JSONValue]] = []
    for filter in filters { before.append(try await client.all("\(organization)/rules\(filter)")) }
    #expect(before.map(\.count) == [4, 3, 1, 0])
    let removed = try await client.send(
      "DELETE", try #require(own["location"]), headers: ["If-Match": "*"])
    #expect(removed.status == 200 || removed.status == 204, "\(removed.text)")
    _ = try await client.post("\(organization)/rules", #"{"country":"ES","effect":"deny"}"#)
    for (filter, rules) in zip(filters, before) {
      let separator = filter.isEmpty ? "?" : "&"
      let past = try await client.all(
        "\(organization)/rules\(filter)\(separator)as_of=\(version)", limit: 2)
      #expect(past == rules, "\(filter)")
    }
    #expect(try await client.all("\(organization)/rules").count == 4)
    let ahead = try await client.get("\(organization)/rules?as_of=\(version + 1000)")
    #expect(ahead.status == 422)
    #expect(try ahead.places == ["as_of"])
  }

  @Test func `409 names the other rule, and whether it says the opposite`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let first = try await client.post(
      "\(organization)/rules", #"{"network":"10.0.0.77/8","effect":"deny"}"#)
    #expect(first.status == 201)
    #expect(try first.json["network"] == .string("10.0.0.0/8"))
    for (effect, code) in [("deny", "duplicate-rule"), ("allow", "contradictory-rule")] {
      let reply = try await client.post(
        "\(organization)/rules", #"{"network":"10.0.0.0/8","effect":"\#(effect)"}"#)
      #expect(reply.status == 409)
      #expect(try reply.problem == code)
      #expect(try reply.json["rule_id"] == first.json["id"])
    }
  }

  @Test func `402 where the plan does not have such rules, or no more of them`() async throws {
    try await TestControlPlane.with({ $0.plans = .standard }) { planes in
      let client = planes[0].client
      let organization = try await client.makeOrganization()
      let project = try await client.makeProject(in: organization)
      let missing = try await client.post(
        "\(organization)/rules", #"{"country":"DE","effect":"deny"}"#)
      #expect(missing.status == 402)
      #expect(try missing.problem == "plan-feature-missing")
      #expect(try missing.json["upgrade"] == .string("plus"))
      let rules = (0..<11).map { #"{"provider":"p","model":"\#($0)","effect":"deny"}"# }
      let exceeded = try await client.put(
        "\(project)/rules", #"{"rules":[\#(rules.joined(separator: ","))]}"#,
        headers: ["If-Match": "*"])
      #expect(exceeded.status == 402)
      #expect(try exceeded.problem == "plan-limit-exceeded")
      #expect(try client.isEmpty(await client.get("\(project)/rules")))
    }
  }

  @Test func `404 for another organization's rule, and for rules of its project`() async throws {
    let client = try await TestControlPlane.shared.client
    let (mine, theirs) = (
      try await client.makeOrganization(), try await client.makeOrganization()
    )
    let project = try await client.makeProject(in: theirs)
    let rule = try await client.post("\(theirs)/rules", Self.deny)
    let path = "\(mine)/rules/\(try #require(rule.json["id"]?.string))"
    #expect(try await client.get(path).status == 404)
    #expect(try await client.patch(path, #"{"effect":"allow"}"#).status == 404)
    #expect(
      try await client.send("DELETE", path, headers: ["If-Match": "*"]).status == 404)
    let foreign = "\(mine)/projects/\(project.split(separator: "/")[4])/rules"
    #expect(try await client.get(foreign).status == 404)
    #expect(
      try await client.put(foreign, #"{"rules":[]}"#, headers: ["If-Match": "*"]).status == 404)
    #expect(
      try await client.post("\(foreign):evaluate", #"{"provider":"a","model":"b"}"#).status == 404)
  }

  @Test func `a set is replaced only by whoever has seen it`() async throws {
    let client = try await TestControlPlane.shared.client
    let project = try await client.makeProject(in: client.makeOrganization())
    let set = "\(project)/rules"
    #expect(try await client.put(set, #"{"rules":[]}"#).status == 428)
    let seen = try #require(try await client.get(set)["etag"])
    let first = try await client.put(
      set, #"{"rules":[\#(Self.deny)]}"#, headers: ["If-Match": seen])
    #expect(first.status == 200)
    #expect(first["etag"] != seen)
    let late = try await client.put(set, #"{"rules":[]}"#, headers: ["If-Match": seen])
    #expect(late.status == 412)
    #expect(late["etag"] == first["etag"])
    let current = try await client.get(set)
    #expect(current["etag"] == first["etag"])
    #expect(try current.json == first.json)
    let unchanged = try await client.get(
      set, headers: ["If-None-Match": try #require(first["etag"])])
    #expect(unchanged.status == 304)
  }

  @Test func `a set says where two of its rules are about the same`() async throws {
    let client = try await TestControlPlane.shared.client
    let project = try await client.makeProject(in: client.makeOrganization())
    let reply = try await client.put(
      "\(project)/rules",
      #"""
      {"rules":[{"network":"10.0.0.0/8","effect":"deny"},{"country":"DE","effect":"deny"},
      {"network":"10.1.2.3/8","effect":"allow"},{"country":"DEU","effect":"deny"}]}
      """#, headers: ["If-Match": "*"])
    #expect(reply.status == 422)
    #expect(try Set(reply.places) == ["/rules/2/network", "/rules/3/country"], "\(reply.text)")
  }

  @Test(arguments: ["/rules", "/rules:evaluate"])
  func `a viewer reads and explains, and changes nothing`(path: String) async throws {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.client.makeOrganization()
    let project = try await plane.client.makeProject(in: organization)
    let viewer = try await plane.makeMember(of: organization, role: .viewer)
    if path == "/rules" {
      #expect(try await viewer.get("\(project)/rules").status == 200)
      let put = try await viewer.put(
        "\(project)/rules", #"{"rules":[]}"#, headers: ["If-Match": "*"])
      #expect(put.status == 403)
      #expect(try await viewer.post("\(organization)/rules", Self.deny).status == 403)
    } else {
      let reply = try await viewer.post("\(project)\(path)", #"{"provider":"a","model":"b"}"#)
      #expect(reply.status == 200)
    }
  }

  @Test func `422 for a change, or a set, by which a rule would have expired`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let project = try await client.makeProject(in: organization)
    let rule = try await client.post("\(organization)/rules", Self.deny)
    let past = #""expires_at":"2020-01-01T00:00:00Z""#
    let changed = try await client.patch(try #require(rule["location"]), "{\(past)}")
    #expect(changed.status == 422)
    #expect(try changed.places == ["/expires_at"], "\(changed.text)")
    let set = try await client.put(
      "\(project)/rules",
      #"{"rules":[{"country":"DE","effect":"deny"},{"country":"FR","effect":"deny",\#(past)}]}"#,
      headers: ["If-Match": "*"])
    #expect(set.status == 422)
    #expect(try set.places == ["/rules/1/expires_at"], "\(set.text)")
    #expect(try client.isEmpty(await client.get("\(project)/rules")))
  }

  // MARK: 2xx

  @Test(arguments: [("OpenAI", "openai"), ("openai", "openai"), ("*", "*"), ("_x-1", "_x-1")])
  func `a provider is read in any case, or is any, and then matches`(
    sent: String, kept: String
  ) async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let project = try await client.makeProject(in: organization)
    let rule = try await client.post(
      "\(organization)/rules", #"{"provider":"\#(sent)","model":"gpt-4*","effect":"deny"}"#)
    #expect(rule.status == 201, "\(rule.text)")
    #expect(try rule.json["provider"] == .string(kept))
    #expect(try await client.get(try #require(rule["location"])).json["provider"] == .string(kept))
    for provider in [kept == "*" ? "mistral" : kept, kept == "*" ? "Groq" : kept.uppercased()] {
      let reply = try await client.post(
        "\(project)/rules:evaluate", #"{"provider":"\#(provider)","model":"GPT-4o"}"#)
      #expect(try reply.json["rule_id"] == rule.json["id"], "\(reply.text)")
    }
    // It is the same rule, however it is written.
    let again = try await client.post(
      "\(organization)/rules",
      #"{"provider":"\#(sent.lowercased())","model":"GPT-4*","effect":"deny"}"#)
    #expect(again.status == 409)
  }

  @Test(arguments: [" openai", "https://api.openai.com", "*", "open ai", ""])
  func `a request has a provider that can be`(provider: String) async throws {
    let client = try await TestControlPlane.shared.client
    let project = try await client.makeProject(in: client.makeOrganization())
    let reply = try await client.post(
      "\(project)/rules:evaluate", #"{"provider":"\#(provider)","model":"m"}"#)
    #expect(reply.status == 422)
    #expect(try reply.places == ["/provider"], "\(reply.text)")
  }

  @Test(arguments: [
    ("null", "unknown"), (#""XX""#, "unknown"), (#""T1""#, "unknown"), (#""EU""#, "unknown"),
    (#""AP""#, "unknown"), (#""ZZ""#, "unknown"), (#""A1""#, "unknown"), (#""O1""#, "unknown"),
    (#""""#, "unknown"), (#""Atlantis""#, "unknown"), (#""XK""#, "XK"), (#""xk""#, "XK"),
  ])
  func `rules name Kosovo, and the region of requests from nowhere`(
    sent: String, decides: String
  ) async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let project = try await client.makeProject(in: organization)
    let unknown = try await client.post(
      "\(organization)/rules", #"{"region":"unknown","effect":"deny"}"#)
    let kosovo = try await client.post(
      "\(organization)/rules", #"{"country":"XK","effect":"deny"}"#)
    #expect([unknown.status, kosovo.status] == [201, 201])
    let reply = try await client.post(
      "\(project)/rules:evaluate", #"{"provider":"a","model":"b","country":\#(sent)}"#)
    let expected = decides == "XK" ? kosovo : unknown
    #expect(try reply.json["rule_id"] == expected.json["id"], "\(reply.text)")
    #expect(try reply.json["reason"] == .string("geography"))
  }

  @Test func `a set is replaced as a whole: same rule, other rule, new rule`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let project = try await client.makeProject(in: organization)
    let around = try await client.post("\(organization)/rules", Self.deny)
    let first = try await client.put(
      "\(project)/rules",
      #"{"rules":[{"country":"DE","effect":"deny"},{"country":"FR","effect":"deny"}]}"#,
      headers: ["If-Match": "*"])
    let former = try client.rules(first)
    let version = try #require(
      try await client.get("\(organization)/events?limit=200").json["data"]?.array?.count)
    let second = try await client.put(
      "\(project)/rules",
      #"{"rules":[{"country":"FR","effect":"allow"},{"region":"asia","effect":"deny"}]}"#,
      headers: ["If-Match": try #require(first["etag"])])
    let now = try client.rules(second)
    #expect(Set(now.keys) == ["FR", "asia"])
    #expect(now["FR"]?["id"] == former["FR"]?["id"])
    #expect(now["FR"]?["effect"] == .string("allow"))
    #expect(now["FR"]?["version"] == .integer(2))
    #expect(try client.rules(await client.get("\(project)/rules")) == now)
    #expect(try client.rules(await client.get("\(project)/rules?as_of=\(version)")) == former)
    let all = try await client.all("\(organization)/rules")
    #expect(all.contains { $0["id"] == (try? around.json["id"]) })
    #expect(all.count == 3)
  }

  @Test func `a dry run of a replacement shows it, and keeps nothing`() async throws {
    let client = try await TestControlPlane.shared.client
    let project = try await client.makeProject(in: client.makeOrganization())
    let reply = try await client.put(
      "\(project)/rules?dry_run=true", #"{"rules":[\#(Self.deny)]}"#, headers: ["If-Match": "*"])
    #expect(reply.status == 200)
    #expect(try reply.json["resource"]?["data"]?.array?.count == 1)
    #expect(try client.isEmpty(await client.get("\(project)/rules")))
  }

  @Test func `what decides is explained: plan, panic mode, the rule`() async throws {
    try await TestControlPlane.with({ $0.plans = .standard }) { planes in
      let client = planes[0].client
      let organization = try await client.makeOrganization()
      let project = try await client.makeProject(in: organization)
      func decision(_ provider: String) async throws -> (String?, String?, String?) {
        let reply = try await client.post(
          "\(project)/rules:evaluate", #"{"provider":"\#(provider)","model":"gpt-4o"}"#)
        let json = try reply.json
        return (json["decision"]?.string, json["reason"]?.string, json["rule_id"]?.string)
      }
      // The free plan has one provider.
      #expect(try await decision("openai") == ("block", "plan", nil))
      #expect(try await decision("openrouter") == ("allow", nil, nil))
      let rule = try await client.post(
        "\(organization)/rules", #"{"provider":"openrouter","model":"gpt-4*","effect":"deny"}"#)
      let id = try #require(rule.json["id"]?.string)
      #expect(try await decision("openrouter") == ("block", "model", id))
      _ = try await client.put("\(project)/panic-mode", #"{"enabled":true}"#)
      #expect(try await decision("openrouter") == ("block", "panic_mode", nil))
    }
  }

  @Test func `every country is in one region`() async throws {
    let client = try await TestControlPlane.shared.client
    let regions = try #require(try await client.get("/v1/regions").json["data"]?.array)
    let countries = regions.flatMap { $0["countries"]?.array ?? [] }
    #expect(countries.count == 250)
    #expect(Set(countries).count == 250)
    #expect(countries.contains(.string("XK")))
    let unknown = regions.first { $0["region"] == .string("unknown") }
    #expect(unknown?["countries"] == .array([]))
  }
}

extension TestClient {
  fileprivate func isEmpty(_ reply: HTTPReply) throws -> Bool {
    try reply.json["data"]?.array?.isEmpty == true
  }

  /// A set's rules, by country or region.
  fileprivate func rules(_ reply: HTTPReply) throws -> [String: JSONValue] {
    let data = try #require(try reply.json["data"]?.array, "\(reply.text)")
    return Dictionary(
      uniqueKeysWithValues: data.map {
        ($0["country"]?.string ?? $0["region"]?.string ?? "", $0)
      })
  }
}
