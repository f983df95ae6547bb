import Support
import Testing

@testable import ControlPlane

/// The room for bodies is full, as callers see it.
@Suite struct BodyBudgetTests {
  @Test(
    "while the bodies of others take all the room there is, a large body is 503, and works again afterwards"
  )
  func fullBudget() async throws {
    try await TestControlPlane.with({ $0.http.bodyBudget = 1 << 20 }) { planes in
      let (plane, held) = (planes[0], 300_000)
      var holders: [RawClient] = []
      for _ in 0..<3 {
        let client = try RawClient(port: plane.client.http.port)
        let token = try await plane.makeUser().client.token ?? ""
        let head =
          "POST /v1/organizations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
          + "Authorization: Bearer \(token)\r\nContent-Length: \(held + 1)\r\n\r\n"
        // The last byte does not come.
        try await client.send(head + String(repeating: " ", count: held))
        holders.append(client)
      }
      let caller = try await plane.makeUser().client
      let large = String(repeating: " ", count: 200_000) + #"{"name":""}"#
      let refused = try await Self.send(large, as: caller) { $0 == 503 }
      #expect(refused.status == 503)
      #expect(refused["retry-after"] == "1")
      // What comes with its head takes no room, and what is asked without a body neither.
      #expect(try await caller.post("/v1/organizations", #"{"name":"Small"}"#).status == 201)
      #expect(try await caller.get("/v1/me").status == 200)
      holders.removeAll()
      #expect(try await Self.send(large, as: caller) { $0 == 422 }.status == 422)
    }
  }

  @Test("a caller whose bodies take its whole share gets 503, and nobody else does")
  func fullShare() async throws {
    try await TestControlPlane.with({ $0.http.bodyShare = 400_000 }) { planes in
      let (plane, held) = (planes[0], 300_000)
      let (greedy, other) = (
        try await plane.makeUser().client, try await plane.makeUser().client
      )
      let holder = try RawClient(port: plane.client.http.port)
      try await holder.send(
        "POST /v1/organizations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
          + "Authorization: Bearer \(greedy.token ?? "")\r\nContent-Length: \(held + 1)\r\n\r\n"
          + String(repeating: " ", count: held))
      let large = String(repeating: " ", count: 200_000) + #"{"name":""}"#
      let refused = try await Self.send(large, as: greedy) { $0 == 503 }
      #expect(refused.status == 503)
      #expect(refused["retry-after"] == "1")
      #expect(try await other.post("/v1/organizations", large).status == 422)
      // The last byte comes, and the room is free again.
      try await holder.send(" ")
      #expect(try await holder.reply()?.status == 400)
      #expect(try await Self.send(large, as: greedy) { $0 == 422 }.status == 422)
    }
  }

  /// Sends a body that cannot be carried out until its answer is as expected, for some seconds: what others hold may just
  /// be on its way.
  private static func send(
    _ body: String, as client: TestClient, until isExpected: (Int) -> Bool
  ) async throws -> HTTPReply {
    let end = ContinuousClock.now + .seconds(10)
    while true {
      let reply = try await client.post("/v1/organizations", body)
      if isExpected(reply.status) || ContinuousClock.now > end { return reply }
      try await Task.sleep(for: .milliseconds(20))
    }
  }
}
