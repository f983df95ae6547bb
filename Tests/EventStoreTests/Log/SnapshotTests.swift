import FoundationEssentials
import Postgres
import Support
import Testing

@testable import EventStore

@Suite struct SnapshotTests {
  @Test func `a stream is read from its newest usable snapshot`() async throws {
    let database = try await TestPostgres.database()
    let (stream, other) = (UUID(), UUID())
    try await database.withApplicationSession { session throws in
      try TestLog.append(10, to: stream, session)
      try TestLog.append(2, to: other, session)
      try Self.save([(stream, 3, 1), (stream, 7, 1), (stream, 9, 2), (other, 1, 2)], session)
      let snapshots = try session.execute(
        Snapshot.newest(of: [stream, other], foldVersion: 1), deadline: .soon
      ).map { row throws in try Snapshot(row) }
      #expect(snapshots.map(\.organizationID) == [stream])
      #expect(snapshots.map(\.head.version) == [7])
      #expect(snapshots.map(\.state) == [[7, 1]])

      let events = try session.execute(
        Snapshot.eventsBehindNewest(of: [stream, other], foldVersion: 1), deadline: .soon
      ).map { row throws in try RecordedEvent(row) }
      #expect(events.filter { $0.organizationID == stream }.map(\.version) == [8, 9, 10])
      #expect(events.filter { $0.organizationID == other }.map(\.version) == [1, 2])
    }
  }

  @Test(arguments: [(2, nil), (3, 3), (6, 3), (7, 7), (100, 7)] as [(Int64, Int64?)])
  func `the past is read from the snapshot before it`(version: Int64, found: Int64?) async throws {
    let database = try await TestPostgres.database()
    let stream = UUID()
    try await database.withApplicationSession { session throws in
      try Self.save([(stream, 3, 1), (stream, 7, 1), (stream, 5, 2)], session)
      let rows = try session.execute(
        Snapshot.newest(of: stream, notAfter: version, foldVersion: 1), deadline: .soon)
      #expect(try rows.first.map { row throws in try Snapshot(row).head.version } == found)
    }
  }

  @Test func `one that is made twice is kept once`() async throws {
    let database = try await TestPostgres.database()
    let stream = UUID()
    try await database.withApplicationSession { session throws in
      try Self.save([(stream, 3, 1), (stream, 3, 1), (stream, 3, 2)], session)
      let count = try session.execute("SELECT count(*) FROM snapshots", deadline: .soon)
      #expect(try count[0].decode(Int64.self) == 2)
    }
  }

  private static func save(
    _ snapshots: [(stream: UUID, version: Int64, foldVersion: Int32)], _ session: Session
  ) throws {
    for (stream, version, foldVersion) in snapshots {
      let snapshot = Snapshot(
        organizationID: stream,
        head: StreamHead(version: version, hash: [UInt8](repeating: 1, count: 32)),
        foldVersion: foldVersion, state: [UInt8(version), UInt8(foldVersion)])
      _ = try session.execute(snapshot.insert, deadline: .soon)
    }
  }
}
