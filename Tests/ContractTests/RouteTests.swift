import Support
import Testing

@testable import ControlPlane

@Suite struct RouteTests {
  @Test func `the server has the operations of the contract and no others`() async throws {
    let routes = Set(try await TestControlPlane.shared.controlPlane.routes)
    let operations = Set(
      try Contract.current.get().operations.map { Route(method: $0.method, path: $0.path) })
    #expect(routes.subtracting(operations) == [], "undocumented")
    #expect(operations.subtracting(routes) == [], "not there")
  }

  @Test func `operations have unique names`() throws {
    let ids = try Contract.current.get().operations.map(\.id)
    #expect(Set(ids).count == ids.count)
    #expect(!ids.contains(""))
  }

  @Test func `the server serves the contract, byte for byte`() async throws {
    let reply = try await TestControlPlane.shared.client.get("/openapi.yaml")
    #expect(reply.status == 200)
    #expect(try reply.body == Repository.read("openapi.yaml"))
  }

  @Test func `a method that a path does not have is 405 with those that it has`() async throws {
    let client = try await TestControlPlane.shared.client
    let operations = try Contract.current.get().operations
    for (template, known) in Dictionary(grouping: operations, by: \.path) {
      let path = template.replacing(#/\{.*?\}/#, with: "x")
      for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"]
      where !known.contains(where: { $0.method == method }) {
        let reply = try await client.send(method, path)
        #expect(reply.status == 405, "\(method) \(path)")
        for operation in known {
          #expect(reply["allow"]?.contains(operation.method) == true, "\(method) \(path)")
        }
      }
    }
  }
}
