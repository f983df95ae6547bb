import FoundationEssentials
import Postgres
import Support
import Testing

@testable import EventStore

/// One event may be a megabyte: a page is bounded by bytes, too, and nothing is skipped.
@Suite struct PageTests {
  @Test func `a page ends when it is large, and holds at least one event`() async throws {
    let database = try await TestPostgres.database()
    let (stream, other) = (UUID(), UUID())
    // Nothing that can be compressed.
    let text = String(
      decoding: (0..<1_500_000).map { _ in UInt8.random(in: 0x21...0x7E) }, as: UTF8.self)
    try await database.withApplicationSession { session throws in
      try TestLog.append(2, to: stream, session)
      try TestLog.append(4, to: stream, text: text, session)
      try TestLog.append(1, to: other, session)
      try TestLog.append(3, to: stream, session)
      let all = try Self.pages(session) { EventLog.page(after: $0, limit: 5) }
      #expect(all.joined().map(\.position) == Array(1...10))
      #expect(all.allSatisfy { $0.count <= 5 })
      #expect(all.contains { $0.count == 2 || $0.count == 4 }, "\(all.map(\.count))")
      let own = try Self.pages(session) { EventLog.events(of: stream, after: $0, limit: 100) }
      #expect(own.joined().map(\.version) == Array(1...9))
      #expect(own.count > 1)
      let first = try session.execute(
        EventLog.page(of: stream, versions: 3...9), deadline: .soon
      ).map { row throws in try RecordedEvent(row) }
      #expect(first.map(\.version) == [3, 4])
      let range = try session.execute(
        EventLog.page(of: stream, versions: 7...8), deadline: .soon
      ).map { row throws in try RecordedEvent(row) }
      #expect(range.map(\.version) == [7, 8])
      // What is loaded while everybody waits is less still.
      let loaded = try session.execute(
        Snapshot.eventsBehindNewest(of: [stream, other], foldVersion: 1), deadline: .soon
      ).map { row throws in try RecordedEvent(row) }
      #expect(loaded.filter { $0.organizationID == stream }.map(\.version) == [1, 2, 3])
      #expect(loaded.filter { $0.organizationID == other }.map(\.version) == [1])
    }
  }

  @Test func `a snapshot that is large is left out, and says whose it is`() async throws {
    let database = try await TestPostgres.database()
    let (heavy, light) = (UUID(), UUID())
    try await database.withApplicationSession { session throws in
      for (stream, size) in [(heavy, 2 << 20), (light, 1 << 10)] {
        let snapshot = Snapshot(
          organizationID: stream,
          head: StreamHead(version: 3, hash: [UInt8](repeating: 1, count: 32)), foldVersion: 1,
          state: [UInt8](repeating: 7, count: size))
        _ = try session.execute(snapshot.insert, deadline: .soon)
      }
      let rows = try session.execute(
        Snapshot.newestLight(of: [heavy, light], foldVersion: 1), deadline: .soon)
      let found = try rows.map { row throws in try Snapshot.heavyStream(row) }
      #expect(Set(found) == [heavy, nil])
    }
  }

  private static func pages(
    _ session: Session, _ query: (Int64) -> Query
  ) throws -> [[RecordedEvent]] {
    var pages: [[RecordedEvent]] = []
    var position: Int64 = 0
    while true {
      let page = try session.execute(query(position), deadline: .soon)
        .map { row throws in try RecordedEvent(row) }
      guard let last = page.last else { return pages }
      pages.append(page)
      position = last.position
    }
  }
}
