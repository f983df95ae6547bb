import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

extension TestDatabase {
  /// Makes the database refuse a statement on the rows of a table that a condition names.
  ///
  /// - Parameter condition: SQL of the test's own, about `OLD` or `NEW`.
  func poison(_ table: String, _ operation: String, when condition: String) async throws {
    try await withSession { session in
      try session.executeScript(
        """
        CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'poison: a secret of the row'; END $$;
        CREATE TRIGGER poison BEFORE \(operation) ON \(table) FOR EACH ROW WHEN (\(condition))
        EXECUTE FUNCTION refuse();
        """, deadline: .soon)
    }
  }

  func mend(_ table: String) async throws {
    try await withSession { session in
      try session.executeScript("DROP TRIGGER poison ON \(table)", deadline: .soon)
    }
  }
}

extension TestClient {
  /// What is set aside of a kind, once there is so much of it.
  func setAside(
    _ kind: JobKind, count: Int = 1, at location: SourceLocation = #_sourceLocation
  ) async throws -> [JSONValue] {
    let end = ContinuousClock.now + .seconds(60)
    while true {
      let items = try await all("/v1/platform/set-aside?kind=\(kind.rawValue)", at: location)
      if items.count >= count || ContinuousClock.now > end {
        #expect(items.count == count, sourceLocation: location)
        for item in items {
          #expect(item["attempts"]?.integer == 3, sourceLocation: location)
          let error = item["error"]?.string ?? ""
          #expect(!error.isEmpty && !error.contains("secret"), "\(error)", sourceLocation: location)
        }
        return items
      }
      try await Task.sleep(for: .milliseconds(100))
    }
  }

  /// Replays an item, and says what became of it.
  func replay(
    _ item: JSONValue, at location: SourceLocation = #_sourceLocation
  ) async throws -> String {
    let reply = try await post(
      "/v1/platform/set-aside/\(item["id"]?.string ?? "")\(":replay")", at: location)
    #expect(reply.status == 200, "\(reply.text)", sourceLocation: location)
    return try reply.json["status"]?.string ?? reply.text
  }

  /// What a metric says of a kind.
  func setAsideMetric(_ name: String, _ kind: JobKind) async throws -> Int? {
    let text = try await with(token: nil).get("/metrics").text
    let prefix = "\(name){kind=\"\(kind.rawValue)\"} "
    return text.split(separator: "\n").first { $0.hasPrefix(prefix) }
      .flatMap { Int($0.dropFirst(prefix.count)) }
  }
}
