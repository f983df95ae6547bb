import ControlPlane
import Domain
import JSON
import Support
import Testing

/// `/v1/organizations/{organization}/projects/{project}/provider-keys`, by outcome.
@Suite struct ProviderKeyOutcomeTests {
  static let key = "sk-proj-0123456789abcdefghijklmn4fGh"
  static let other = "sk-proj-0123456789abcdefghijklmnWXYZ"

  static func body(_ key: String = key) -> String { #"{"key":"\#(key)"}"# }

  /// A project of an organization of its own.
  private func makeProject(_ client: TestClient) async throws -> String {
    try await client.makeProject(in: client.makeOrganization())
  }

  // MARK: 4xx

  @Test(arguments: [
    "{}", #"{"key":null}"#, #"{"key":7}"#, #"{"key":"1234567"}"#, #"{"key":"sk-1234 5678"}"#,
    #"{"key":"sk-12345678\n"}"#, #"{"key":"sk-schlüssel"}"#, #"{"key":"sk-12345678\u007f"}"#,
    body(String(repeating: "k", count: 501)),
  ])
  func `422 for what no provider gives out, and the key is not repeated`(body: String) async throws
  {
    let client = try await TestControlPlane.shared.client
    let path = try await makeProject(client)
    let reply = try await client.put("\(path)/provider-keys/openai", body)
    #expect(reply.status == 422)
    #expect(try reply.places == ["/key"], "\(reply.text)")
    #expect(!reply.text.contains("sk-"))
    #expect(!reply.text.contains("kkkk"))
    #expect(try await client.get("\(path)/provider-keys/openai").status == 404)
  }

  @Test func `422 for a member that nobody asked for`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await makeProject(client)
    let reply = try await client.put(
      "\(path)/provider-keys/openai", #"{"key":"\#(Self.key)","provider":"openai"}"#)
    #expect(reply.status == 422)
    #expect(try reply.places == ["/provider"])
  }

  @Test(arguments: ["OpenAI", "*", "open.ai", String(repeating: "a", count: 51)])
  func `404 for a name that no provider has`(name: String) async throws {
    let client = try await TestControlPlane.shared.client
    let path = "\(try await makeProject(client))/provider-keys/\(name)"
    #expect(try await client.put(path, Self.body()).status == 404)
    #expect(try await client.get(path).status == 404)
    #expect(try await client.send("DELETE", path, headers: ["If-Match": "*"]).status == 404)
  }

  @Test func `404 for another organization's project, and nothing is made there`() async throws {
    let client = try await TestControlPlane.shared.client
    let mine = try await client.makeOrganization()
    let theirs = try await makeProject(client)
    _ = try await client.put("\(theirs)/provider-keys/openai", Self.body())
    let project = theirs.split(separator: "/")[4]
    let keys = "\(mine)/projects/\(project)/provider-keys"
    #expect(try await client.get(keys).status == 404)
    #expect(try await client.get("\(keys)/openai").status == 404)
    #expect(try await client.put("\(keys)/openai", Self.body()).status == 404)
    #expect(try await client.put("\(keys)/mistral", Self.body()).status == 404)
    let gone = try await client.send("DELETE", "\(keys)/openai", headers: ["If-Match": "*"])
    #expect(gone.status == 404)
    #expect(try await client.get("\(theirs)/provider-keys/openai").status == 200)
  }

  @Test func `402 names the plan, and the one that has the provider`() async throws {
    try await TestControlPlane.with({ $0.plans = .standard }) { planes in
      let client = planes[0].client
      let path = try await makeProject(client)
      let reply = try await client.put("\(path)/provider-keys/openai", Self.body())
      #expect(reply.status == 402)
      #expect(try reply.problem == "plan-provider-missing")
      #expect(try reply.json["provider"]?.string == "openai")
      #expect(try reply.json["plan"]?.string == "free")
      #expect(try reply.json["upgrade"]?.string == "plus")
      #expect(try await client.put("\(path)/provider-keys/openrouter", Self.body()).status == 201)
    }
  }

  @Test func `409 for a project that is archived, from which a key can still be taken`()
    async throws
  {
    let client = try await TestControlPlane.shared.client
    let path = try await makeProject(client)
    _ = try await client.put("\(path)/provider-keys/openai", Self.body())
    _ = try await client.post("\(path)/archive", headers: ["If-Match": "*"])
    let reply = try await client.put(
      "\(path)/provider-keys/openai", Self.body(Self.other), headers: ["If-Match": "*"])
    #expect(reply.status == 409)
    #expect(try reply.problem == "archived")
    #expect(try await client.get("\(path)/provider-keys/openai").status == 200)
    let gone = try await client.send(
      "DELETE", "\(path)/provider-keys/openai", headers: ["If-Match": "*"])
    #expect(gone.status == 204)
  }

  @Test func `428 to replace what is there without saying so, 412 for what was there before`()
    async throws
  {
    let client = try await TestControlPlane.shared.client
    let path = "\(try await makeProject(client))/provider-keys/openai"
    _ = try await client.put(path, Self.body())
    let unsaid = try await client.put(path, Self.body(Self.other))
    #expect(unsaid.status == 428)
    #expect(try await client.get(path).json["last_four"]?.string == "4fGh")
    let replaced = try await client.put(path, Self.body(Self.other), headers: ["If-Match": #""1""#])
    #expect(replaced.status == 200)
    #expect(replaced["etag"] == #""2""#)
    let stale = try await client.put(path, Self.body(), headers: ["If-Match": #""1""#])
    #expect(stale.status == 412)
    #expect(stale["etag"] == #""2""#)
    #expect(try await client.send("DELETE", path).status == 428)
    #expect(try await client.send("DELETE", path, headers: ["If-Match": #""1""#]).status == 412)
  }

  @Test func `404 for a version of what is not there`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = "\(try await makeProject(client))/provider-keys/openai"
    let reply = try await client.put(path, Self.body(), headers: ["If-Match": #""1""#])
    #expect(reply.status == 404)
    #expect(try await client.get(path).status == 404)
  }

  // MARK: 2xx

  @Test func `201 with where it is and what tells it from others`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = "\(try await makeProject(client))/provider-keys/openai"
    let reply = try await client.put(path, Self.body())
    #expect(reply.status == 201)
    #expect(reply["location"] == path)
    #expect(reply["etag"] == #""1""#)
    #expect(reply["signalbox-position"] != nil)
    let key = try reply.json
    #expect(key["provider"]?.string == "openai")
    #expect(key["last_four"]?.string == "4fGh")
    #expect(key["key_version"]?.integer == 1)
    #expect(try await client.get(path).json == key)
    let current = try await client.get(path, headers: ["If-None-Match": #""1""#])
    #expect(current.status == 304)
  }

  @Test func `200 without a change for the very key that is there`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = "\(try await makeProject(client))/provider-keys/openai"
    let first = try await client.put(path, Self.body())
    for headers in [[:], ["If-Match": "*"], ["If-Match": #""1""#]] {
      let again = try await client.put(path, Self.body(), headers: headers)
      #expect(again.status == 200)
      #expect(again["signalbox-position"] == nil)
      #expect(try again.json == first.json)
    }
  }

  @Test func `the fingerprint is the key's, wherever it is`() async throws {
    let client = try await TestControlPlane.shared.client
    let (one, two) = (try await makeProject(client), try await makeProject(client))
    var prints: [String] = []
    for (path, key) in [
      ("\(one)/provider-keys/openai", Self.key), ("\(two)/provider-keys/mistral", Self.key),
      ("\(two)/provider-keys/openai", Self.other),
    ] {
      prints.append(
        try #require(
          try await client.put(path, Self.body(key)).json["fingerprint"]?.string))
    }
    #expect(prints[0] == prints[1])
    #expect(prints[0] != prints[2])
  }

  @Test func `a list in the order of names, page by page`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = "\(try await makeProject(client))/provider-keys"
    let names = ["openai", "a", "z-1", "z_1", "anthropic", "0", "mistral"]
    for name in names { _ = try await client.put("\(path)/\(name)", Self.body()) }
    let listed = try await client.all(path, limit: 2).compactMap { $0["provider"]?.string }
    #expect(listed == ["0", "a", "anthropic", "mistral", "openai", "z-1", "z_1"])
    let empty = try await client.get("\(try await makeProject(client))/provider-keys")
    #expect(try empty.json["data"] == .array([]))
  }

  @Test func `as of a version it is what it was`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let path = "\(try await client.makeProject(in: organization))/provider-keys/openai"
    let first = try await client.put(path, Self.body())
    let version = try await client.all("\(organization)/events").count
    _ = try await client.put(path, Self.body(Self.other), headers: ["If-Match": "*"])
    _ = try await client.send("DELETE", path, headers: ["If-Match": "*"])
    #expect(try await client.get(path).status == 404)
    #expect(try await client.get("\(path)?as_of=\(version)").json == first.json)
    #expect(try await client.get("\(path)?as_of=1").status == 404)
    // The next one begins anew.
    #expect(try await client.put(path, Self.body()).status == 201)
  }

  @Test func `a dry run shows what it would be, and keeps nothing`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = "\(try await makeProject(client))/provider-keys/openai"
    let reply = try await client.put("\(path)?dry_run=true", Self.body())
    #expect(reply.status == 200)
    #expect(try reply.json["resource"]?["last_four"]?.string == "4fGh")
    #expect(try reply.json["events"]?.array?.first?["type"]?.string == "provider_key.set")
    #expect(!reply.text.contains(Self.key))
    #expect(try await client.get(path).status == 404)
  }

  @Test func `the first one carries onboarding on`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let path = try await client.makeProject(in: organization)
    _ = try await client.put("\(path)/provider-keys/openai", Self.body())
    let onboarding = try await client.get("\(organization)/onboarding").json
    #expect(onboarding["state"]?.string == "provider_connected")
  }

  @Test func `a token that is bound to a project sees its keys and no others`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let mine = try await client.makeProject(in: organization)
    let other = try await client.makeProject(in: organization)
    let id = String(mine.split(separator: "/")[4])
    let expiry = Timestamp.now.advanced(by: 86_400_000_000).rfc3339
    let token = try await client.post(
      "\(organization)/service-tokens",
      #"{"name":"CI","role":"developer","project_ids":["\#(id)"],"expires_at":"\#(expiry)"}"#)
    let bound = client.with(token: try #require(try token.json["token"]?.string))
    #expect(try await bound.put("\(mine)/provider-keys/openai", Self.body()).status == 201)
    #expect(try await bound.get("\(mine)/provider-keys").status == 200)
    #expect(try await bound.put("\(other)/provider-keys/openai", Self.body()).status == 404)
    #expect(try await bound.get("\(other)/provider-keys").status == 404)
  }

  @Test func `of many who set the first key at once, one does`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = "\(try await makeProject(client))/provider-keys/openai"
    let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
      for number in 0..<20 {
        group.addTask { try await client.put(path, Self.body("sk-racing-\(number)")).status }
      }
      return try await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
    }
    #expect(statuses == [201: 1, 428: 19])
  }
}
