import Cryptography
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import EventStore

@Suite struct HashChainTests {
  /// A way to falsify each column of one event.
  static let forgeries = [
    "organization_id": "'00000000-0000-7000-8000-000000000000'",
    "version": "version + 100",
    "position": "position + 100",
    "event_id": "'00000000-0000-7000-8000-000000000000'",
    "type": "'thing.unhappened'",
    "schema_version": "schema_version + 1",
    "payload": "payload || '{\"number\": 4711}'",
    "actor_kind": "'system'",
    "actor_id": "NULL",
    "request_id": "NULL",
    "causation_id": "'00000000-0000-7000-8000-000000000000'",
    "occurred_at": "occurred_at + interval '1 microsecond'",
    "previous_hash": "sha256(previous_hash)",
    "hash": "sha256(hash)",
  ]

  @Test func `every column has a forgery`() {
    #expect(Set(EventLog.table.columns.map(\.name)) == Set(Self.forgeries.keys))
  }

  @Test(arguments: forgeries.keys.sorted(), [1, 3, 5])
  func `a falsified column is found`(column: String, version: Int64) async throws {
    let value = try #require(Self.forgeries[column])
    try await Self.expectDefect(
      after: "UPDATE events SET \(column) = \(value) WHERE version = \(version)")
  }

  @Test(arguments: [1, 3])
  func `a deleted event is found`(version: Int64) async throws {
    try await Self.expectDefect(after: "DELETE FROM events WHERE version = \(version)")
  }

  @Test func `two events in each other's place are found`() async throws {
    try await Self.expectDefect(
      after: """
        UPDATE events SET version = 90 WHERE version = 2; \
        UPDATE events SET version = 2 WHERE version = 3; \
        UPDATE events SET version = 3 WHERE version = 90
        """)
  }

