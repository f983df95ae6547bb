import Compression
import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

@Suite struct RequestLogServedTests {
  @Test func `whatever a client calls a model, there is evidence of it`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let family = "👨‍👩‍👧‍👦"
    let record = EvidenceRecord(project: world.project)
    let long = String(repeating: "ä", count: 200)
    // What is sent, and what is kept.
    let models: [(String, String)] = [
      (#"my model"#, "my model"), (#"a\u0000b\u001f\u007f"#, "a\u{FFFD}b\u{FFFD}\u{FFFD}"),
      (long, long), (long + "b", String(long.dropLast()) + "\u{2026}"),
      (
        String(repeating: family, count: 100),
        String(
          String.UnicodeScalarView(
            Array(String(repeating: family, count: 100).unicodeScalars.prefix(199))))
          + "\u{2026}"
      ), ("", "\u{FFFD}"), (#"\u202e"#, "\u{202E}"),
    ]
    let records = models.map { record.renewed.with("model", "\"\($0.0)\"") }
    let reply = try await world.report(records)
    #expect(try reply.outcome == [Int64(models.count), 0], "\(reply.text)")
    let kept = try await world.owner.all("\(world.path)/request-logs")
    for (record, (_, model)) in zip(records, models) {
      let found = kept.first { $0["id"]?.string == record.id }?["model"]?.string ?? ""
      #expect(Array(found.utf8) == Array(model.utf8))
    }
    let route = record.renewed.with("route", "\"/v1/\\n\(String(repeating: "x", count: 300))\"")
    #expect(try await world.report([route]).outcome == [1, 0])
  }

  @Test func `a space in a query is written as a plus, or as %20`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let spaced = EvidenceRecord(project: world.project, model: "my model")
    let plus = EvidenceRecord(project: world.project, model: "my+model")
    _ = try await world.report([spaced, plus])
    #expect(try await world.list("model=my+model") == [spaced.id])
    #expect(try await world.list("model=my%20model") == [spaced.id])
    #expect(try await world.list("model=my%2Bmodel") == [plus.id])
    // In a time a plus is the sign of an offset.
    #expect(try await world.list("from=2020-01-01T00:00:00+01:00").count == 2)
    #expect(try await world.list("from=2020-01-01T00:00:00%2B01:00").count == 2)
  }

  static let day: Int64 = 86_400_000_000

  // MARK: Written

