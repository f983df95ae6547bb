import JSON
import Support
import Testing

@Suite struct DryRunTests {
  @Test func `it keeps nothing and shows everything`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let project = try await client.makeProject(in: organization)
    let before = try await client.get(project).json
    let log = try await client.get("\(organization)/events").json
    let any = ["If-Match": "*"]
    let replies = [
      try await client.post("/v1/organizations?dry_run=true", #"{"name":"B"}"#),
      try await client.patch("\(organization)?dry_run=true", #"{"name":"B"}"#),
      try await client.post("\(organization)/archive?dry_run=true", headers: any),
      try await client.post(
        "\(organization)/projects?dry_run=true", #"{"name":"B","environment":"live"}"#),
      try await client.patch("\(project)?dry_run=true", #"{"name":"B","rate_limit":5}"#),
      try await client.post("\(project)/archive?dry_run=true", headers: any),
      try await client.put("\(project)/panic-mode?dry_run=true", #"{"enabled":true}"#),
    ]
    let types = try replies.map { reply in
      #expect(reply.status == 200)
      #expect(reply["signalbox-position"] == nil)
      #expect(reply["etag"] == nil)
      return try reply.json["events"]?.array?.map { $0["type"]?.string ?? "" } ?? []
    }
    #expect(
      types == [
        ["organization.created", "member.added", "organization.plan_changed"],
        ["organization.renamed"],
        ["organization.archived"], ["project.created"],
        ["project.renamed", "project.thresholds_changed"], ["project.archived"],
        ["project.panic_mode_enabled"],
      ])
    #expect(try await client.get(project).json == before)
    #expect(try await client.get("\(organization)/events").json == log)
  }

  @Test func `what is shown is what then happens`() async throws {
    let client = try await TestControlPlane.shared.client
    let project = try await client.makeProject(in: client.makeOrganization())
    let change = #"{"name":"B","rate_limit":5}"#
    let dry = try await client.patch("\(project)?dry_run=true", change).json["resource"]?.object
    let real = try await client.patch(project, change).json.object
    #expect(dry?.filter { $0.key != "updated_at" } == real?.filter { $0.key != "updated_at" })
  }

  @Test func `it makes the same checks`() async throws {
    let client = try await TestControlPlane.shared.client
    let project = try await client.makeProject(in: client.makeOrganization())
    let stale = try await client.patch(
      "\(project)?dry_run=true", #"{"name":"B"}"#, ifMatch: #""9""#)
    #expect(stale.status == 412)
    let invalid = try await client.patch("\(project)?dry_run=true", #"{"name":""}"#)
    #expect(invalid.status == 422)
    let missing = try await client.patch(
      "\(project)?dry_run=true", #"{"name":"B"}"#, ifMatch: nil)
    #expect(missing.status == 428)
    let wrong = try await client.patch("\(project)?dry_run=yes", #"{"name":"B"}"#)
    #expect(wrong.status == 422)
  }

  @Test func `a key is not used up by it`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let key = ["Idempotency-Key": "dry \(organization)".replacing(" ", with: "-")]
    let body = #"{"name":"B","environment":"live"}"#
    let dry = try await client.post("\(organization)/projects?dry_run=true", body, headers: key)
    #expect(dry.status == 200)
    #expect(try await client.post("\(organization)/projects", body, headers: key).status == 201)
  }
}
