import Domain
import FoundationEssentials
import JSON
import Support
import Testing

@Suite struct TimeTravelTests {
  @Test func `every version of the past can be read`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let project = try await client.makeProject(in: organization)
    var states: [Int: JSONValue] = [5: try await client.get(project).json]
    for version in 6...10 {
      states[version] = try await client.patch(project, #"{"rate_limit":\#(version)}"#).json
    }
    for (version, state) in states {
      let reply = try await client.get("\(project)?as_of=\(version)")
      #expect(reply.status == 200)
      #expect(try reply.json == state, "version \(version)")
      let list = try await client.get("\(organization)/projects?as_of=\(version)")
      #expect(try list.json["data"]?.array == [state])
    }
    for version in 2...3 {
      #expect(try await client.get("\(project)?as_of=\(version)").status == 404)
      #expect(try await client.get("\(organization)?as_of=\(version)").status == 200)
    }
    let etag = try await client.get("\(project)?as_of=7", headers: ["If-None-Match": #""3""#])
    #expect(etag.status == 304)
  }

  @Test func `a time is as good as a version`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    let created = try await client.get(organization).json
    let time = try #require(created["created_at"]?.string)
    _ = try await client.patch(organization, #"{"name":"B"}"#)
    #expect(try await client.get("\(organization)?as_of=\(time)").json == created)
    #expect(try await client.get("\(organization)?as_of=2020-01-01T00:00:00Z").status == 404)
  }

  @Test(arguments: ["99", "9223372036854775807", "2999-01-01T00:00:00Z"])
  func `what is still to come is refused`(moment: String) async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    for path in [organization, "\(organization)/projects"] {
      let reply = try await client.get("\(path)?as_of=\(moment)")
      #expect(reply.status == 422, "\(path) \(reply.text)")
    }
  }
}
