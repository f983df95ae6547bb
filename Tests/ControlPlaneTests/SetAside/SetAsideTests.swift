import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

/// What becomes of items that background jobs cannot carry out: FAULTS.md row 20.
@Suite struct SetAsideTests {
  // MARK: Refused

  @Test func `nothing that is not set aside can be replayed`() async throws {
    let client = try await TestControlPlane.shared.client
    for id in ["sai_01jdexamp1e0000000000000sa", "sai_", "org_01jdexamp1e0000000000000rg", "a"] {
      let reply = try await client.post("/v1/platform/set-aside/\(id)\(":replay")")
      #expect(reply.status == 404, "\(id): \(reply.text)")
    }
    #expect(try await client.get("/v1/platform/set-aside?kind=mail").status == 422)
  }

  @Test func `what is set aside is shown page by page`() async throws {
    try await TestControlPlane.with { planes in
      let (client, database) = (planes[0].client, planes[0].database)
      try await database.withSession { session in
        _ = try session.execute(
          """
          INSERT INTO job_attempts (kind, item, attempts, error, set_aside_at) \
          SELECT CASE WHEN n % 2 = 0 THEN 'usage' ELSE 'snapshot' END, n::text, 3, 'test', \
          now() - n * interval '1 minute' FROM generate_series(1, 20) AS n
          """, deadline: .soon)
      }
      let all = try await client.all("/v1/platform/set-aside", limit: 3)
      #expect(all.map { $0["item"]?.string } == (1...20).map { "\($0)" })
      let some = try await client.all("/v1/platform/set-aside?kind=usage", limit: 3)
      #expect(some.map { $0["item"]?.string } == (1...10).map { "\(2 * $0)" })
      let page = try await client.get("/v1/platform/set-aside?limit=1").json
      let cursor = try #require(page["next_cursor"]?.string)
      #expect(
        try await client.get("/v1/platform/set-aside?kind=usage&cursor=\(cursor)").status == 422)
    }
  }

  // MARK: Usage

  @Test func `a workspace that cannot be counted is set aside, and others are counted all along`()
    async throws
  {
    try await TestControlPlane.with { planes in
      let (plane, client) = (planes[0], planes[0].client)
      let bad = try await EvidenceWorld(plane)
      let good = try await EvidenceWorld(plane)
      let id = try #require(OrganizationID(String(bad.path.split(separator: "/").last ?? "")))
      try await plane.database.poison(
        "usage_reports", "DELETE", when: "OLD.organization_id = '\(id.uuid)'")
      for _ in 0..<3 {
        _ = try await bad.report([EvidenceRecord(project: bad.project)])
        _ = try await good.report([EvidenceRecord(project: good.project)])
      }
      #expect(try await good.settledUsage()["pending"] == .integer(0))
      let item = try #require(try await client.setAside(.usage).first)
      #expect(item["item"]?.string == "\(id)" && item["organization_id"]?.string == "\(id)")
      #expect(try await client.setAsideMetric("signalbox_set_aside_items", .usage) == 1)
      #expect(try await client.setAsideMetric("signalbox_set_aside_total", .usage) == 1)
      // It is left alone, whatever comes; and others are not.
      _ = try await bad.report([EvidenceRecord(project: bad.project)])
      _ = try await good.report([EvidenceRecord(project: good.project)])
      #expect(try await good.settledUsage()["pending"] == .integer(0))
      #expect(try await client.setAside(.usage).first?["attempts"] == .integer(3))
      // Not yet mended.
      let dry = try await client.post(
        "/v1/platform/set-aside/\(item["id"]?.string ?? "")\(":replay")?dry_run=true")
      #expect(try dry.json["resource"]?["status"]?.string == "set_aside", "\(dry.text)")
      #expect(try await client.replay(item) == "set_aside")
      try await plane.database.mend("usage_reports")
      #expect(try await client.replay(item) == "done")
      #expect(try await client.setAside(.usage, count: 0).isEmpty)
      #expect(try await client.setAsideMetric("signalbox_set_aside_items", .usage) == 0)
      let usage = try await bad.settledUsage()
      #expect(usage["pending"] == .integer(0) && usage.counts == [4, 0, 0], "\(usage)")
    }
  }
}
