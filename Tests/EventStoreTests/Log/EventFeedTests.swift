import FoundationEssentials
import Postgres
import Support
import Testing

@testable import EventStore

@Suite struct EventFeedTests {
  @Test func `what others append arrives in order, exactly once, woken by the notification`()
    async throws
  {
    try await Self.withFeed { reader, signal, database in
      let (stream, other) = (UUID(), UUID())
      let collected = Task {
        var positions: [Int64] = []
        for try await events in EventFeed(reader: reader, signal: signal, after: 0) {
          positions += events.map(\.position)
          if positions.count >= 60 { break }
        }
        return positions
      }
      for _ in 0..<20 {
        try await database.withApplicationSession { session throws in
          try TestLog.append(2, to: stream, session)
          try TestLog.append(1, to: other, session)
        }
      }
      #expect(try await collected.value == Array(1...60))
    }
  }

  @Test func `a feed of one stream leaves the others out, and goes on behind where it stopped`()
    async throws
  {
    try await Self.withFeed { reader, signal, database in
      let (stream, other) = (UUID(), UUID())
      try await database.withApplicationSession { session throws in
        try TestLog.append(2, to: stream, session)
        try TestLog.append(3, to: other, session)
        try TestLog.append(1, to: stream, session)
      }
      var first = EventFeed(reader: reader, signal: signal, after: 0, organizationID: stream)
        .makeAsyncIterator()
      #expect(try await first.next()?.map(\.position) == [1, 2, 6])
      try await database.withApplicationSession { try TestLog.append(1, to: stream, $0) }
      var second = EventFeed(
        reader: reader, signal: signal, after: first.position, organizationID: stream
      ).makeAsyncIterator()
      #expect(try await second.next()?.map(\.version) == [4])
    }
  }

  @Test func `a long log is read page by page`() async throws {
    try await Self.withFeed { reader, signal, database in
      try await database.withApplicationSession { try TestLog.append(1200, to: UUID(), $0) }
      var feed = EventFeed(reader: reader, signal: signal, after: 0).makeAsyncIterator()
      var pages: [Int] = []
      while pages.reduce(0, +) < 1200 { pages.append(try #require(try await feed.next()).count) }
      #expect(pages == [500, 500, 200])
    }
  }

  @Test func `somebody who waits for nothing is let go when cancelled`() async throws {
    try await Self.withFeed { reader, signal, _ in
      let waiting = Task {
        var feed = EventFeed(reader: reader, signal: signal, after: 0).makeAsyncIterator()
        return try await feed.next()
      }
      try await Task.sleep(for: .milliseconds(100))
      waiting.cancel()
      do {
        #expect(try await waiting.value == nil)
      } catch let error as PostgresError {
        // It may still have been reading.
        #expect(error.kind == .cancelled)
      }
    }
  }

  private static func withFeed(
    _ body: (Reader, BroadcastSignal, TestDatabase) async throws -> Void
  ) async throws {
    let database = try await TestPostgres.database()
    let reader = Reader(options: database.owner, connections: 1)
    let listener = Listener(options: database.owner, channels: [EventLog.channel])
    let signal = BroadcastSignal()
    let following = Task { await signal.follow(listener) }
    do {
      try await body(reader, signal, database)
    } catch {
      await close(reader, listener, following)
      throw error
    }
    await close(reader, listener, following)
  }

  private static func close(
    _ reader: Reader, _ listener: Listener, _ following: Task<Void, Never>
  ) async {
    await listener.close()
    await reader.close()
    await following.value
  }
}
