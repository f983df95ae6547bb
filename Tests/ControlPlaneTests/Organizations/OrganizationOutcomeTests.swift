import Domain
import FoundationEssentials
import JSON
import Support
import Testing

/// `/v1/organizations`, by outcome.
@Suite struct OrganizationOutcomeTests {
  // MARK: 4xx

  @Test(arguments: [
    ("{}", ["/name"]), (#"{"name":""}"#, ["/name"]), (#"{"name":" Acme"}"#, ["/name"]),
    (#"{"name":"A\u0000B"}"#, ["/name"]), (#"{"name":null}"#, ["/name"]),
    (#"{"name":7,"slug":true}"#, ["/name", "/slug"]), (#"{"name":"A","owner":"me"}"#, ["/owner"]),
    (#"{"name":"A","slug":"-a-"}"#, ["/slug"]), (#"{"name":"A","slug":"ab"}"#, ["/slug"]),
    (#"{"name":"A","slug":"Acme"}"#, ["/slug"]), ("[]", [""]),
  ])
  func `422 says everything that is wrong, with its place`(body: String, places: [String])
    async throws
  {
    let reply = try await TestControlPlane.shared.client.post("/v1/organizations", body)
    #expect(reply.status == 422)
    #expect(try reply.problem == "invalid-request")
    #expect(try Set(reply.places) == Set(places), "\(reply.text)")
  }

  @Test(arguments: [
    "", "{", #"{"name":"A","name":"B"}"#, #"{"name":"A"} x"#, #"{"name":"\ud800"}"#,
  ])
  func `400 when it is no JSON`(body: String) async throws {
    let reply = try await TestControlPlane.shared.client.post("/v1/organizations", body)
    #expect(reply.status == 400, "\(reply.text)")
    #expect(try reply.problem == "malformed-json")
  }

  @Test func `409 when another organization has the slug, archived or not`() async throws {
    let client = try await TestControlPlane.shared.client
    let slug = Self.uniqueSlug()
    let first = try await client.post("/v1/organizations", #"{"name":"A","slug":"\#(slug)"}"#)
    #expect(first.status == 201)
    let path = try #require(first["location"])
    for _ in 0..<2 {
      let second = try await client.post("/v1/organizations", #"{"name":"B","slug":"\#(slug)"}"#)
      #expect(second.status == 409)
      #expect(try second.problem == "slug-taken")
      _ = try await client.post("\(path)/archive", headers: ["If-Match": "*"])
    }
  }

  @Test func `409 when it is archived`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeOrganization()
    _ = try await client.post("\(path)/archive", headers: ["If-Match": "*"])
    let reply = try await client.patch(path, #"{"name":"B"}"#)
    #expect(reply.status == 409)
    #expect(try reply.problem == "archived")
  }

  @Test(arguments: [nil, #""1""#, #""02""#, #""+2""#, #"W/"2""#, #""2"#, "2"] as [String?])
  func `a change needs the current version`(ifMatch: String?) async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeOrganization()
    let expected = ifMatch == nil ? 428 : ifMatch == #""2"# || ifMatch == "2" ? 400 : 412
    let patch = try await client.patch(path, #"{"name":"B"}"#, ifMatch: ifMatch)
    #expect(patch.status == expected, "\(patch.text)")
    let headers = ifMatch.map { ["If-Match": $0] } ?? [:]
    #expect(try await client.post("\(path)/archive", headers: headers).status == expected)
    #expect(try await client.get(path).json["name"]?.string == "Acme")
  }

  @Test(arguments: ["text/plain", "application/xml", "application/json; charset=latin1"])
  func `415 when it is not called JSON`(type: String) async throws {
    let reply = try await TestControlPlane.shared.client.post(
      "/v1/organizations", #"{"name":"A"}"#, headers: ["Content-Type": type])
    #expect(reply.status == 415)
  }

  @Test func `413 when it is too large`() async throws {
    let name = String(repeating: "a", count: 1 << 20)
    let reply = try await TestControlPlane.shared.client.post(
      "/v1/organizations", #"{"name":"\#(name)"}"#)
    #expect(reply.status == 413)
  }

  @Test(arguments: [
    "org_00000000000000000000000000", "org_zzz", "prj_00000000000000000000000000", "1",
  ])
  func `404 for what is not there`(id: String) async throws {
    let client = try await TestControlPlane.shared.client
    #expect(try await client.get("/v1/organizations/\(id)").status == 404)
    #expect(try await client.patch("/v1/organizations/\(id)", #"{"name":"B"}"#).status == 404)
  }

  @Test(arguments: ["organization:archive", "organization:write"])
  func `403 names the permission that the role lacks`(permission: String) async throws {
    let plane = try await TestControlPlane.shared
    let path = try await plane.client.makeOrganization()
    let viewer = try await plane.makeMember(of: path, role: .viewer)
    let reply =
      permission == "organization:archive"
      ? try await viewer.post("\(path)/archive", headers: ["If-Match": "*"])
      : try await viewer.patch(path, #"{"name":"B"}"#)
    #expect(reply.status == 403)
    #expect(try reply.json["detail"]?.string?.contains(permission) == true, "\(reply.text)")
    #expect(try await viewer.get(path).status == 200)
  }

  // MARK: 2xx

  @Test func `201 with its place, version and position`() async throws {
    let client = try await TestControlPlane.shared.client
    let slug = Self.uniqueSlug()
    let reply = try await client.post(
      "/v1/organizations", #"{"name":"Zürich 🚂","slug":"\#(slug)"}"#)
    #expect(reply.status == 201)
    #expect(reply["etag"] == #""2""#)
    #expect(reply["signalbox-position"] != nil)
    let path = try #require(reply["location"])
    let read = try await client.get(path)
    #expect(read.status == 200)
    #expect(try read.json == reply.json)
    #expect(read["etag"] == #""2""#)
    #expect(try read.json["name"]?.string == "Zürich 🚂")
  }

  @Test func `a slug is made from the name`() async throws {
    let client = try await TestControlPlane.shared.client
    for name in ["Acme Corporation", "🚂", "a", "Über--uns"] {
      let reply = try await client.post("/v1/organizations", #"{"name":"\#(name)"}"#)
      #expect(reply.status == 201, "\(reply.text)")
    }
  }

  @Test func `200 when it is renamed, and the old slug is free at once`() async throws {
    let client = try await TestControlPlane.shared.client
    let (old, new) = (Self.uniqueSlug(), Self.uniqueSlug())
    let path = try #require(
      try await client.post("/v1/organizations", #"{"name":"A","slug":"\#(old)"}"#)["location"])
    let reply = try await client.patch(path, #"{"slug":"\#(new)"}"#, ifMatch: #""7", "2""#)
    #expect(reply.status == 200)
    #expect(reply["etag"] == #""3""#)
    #expect(try reply.json["name"]?.string == "A")
    #expect(try reply.json["slug"]?.string == new)
    let next = try await client.post("/v1/organizations", #"{"name":"B","slug":"\#(old)"}"#)
    #expect(next.status == 201)
  }

  @Test func `what changes nothing appends nothing`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeOrganization()
    let reply = try await client.patch(path, #"{"name":"Acme"}"#)
    #expect(reply.status == 200)
    #expect(reply["signalbox-position"] == nil)
    #expect(reply["etag"] == #""2""#)
    #expect(try await client.get("\(path)/events").json["data"]?.array?.count == 3)
  }

  @Test func `304 while it is as it was`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeOrganization()
    for tag in [#""2""#, #"W/"2""#, #""9", "2""#, "*"] {
      let reply = try await client.get(path, headers: ["If-None-Match": tag])
      #expect(reply.status == 304, "\(tag)")
      #expect(reply.body.isEmpty)
    }
    _ = try await client.patch(path, #"{"name":"B"}"#)
    #expect(try await client.get(path, headers: ["If-None-Match": #""2""#]).status == 200)
  }

  @Test func `archiving is done once`() async throws {
    let client = try await TestControlPlane.shared.client
    let path = try await client.makeOrganization()
    let first = try await client.post("\(path)/archive", headers: ["If-Match": #""2""#])
    #expect(first.status == 200)
    #expect(try first.json["archived_at"]?.string != nil)
    let second = try await client.post("\(path)/archive", headers: ["If-Match": "*"])
    #expect(second.status == 200)
    #expect(second["signalbox-position"] == nil)
    #expect(try second.json == first.json)
  }

  @Test func `everyone lists their own, newest first, archived or not`() async throws {
    let plane = try await TestControlPlane.shared
    let user = try await plane.makeUser().client
    var paths: [String] = []
    for number in 0..<5 { paths.insert(try await user.makeOrganization("A\(number)"), at: 0) }
    _ = try await user.post("\(paths[2])/archive", headers: ["If-Match": "*"])
    let ids = paths.map { String($0.split(separator: "/")[2]) }
    func list(_ query: String) async throws -> [String?] {
      try await user.all("/v1/organizations\(query)", limit: 2).map { $0["id"]?.string }
    }
    #expect(try await list("") == ids)
    #expect(try await list("?archived=true") == [ids[2]])
    #expect(try await list("?archived=false") == [ids[0], ids[1], ids[3], ids[4]])
  }

  static func uniqueSlug() -> String {
    "s-" + UUID().uuidString.lowercased().filter { $0 != "-" }
  }
}
