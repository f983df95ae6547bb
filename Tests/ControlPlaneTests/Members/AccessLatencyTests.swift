import Domain
import JSON
import Support
import Testing

/// By itself, beside nothing that takes the processor: it measures.
@Suite struct AccessLatencyTests {
  /// Through the other replica, immediately behind the 200 of the change: no request of those who lost access is served.
  @Test func `whoever is removed or revoked is refused at once, on the other replica`() async throws
  {
    try await TestControlPlane.with(replicas: 2) { replicas in
      let plane = replicas[0]
      let path = try await plane.client.makeOrganization()
      let id = try #require(OrganizationID(String(path.split(separator: "/")[2])))
      var delays: [Duration] = []
      for round in 0..<100 {
        let user = try await plane.makeUser()
        try await plane.addMember(user.id, role: .developer, to: id)
        let there = TestClient(http: replicas[1].client.http, token: user.client.token)
        #expect(try await there.get(path).status == 200)
        let (reply, expected): (HTTPReply, Int)
        if round % 2 == 0 {
          reply = try await plane.client.send("DELETE", "\(path)/members/\(user.id)")
          expected = 404
        } else {
          let tokens = try await user.client.get("/v1/me/tokens").json["data"]?.array
          let token = try #require(tokens?.first?["id"]?.string)
          reply = try await user.client.send("DELETE", "/v1/me/tokens/\(token)")
          expected = 401
        }
        #expect(reply.status == (expected == 404 ? 200 : 204), "\(reply.text)")
        let start = ContinuousClock.now
        let refused = try await there.get(path)
        delays.append(.now - start)
        #expect(refused.status == expected, "round \(round)")
      }
      delays.sort()
      #expect(delays[98] <= .milliseconds(50), "p99 \(delays[98])")
    }
  }
}
