import ControlPlane
import FoundationEssentials
import JSON
import Support
import Testing

/// `PUT …/plan` by outcome, where plans are paid for and where they are not.
@Suite struct PlanUpgradeOutcomeTests {
  private static func put(
    _ tier: String, _ path: String, by client: TestClient, dryRun: Bool = false
  ) async throws -> HTTPReply {
    try await client.send(
      "PUT", "\(path)/plan\(dryRun ? "?dry_run=true" : "")", #"{"plan_tier":"\#(tier)"}"#,
      headers: ["If-Match": "*"])
  }

  @Test func `402 names the checkout where plans are sold, and nothing changes`() async throws {
    try await TestControlPlane.with({ $0.allowsSelfServicePlans = false }) { planes in
      let owner = try planes[0].signIn("owner@example.com")
      let path = try await owner.makeOrganization()
      let before = try await owner.get("\(path)/limits").json
      for dryRun in [true, false] {
        let reply = try await Self.put("business", path, by: owner, dryRun: dryRun)
        #expect(reply.status == 402, "\(reply.text)")
        let problem = try reply.json
        #expect(problem["code"] == .string("payment-required"))
        #expect(problem["plan"] == .string("free"))
        #expect(problem["upgrade"] == .string("business"))
        #expect(problem["checkout"] == .string("\(path)/plan/checkout"))
      }
      #expect(try await owner.get("\(path)/limits").json == before)
      // The platform gives what it likes, and the owner may always go back.
      #expect(try await Self.put("business", path, by: planes[0].client).status == 200)
      #expect(try await Self.put("plus", path, by: owner).status == 200)
      #expect(try await Self.put("business", path, by: owner).status == 402)
      #expect(try await Self.put("free", path, by: owner).status == 200)
    }
  }

  @Test func `403 where nothing is sold, except for the platform`() async throws {
    try await TestControlPlane.with({
      $0.allowsSelfServicePlans = false
      $0.stripe.webhookSecrets = []
    }) { planes in
      let owner = try planes[0].signIn("owner@example.com")
      let path = try await owner.makeOrganization()
      for dryRun in [true, false] {
        let reply = try await Self.put("plus", path, by: owner, dryRun: dryRun)
        #expect(reply.status == 403, "\(reply.text)")
        #expect(try reply.problem == "plan-given-by-platform")
      }
      #expect(try await Self.put("plus", path, by: planes[0].client).status == 200)
      #expect(try await Self.put("free", path, by: owner).status == 200)
    }
  }

  @Test func `200 for any plan where owners help themselves`() async throws {
    try await TestControlPlane.with({ $0.stripe.webhookSecrets = [] }) { planes in
      let owner = try planes[0].signIn("owner@example.com")
      let path = try await owner.makeOrganization()
      for tier in ["business", "plus", "free", "plus"] {
        #expect(try await Self.put(tier, path, by: owner).status == 200)
      }
    }
  }
}