  @Test func `what was reported is read again`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let record = EvidenceRecord(project: world.project).full
    #expect(try await world.report([record]).outcome == [1, 0])
    let reply = try await world.owner.get("\(world.path)/request-logs/\(record.id)")
    #expect(reply.status == 200, "\(reply.text)")
    let json = try reply.json
    for (name, value) in record.members {
      let sent = try JSONValue.parse(Array(value.utf8))
      switch name {
      case "occurred_at":
        // To the millisecond.
        let text = try #require(sent.string)
        #expect(json[name]?.string == "\(text.prefix(23))000Z")
      case "tokens_out": #expect(json[name] == .integer(20))
      default: #expect(json[name] == sent, "\(name)")
      }
    }
  }

  @Test func `without a region it is the country's`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let record = EvidenceRecord(project: world.project).with("country", #""JP""#)
    #expect(try await world.report([record]).outcome == [1, 0])
    let json = try await world.owner.get("\(world.path)/request-logs/\(record.id)").json
    #expect(json["region"]?.string == "asia")
    #expect(json["address"] == .null)
  }

  @Test func `a record that is sent again is a duplicate, in whatever batch`() async throws {
    try await TestControlPlane.with(replicas: 2) { planes in
      let world = try await EvidenceWorld(planes[0])
      let records = (0..<50).map { _ in EvidenceRecord(project: world.project) }
      #expect(try await world.report(records + records.prefix(3)).outcome == [50, 3])
      let there = TestClient(http: planes[1].client.http, token: world.gateway.token)
      let again = try await there.post(
        "/v1/dataplane/request-logs", "[\(records.map(\.text).joined(separator: ","))]")
      #expect(try again.outcome == [0, 50])
      // What differs is not taken either: the first report stays.
      let other = records[0].with("model", #""other""#)
      #expect(try await world.report([other]).outcome == [0, 1])
      let json = try await world.owner.get("\(world.path)/request-logs/\(other.id)").json
      #expect(json["model"]?.string == "gpt-4o")
      #expect(try await world.list().count == 50)
    }
  }

  @Test func `of a batch that is sent at once from everywhere each record is taken once`()
    async throws
  {
    try await TestControlPlane.with(replicas: 2) { planes in
      let world = try await EvidenceWorld(planes[0])
      let records = (0..<200).map { _ in EvidenceRecord(project: world.project) }
      let token = world.gateway.token
      let outcomes = try await withThrowingTaskGroup(of: [Int64].self) { group in
        for sender in 0..<16 {
          let client = TestClient(http: planes[sender % 2].client.http, token: token)
          // In ever another order, so that they meet.
          let body = "[\(records.shuffled().map(\.text).joined(separator: ","))]"
          group.addTask {
            // Who waited for too long sends the same again, as gateways do.
            for _ in 0..<10 {
              let reply = try await client.post("/v1/dataplane/request-logs", body)
              if reply.status != 503 { return try reply.outcome }
            }
            return []
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(outcomes.map { $0[0] }.reduce(0, +) == 200, "\(outcomes)")
      #expect(outcomes.allSatisfy { $0.count == 2 && $0[0] + $0[1] == 200 })
    }
  }

  @Test func `lines are taken, compressed or not, and a broken one is refused alone`() async throws
  {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let records = (0..<3).map { _ in EvidenceRecord(project: world.project) }
    let lines = "\n\(records[0].text)\r\n \n\(records[1].text.dropLast())\n\(records[2].text) 7\n{}"
    let reply = try await world.send(Array(lines.utf8), type: "application/x-ndjson; charset=utf-8")
    #expect(try reply.outcome == [1, 0, 1, 2, 3], "\(reply.text)")
    #expect(try reply.recordErrors.prefix(2) == [" malformed-json", " malformed-json"])
    let whole = records.map(\.text).joined(separator: "\n")
    let compressed = try await world.send(
      Gzip.deflate(Array(whole.utf8)), type: "application/x-ndjson", encoding: "GZIP")
    #expect(try compressed.outcome == [2, 1], "\(compressed.text)")
    let array = try await world.send(
      Gzip.deflate(Array("[\(whole.replacing("\n", with: ","))]".utf8)), encoding: "gzip")
    #expect(try array.outcome == [0, 3])
  }

  @Test func `one batch may be of many workspaces and days`() async throws {
    try await TestControlPlane.with { planes in
      let (one, other) = (
        try await EvidenceWorld(planes[0]), try await EvidenceWorld(planes[0])
      )
      let now = Timestamp.now
      let records = (0..<60).map { number in
        EvidenceRecord(
          project: number % 2 == 0 ? one.project : other.project,
          at: now.advanced(by: -Int64(number % 6) * Self.day))
      }
      let unknown = EvidenceRecord(project: "prj_00000000000000000000000000")
      let batch = Array(records[..<30]) + [unknown] + Array(records[30...])
      #expect(try await one.report(batch).outcome == [60, 0, 30])
      let expected = records.enumerated().filter { $0.offset % 2 == 0 }.map(\.element.id)
      #expect(Set(try await one.list()) == Set(expected))
      #expect(try await other.list().count == 30)
      // Known by now.
      #expect(try await one.report(batch).outcome == [0, 60, 30])
    }
  }

  @Test func `a large batch is one transaction`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let records = (0..<4000).map { _ in EvidenceRecord(project: world.project) }
    let reply = try await world.send(
      Gzip.deflate(Array("[\(records.map(\.text).joined(separator: ","))]".utf8)),
      encoding: "gzip")
    #expect(try reply.outcome == [4000, 0])
  }

  @Test func `nothing of it is in the log`() async throws {
    try await TestControlPlane.with { planes in
      let world = try await EvidenceWorld(planes[0])
      let before = try await world.owner.get("\(world.path)/events?limit=200").text
      _ = try await world.report([EvidenceRecord(project: world.project)])
      #expect(try await world.owner.get("\(world.path)/events?limit=200").text == before)
    }
  }

  // MARK: Read

  @Test func `another workspace sees nothing, and there is nothing to see`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let other = try await EvidenceWorld(TestControlPlane.shared)
    let record = EvidenceRecord(project: world.project)
    _ = try await world.report([record])
    #expect(try await other.owner.get("\(world.path)/request-logs").status == 404)
    #expect(try await other.owner.get("\(world.path)/request-logs/\(record.id)").status == 404)
    #expect(try await other.owner.get("\(other.path)/request-logs/\(record.id)").status == 404)
    #expect(try await other.list() == [])
    for id in ["log_00000000000000000000000000", "log_x", "prj_01jdexamp1e0000000000000pr"] {
      #expect(try await world.owner.get("\(world.path)/request-logs/\(id)").status == 404)
    }
  }

  @Test func `the database itself shows a workspace's evidence to nobody else`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    _ = try await world.report([EvidenceRecord(project: world.project)])
    let stranger = try await world.plane.makeUser().id.uuid
    try await world.plane.database.withApplicationSession { session throws in
      let results = try session.pipeline(
        [
          "BEGIN", "SELECT set_config('signalbox.principal', \("user:\(stranger)"), true)",
          "SELECT count(*) FROM request_logs", "COMMIT",
        ], deadline: .soon)
      #expect(try results[2][0].decode(Int64.self) == 0)
      // Not by the way of a partition either, and nobody changes it.
      let partition = try session.execute(
        "SELECT max(relname)::text FROM pg_class WHERE relname LIKE 'request\\_logs\\_2%'",
        deadline: .soon)[0].decode(String.self)
      for statement in [
        "SELECT FROM \(partition)", "UPDATE request_logs SET model = 'x'",
        "DELETE FROM request_logs",
      ] {
        #expect(throws: PostgresError.self) {
          try session.executeScript(statement, deadline: .soon)
        }
      }
    }
  }

  @Test func `filters and cursors give every record once, newest first`() async throws {
    try await TestControlPlane.with { planes in
      let world = try await EvidenceWorld(planes[0])
      let second = String(
        try await world.owner.makeProject(in: world.path, "Second").split(separator: "/")[4])
      let now = Timestamp.now
      // Many in one millisecond, and over several days.
      let records = (0..<240).map { number in
        var record = EvidenceRecord(
          project: number % 3 == 0 ? second : world.project,
          at: now.advanced(by: -Int64(number / 20) * Self.day / 3), model: "m\(number % 4)")
        if number % 5 == 0 {
          record = record.with("decision", #""block""#).with("reason", #""model""#)
            .with("key_id", #""key_01jdexamp1e0000000000000ky""#)
        }
        return number % 2 == 0 ? record : record.with("provider", #""anthropic""#)
      }
      #expect(try await world.report(records).outcome == [240, 0])
      let newestFirst = records.sorted { left, right in
        RequestLogID(left.id)!.uuid > RequestLogID(right.id)!.uuid
      }.map(\.id)
      for limit in [1, 7, 50, 200] where limit > 1 {
        let items = try await world.owner.all("\(world.path)/request-logs", limit: limit)
        #expect(items.compactMap { $0["id"]?.string } == newestFirst, "\(limit)")
      }
      func expect(_ query: String, _ isWanted: (Int) -> Bool) async throws {
        let wanted = Set(records.indices.filter(isWanted).map { records[$0].id })
        #expect(try await world.list(query) == newestFirst.filter(wanted.contains), "\(query)")
        #expect(!wanted.isEmpty)
      }
      try await expect("project_id=\(second)") { $0 % 3 == 0 }
      try await expect("decision=block") { $0 % 5 == 0 }
      try await expect("provider=anthropic&model=m3") { $0 % 2 == 1 && $0 % 4 == 3 }
      try await expect("key_id=key_01jdexamp1e0000000000000ky") { $0 % 5 == 0 }
      let (from, to) = (now.advanced(by: -2 * Self.day), now.advanced(by: -Self.day))
      try await expect("from=\(from.rfc3339)&to=\(to.rfc3339)") {
        let time = now.advanced(by: -Int64($0 / 20) * Self.day / 3)
        let milliseconds = time.microseconds / 1000 * 1000
        return milliseconds >= from.microseconds && milliseconds < to.microseconds
      }
      for query in ["decision=maybe", "from=yesterday", "project_id=x", "colour=red", "cursor=x"] {
        #expect(
          try await world.owner.get("\(world.path)/request-logs?\(query)").status == 422)
      }
      // A cursor is good for the filters that it was given for.
      let page = try await world.owner.get("\(world.path)/request-logs?limit=5&decision=block")
      let cursor = try #require(try page.json["next_cursor"]?.string)
      let other = try await world.owner.get("\(world.path)/request-logs?limit=5&cursor=\(cursor)")
      #expect(other.status == 422)
    }
  }

  // MARK: Retention

  @Test func `what the plan keeps no longer is not shown, and goes when no plan keeps it`()
    async throws
  {
    try await TestControlPlane.with({ $0.plans = .standard }) { planes in
      let plane = planes[0]
      let world = try await EvidenceWorld(plane)
      let now = Timestamp.now
      let ages: [Int64] = [0, 6, 8, 29, 31, 89]
      let records = ages.map {
        EvidenceRecord(project: world.project, at: now.advanced(by: -$0 * Self.day))
      }
      #expect(try await world.report(records).outcome == [6, 0])
      func visible() async throws -> [Int64] {
        let ids = try await world.list("from=2000-01-01T00:00:00Z")
        return zip(ages, records).filter { ids.contains($0.1.id) }.map(\.0)
      }
      #expect(try await visible() == [0, 6])
      #expect(
        try await world.owner.get("\(world.path)/request-logs/\(records[2].id)").status == 404)
      for (tier, shown) in [("plus", 4), ("business", 6), ("free", 2)] {
        let reply = try await plane.client.send(
          "PUT", "\(world.path)/plan", #"{"plan_tier":"\#(tier)"}"#, headers: ["If-Match": "*"])
        #expect(reply.status == 200, "\(reply.text)")
        #expect(try await visible().count == shown, "\(tier)")
      }
      let store = plane.controlPlane.services.requestLogs
      // All are within what some plan keeps.
      #expect(try await store.sweep(now: now) == 0)
      // Two days later the oldest one is not.
      #expect(try await store.sweep(now: now.advanced(by: 2 * Self.day)) == 1)
      let count = try await plane.database.withSession { session throws in
        try session.execute("SELECT count(*) FROM request_logs", deadline: .soon)[0].decode(
          Int64.self)
      }
      #expect(count == 5)
      // The partition is made again for who reports late.
      #expect(try await world.report([records[5]]).outcome == [1, 0])
    }
  }
}