  @Test func `an event that a forger hashed anew breaks the link behind it`() async throws {
    try await Self.database.value.withSession { session throws in
      try session.executeScript("BEGIN", deadline: .soon)
      let events = try TestLog.all(session)
      let victim = events[2]
      var payload = try JSONObject(parsing: victim.payload)
      payload.set("number", 4711)
      let forged = UnrecordedEvent(
        eventID: victim.eventID, type: victim.type, schemaVersion: victim.schemaVersion,
        actorKind: victim.actorKind, actorID: victim.actorID, requestID: victim.requestID,
        causationID: victim.causationID, occurredAt: victim.occurredAt
      ).recorded(
        payload: payload.canonicalBytes(), organizationID: victim.organizationID,
        after: StreamHead(version: 2, hash: victim.previousHash), position: victim.position)
      #expect(
        try HashChain.defect(in: forged, after: StreamHead(version: 2, hash: events[1].hash)) == nil
      )
      #expect(
        try HashChain.defect(in: events[3], after: StreamHead(version: 3, hash: forged.hash))
          == .brokenLink(organizationID: victim.organizationID, version: 4))
      try session.executeScript("ROLLBACK", deadline: .soon)
    }
  }

  /// A forger who takes an event out can hash those behind it anew, but their versions tell.
  @Test func `a version that is left out is found, also where the link holds`() throws {
    let stream = UUID()
    let head = StreamHead(version: 3, hash: [UInt8](0..<32))
    for version: Int64 in [2, 3, 5, 100] {
      let event = UnrecordedEvent(
        eventID: UUID(), type: "thing.happened", schemaVersion: 1, actorKind: "system",
        actorID: nil, requestID: nil, causationID: UUID(),
        occurredAt: TimestampTZ(clamping: 1)
      ).recorded(
        payload: JSONObject().canonicalBytes(), organizationID: stream,
        after: StreamHead(version: version - 1, hash: head.hash), position: 9)
      #expect(
        try HashChain.defect(in: event, after: head) == .gap(organizationID: stream, expected: 4))
    }
  }

  @Test func `what was appended verifies as it is read back`() async throws {
    let database = try await TestPostgres.database()
    try await database.withApplicationSession { session throws in
      let streams = [UUID(), UUID()]
      for round in 1...4 { try TestLog.append(round, to: streams[round % 2], session) }
      #expect(try TestLog.defect(session) == nil)
      #expect(try TestLog.all(session).map(\.position) == Array(1...10))
      let head = try session.execute(EventLog.head, deadline: .soon)
      #expect(try head[0].decode(Int64.self) == 10)
    }
  }

  /// Hashed by hand, so that the chain can be verified by another program. The system's event has neither an actor nor a
  /// request.
  @Test func `the hash is what the documentation says`() throws {
    let stream = try #require(UUID(uuidString: "00000000-0000-7000-8000-00000000000A"))
    let id = try #require(UUID(uuidString: "00000000-0000-7000-8000-00000000000B"))
    var payload = JSONObject()
    payload.set("slug", "acme")
    payload.set("name", "Acme")
    let event = UnrecordedEvent(
      eventID: id, type: "organization.created", schemaVersion: 1, actorKind: "system",
      actorID: nil, requestID: nil, causationID: id,
      occurredAt: TimestampTZ(clamping: 1)
    ).recorded(
      payload: payload.canonicalBytes(), organizationID: stream, after: .empty, position: 7)
    let envelope = """
      {"actor_kind":"system","causation_id":"00000000-0000-7000-8000-00000000000b",\
      "event_id":"00000000-0000-7000-8000-00000000000b","occurred_at":1,\
      "organization_id":"00000000-0000-7000-8000-00000000000a",\
      "payload":{"name":"Acme","slug":"acme"},"position":7,"schema_version":1,\
      "type":"organization.created","version":1}
      """
    let zeros = [UInt8](repeating: 0, count: 32)
    #expect(event.previousHash == zeros)
    #expect(event.hash == SHA256.hash(zeros, Array(envelope.utf8)).bytes)
  }

  /// Every member of the envelope, under its documented name, with a value that no other member has; the digest itself
  /// was computed with sha256sum.
  @Test func `the golden vector holds every member of the envelope`() throws {
    func id(_ digit: Character) throws -> UUID {
      try #require(UUID(uuidString: "00000000-0000-7000-8000-00000000000\(digit)"))
    }
    var payload = JSONObject()
    payload.set("reason", "Zürich 🚂")
    payload.set("project_id", "prj_1")
    let previous = [UInt8](0..<32)
    let event = UnrecordedEvent(
      eventID: try id("B"), type: "project.panic_mode_enabled", schemaVersion: 3,
      actorKind: "user", actorID: try id("C"), requestID: "req-42", causationID: try id("D"),
      occurredAt: TimestampTZ(clamping: 1_700_000_000_123_456)
    ).recorded(
      payload: payload.canonicalBytes(), organizationID: try id("A"),
      after: StreamHead(version: 4, hash: previous), position: 9)
    let envelope = """
      {"actor_id":"00000000-0000-7000-8000-00000000000c","actor_kind":"user",\
      "causation_id":"00000000-0000-7000-8000-00000000000d",\
      "event_id":"00000000-0000-7000-8000-00000000000b","occurred_at":1700000000123456,\
      "organization_id":"00000000-0000-7000-8000-00000000000a",\
      "payload":{"project_id":"prj_1","reason":"Zürich 🚂"},"position":9,"request_id":"req-42",\
      "schema_version":3,"type":"project.panic_mode_enabled","version":5}
      """
    #expect(event.hash == SHA256.hash(previous, Array(envelope.utf8)).bytes)
    #expect(
      Self.hexadecimal(event.hash)
        == "aad420fc73c4bbb59e8ca57ccc00fe200d29f06cf5dff79c892a63acb38f2a7d")
  }

  private static func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  private static let database = Task {
    let database = try await TestPostgres.database()
    try await database.withSession { session throws in
      try TestLog.append(5, to: UUID(), session)
      try session.executeScript(
        """
        ALTER TABLE events DISABLE TRIGGER events_append_only;
        ALTER TABLE events NO FORCE ROW LEVEL SECURITY;
        """, deadline: .soon)
    }
    return database
  }

  private static func expectDefect(after forgery: String) async throws {
    try await database.value.withSession { session throws in
      try session.executeScript("BEGIN; \(forgery)", deadline: .soon)
      #expect(try TestLog.defect(session) != nil, "\(forgery)")
      try session.executeScript("ROLLBACK", deadline: .soon)
    }
  }
}
